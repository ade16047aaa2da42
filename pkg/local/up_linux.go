package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pollInterval is how often the state is read while waiting.
	pollInterval = 50 * time.Millisecond
	// detach is written to the supervisor once it may outlive Up.
	detach = "k"
	// excerptLines is the number of log lines in an Excerpt.
	excerptLines = 5
)

// errEnded means that a supervisor that was already running has ended.
var errEnded = errors.New("the supervisor has ended")

// Up runs a spec and returns once everything is ready. If the runtime already runs
// with the same spec, Up only waits. If only the number of masters differs, the running
// one is changed; if more does, Up returns ErrOther. What cannot work is refused before anything is started or written.
// When the timeout passes, Up returns a *PendingError and the runtime keeps
// running. If the context or this process ends before, what was started is
// stopped.
func Up(ctx context.Context, options UpOptions) (State, error) {
	spec := &options.Spec
	l := spec.Layout()
	digest, err := spec.digest()
	if err != nil {
		return State{}, err
	}
	running, found, err := ReadState(l)
	if err == nil && found && running.Supervisor.alive() {
		if running.Order != digest {
			if err := requestMasters(l, spec, running, digest); err != nil {
				return running, err
			}
		}
		var notices []string
		if !options.SkipStoreCheck {
			if notices, err = spec.storeNotices(ctx, options.Timeout); err != nil {
				return running, err
			}
		}
		state, err := await(ctx, options, running.Supervisor, nil)
		if !errors.Is(err, errEnded) {
			state.Notices = append(state.Notices, notices...)
			return state, err
		}
		// It was stopping, so start another.
	}
	notices, err := spec.preflight(ctx, options)
	if err != nil {
		return State{}, err
	}
	state, err := start(ctx, options)
	state.Notices = append(state.Notices, notices...)
	return state, err
}

// start runs a new supervisor and waits until the runtime is ready. If that
// fails, nothing is left running, and a state directory that did not exist
// before is removed.
func start(ctx context.Context, options UpOptions) (State, error) {
	l := options.Spec.Layout()
	existed, err := exists(l.Dir)
	if err != nil {
		return State{}, fmt.Errorf("reading the state directory: %w", err)
	}
	child, err := startSupervisor(options)
	if err != nil {
		return State{}, err
	}
	defer child.closePipes()
	state, err := await(ctx, options, child.id, child)
	var pending *PendingError
	if err == nil || errors.As(err, &pending) {
		return state, errors.Join(err, child.detach())
	}
	err = errors.Join(err, child.stop())
	if !existed {
		_, purgeErr := Down(context.WithoutCancel(ctx), l, true)
		err = errors.Join(err, purgeErr)
	}
	return state, err
}

// checkMountable returns an error if this machine cannot mount.
func checkMountable() error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return fmt.Errorf("this machine has no /dev/fuse: %w", ErrNoMount)
	}
	if os.Geteuid() == 0 {
		return nil
	}
	// The helper opens the device with the rights of its caller.
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		return fmt.Errorf("user %d is not permitted to open /dev/fuse: %w", os.Geteuid(), ErrNoMount)
	}
	for _, helper := range []string{"fusermount3", "fusermount"} {
		if _, err := exec.LookPath(helper); err == nil {
			return nil
		}
	}
	return fmt.Errorf("mounting without root requires fusermount3, which is not installed: %w", ErrNoMount)
}

// await waits until the runtime is ready. child is nil if the supervisor was
// already running.
func await(ctx context.Context, options UpOptions, supervisor ProcessID, child *supervisorChild) (State, error) {
	l := options.Spec.Layout()
	digest, err := options.Spec.digest()
	if err != nil {
		return State{}, err
	}
	deadline := time.NewTimer(options.Timeout)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var state State
	for {
		now, found, err := ReadState(l)
		if err == nil && found && now.Supervisor == supervisor {
			state = now
			if options.Progress != nil {
				options.Progress(state)
			}
			if state.Phase == Ready && state.Order == digest {
				return state, nil
			}
		}
		if !supervisor.alive() {
			if child != nil {
				return state, child.exitError()
			}
			return state, errEnded
		}
		select {
		case <-ctx.Done():
			return state, fmt.Errorf("wait for %s: %w", l, context.Cause(ctx))
		case <-deadline.C:
			if state.Supervisor != supervisor {
				// It has no state yet, so no command could stop it.
				return state, fmt.Errorf("the supervisor did not start within %v", options.Timeout)
			}
			return state, pending(state, options.Timeout)
		case <-tick.C:
		}
	}
}

func pending(state State, after time.Duration) *PendingError {
	e := &PendingError{After: after, Missing: state.Missing()}
	if len(e.Missing) == 0 {
		e.Missing = []Condition{{Name: "supervisor", Detail: "it has not come up"}}
	}
	var suspects []string
	for _, condition := range e.Missing {
		for _, name := range condition.Suspects {
			if !slices.Contains(suspects, name) {
				suspects = append(suspects, name)
			}
		}
	}
	for _, name := range suspects {
		component, _ := state.Component(name)
		lines, err := Tail(component.Log, excerptLines)
		if err == nil && len(lines) > 0 {
			e.Logs = append(e.Logs, Excerpt{Component: name, Lines: lines})
		}
	}
	return e
}
