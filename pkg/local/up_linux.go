package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
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
		state, err := await(ctx, options, running.Supervisor, nil)
		if !errors.Is(err, errEnded) {
			return state, err
		}
		// It was about to end: start another.
	}
	if !order.NoMount && order.Plan.Fuse != nil {
		if err := checkMountable(); err != nil {
			return State{}, err
		}
	}
	child, err := startSupervisor(options)
	if err != nil {
		return State{}, err
	}
	defer child.letGo()
	state, err := await(ctx, options, child.id, child)
	var pending *PendingError
	if err != nil && !errors.As(err, &pending) {
		return state, errors.Join(err, child.stop())
	}
	return state, errors.Join(err, child.keep())
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

// supervisorChild is a supervisor as Up sees it.
type supervisorChild struct {
	id ProcessID
	// leash tells the supervisor that Up is there: when it breaks before keep
	// was written, the supervisor stops everything.
	leash *os.File
	// report carries the supervisor's error.
	report *os.File
	ended  chan struct{}
}

func startSupervisor(options UpOptions) (*supervisorChild, error) {
	l := options.Order.Layout()
	if err := os.MkdirAll(l.logs(), 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	logPath := l.Log("supervisor")
	if err := boundLog(logPath, logBound); err != nil {
		return nil, err
	}
	log, err := openLog(logPath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	reading, leash, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting the supervisor: %w", err)
	}
	defer func() { _ = reading.Close() }()
	report, writing, err := os.Pipe()
	if err != nil {
		_ = leash.Close()
		return nil, fmt.Errorf("starting the supervisor: %w", err)
	}
	defer func() { _ = writing.Close() }()

	words := append(append([]string{}, options.Self...), "supervise")
	cmd := again(words)
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = reading, log, log
	cmd.ExtraFiles = []*os.File{writing}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the supervisor: %w", err), leash.Close(), report.Close())
	}
	child := &supervisorChild{leash: leash, report: report, ended: make(chan struct{})}
	child.id, _, err = identify(cmd.Process.Pid)
	go func() {
		defer close(child.ended)
		_ = cmd.Wait()
	}()
	if err == nil {
		err = json.NewEncoder(leash).Encode(options.Order)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the supervisor: %w", err), child.stop())
	}
	return child, nil
}

// keep lets the supervisor outlive this process.
func (c *supervisorChild) keep() error {
	if _, err := io.WriteString(c.leash, keep); err != nil {
		return fmt.Errorf("leaving the supervisor to itself: %w", err)
	}
	return nil
}

// stop breaks the leash and waits until the supervisor has stopped everything.
func (c *supervisorChild) stop() error {
	_ = c.leash.Close()
	select {
	case <-c.ended:
		return nil
	case <-time.After(downTime):
		return fmt.Errorf("the supervisor (process %d) does not stop", c.id.PID)
	}
}

func (c *supervisorChild) letGo() {
	_ = c.leash.Close()
	_ = c.report.Close()
}

// why reads what the supervisor said when it ended.
func (c *supervisorChild) why() error {
	raw, err := io.ReadAll(io.LimitReader(c.report, 64<<10))
	if text := strings.TrimSpace(string(raw)); text != "" {
		return errors.New(text)
	}
	return errors.Join(errors.New("the supervisor ended"), err)
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

// downTime bounds an orderly stop: fuse, then workers, then masters may each
// take stopGrace.
const downTime = 4*stopGrace + 10*time.Second

// Down stops a runtime and removes what it left; with purge its data too. It
// answers whether anything was running. It does the same again, and after the
// supervisor was killed.
func Down(ctx context.Context, l Layout, purgeData bool) (ran bool, err error) {
	there, err := exists(l.Dir)
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", l, err)
	}
	if !there {
		return false, nil
	}
	state, found, err := ReadState(l)
	if err == nil && found && state.Supervisor.alive() {
		ran = true
		if err := state.Supervisor.endGently(ctx, downTime); err != nil {
			return ran, fmt.Errorf("stopping %s: %w", l, err)
		}
	}
	// A supervisor that was killed has a guard that cleans up under the lock.
	waiting, cancel := context.WithTimeout(ctx, guardPatience)
	defer cancel()
	held, err := waitLock(waiting, l)
	if err != nil {
		return ran, fmt.Errorf("stopping %s: %w", l, err)
	}
	defer held.release()
	if err := sweep(ctx, l, slog.New(slog.DiscardHandler)); err != nil {
		return ran, fmt.Errorf("stopping %s: %w", l, err)
	}
	if !purgeData {
		return ran, nil
	}
	return ran, purge(l)
}

// Running tells whether a runtime's supervisor runs.
func Running(state State) bool { return state.Supervisor.alive() }

// signals that stop a supervisor.
func signals() []os.Signal { return []os.Signal{unix.SIGTERM, unix.SIGINT} }
