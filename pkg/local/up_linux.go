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
	// look is how often the state is read while waiting.
	look = 50 * time.Millisecond
	// keep is what Up tells the supervisor once it may outlive it.
	keep = "k"
	// excerpt is how many lines of a suspect's log are shown.
	excerpt = 5
)

// errEnded: the supervisor that was running before has ended.
var errEnded = errors.New("the supervisor ended while it was waited for")

// Up runs what the order says and returns once everything is ready. A runtime
// that runs by the same order already is only waited for; one that runs by
// another is ErrOther. When the time is up the answer is a *PendingError and
// the runtime goes on coming up. When the context ends before, or this process
// dies, what was started is stopped again.
func Up(ctx context.Context, options UpOptions) (State, error) {
	order := &options.Order
	l := order.Layout()
	digest, err := order.digest()
	if err != nil {
		return State{}, err
	}
	running, found, err := ReadState(l)
	if err == nil && found && running.Supervisor.alive() {
		if running.Order != digest {
			return running, fmt.Errorf("local runtime %s: %w", l, ErrOther)
		}
		var notices []string
		if !options.SkipStoreCheck {
			if notices, err = order.storeNotices(ctx); err != nil {
				return running, err
			}
		}
		state, err := await(ctx, options, running.Supervisor, nil)
		if !errors.Is(err, errEnded) {
			state.Notices = append(state.Notices, notices...)
			return state, err
		}
		// It was about to end: start another.
	}
	notices, err := order.preflight(ctx, options.SkipStoreCheck)
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
	l := options.Order.Layout()
	existed, err := exists(l.Dir)
	if err != nil {
		return State{}, fmt.Errorf("reading the state directory: %w", err)
	}
	child, err := startSupervisor(options)
	if err != nil {
		return State{}, err
	}
	defer child.letGo()
	state, err := await(ctx, options, child.id, child)
	var pending *PendingError
	if err == nil || errors.As(err, &pending) {
		return state, errors.Join(err, child.keep())
	}
	err = errors.Join(err, child.stop())
	if !existed {
		_, purgeErr := Down(context.WithoutCancel(ctx), l, true)
		err = errors.Join(err, purgeErr)
	}
	return state, err
}

// checkMountable tells early that there can be no mount.
func checkMountable() error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return fmt.Errorf("this machine has no /dev/fuse: %w", ErrNoMount)
	}
	if os.Geteuid() == 0 {
		return nil
	}
	// The helper opens the device with its caller's rights.
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		return fmt.Errorf("user %d may not open /dev/fuse: %w", os.Geteuid(), ErrNoMount)
	}
	for _, helper := range []string{"fusermount3", "fusermount"} {
		if _, err := exec.LookPath(helper); err == nil {
			return nil
		}
	}
	return fmt.Errorf("mounting without root needs fusermount3, which is not installed: %w", ErrNoMount)
}

// await waits until the runtime is ready. child is nil when the supervisor was
// running before.
func await(ctx context.Context, options UpOptions, supervisor ProcessID, child *supervisorChild) (State, error) {
	l := options.Order.Layout()
	deadline := time.NewTimer(options.Timeout)
	defer deadline.Stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	var state State
	for {
		now, found, err := ReadState(l)
		if err == nil && found && now.Supervisor == supervisor {
			state = now
			if options.Progress != nil {
				options.Progress(state)
			}
			if state.Phase == Ready {
				return state, nil
			}
		}
		if !supervisor.alive() {
			if child != nil {
				return state, child.why()
			}
			return state, errEnded
		}
		select {
		case <-ctx.Done():
			return state, fmt.Errorf("waiting for %s: %w", l, context.Cause(ctx))
		case <-deadline.C:
			if state.Supervisor != supervisor {
				// It has no state yet: nobody could find it again.
				return state, fmt.Errorf("the supervisor has not come up within %v", options.Timeout)
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
		lines, err := Tail(component.Log, excerpt)
		if err == nil && len(lines) > 0 {
			e.Logs = append(e.Logs, Excerpt{Component: name, Lines: lines})
		}
	}
	return e
}
