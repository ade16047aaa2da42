package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
)

const (
	// A component that ends is restarted after firstPause, which doubles up to
	// lastPause while it keeps ending. After a run of settled the pause is
	// firstPause again. Readers block while there is no FUSE server, so its
	// pause stays short.
	firstPause    = 50 * time.Millisecond
	lastPause     = 5 * time.Second
	lastPauseFuse = 200 * time.Millisecond
	settled       = 10 * time.Second
	// stopGrace is the time between SIGTERM and SIGKILL.
	stopGrace = 12 * time.Second
)

// component is one supervised process.
type component struct {
	name, role string
	binary     string
	health     string
	log        string
	// environment is added to that of this process.
	environment []string
	// arguments are resolved at each start.
	arguments func() ([]string, error)

	spawner *spawner
	logger  *slog.Logger
	// changed is called after each start and end.
	changed func(ComponentState)

	cancel context.CancelFunc
	ended  chan struct{}
}

// run starts the supervision, which continues until stop.
func (c *component) run(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	c.ended = make(chan struct{})
	go func() {
		defer close(c.ended)
		c.supervise(ctx)
	}()
}

// stop ends the process, with SIGTERM first, and returns when it has ended.
func (c *component) stop() {
	if c.cancel == nil {
		return
	}
	c.cancel()
	<-c.ended
}

func (c *component) supervise(ctx context.Context) {
	state := ComponentState{Name: c.name, Role: c.role, Health: c.health, Log: c.log}
	pause, longest := firstPause, lastPause
	if c.role == string(mtls.Fuse) {
		longest = lastPauseFuse
	}
	for ctx.Err() == nil {
		began := time.Now()
		state.Starts++
		err := c.once(ctx, &state)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > settled {
			pause = firstPause
		}
		c.logger.Warn("component ended, restarting it", "name", c.name, "exit", err, "pause", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longest)
	}
}

// once runs the process once, until it ends.
func (c *component) once(ctx context.Context, state *ComponentState) error {
	cmd, output, err := c.command()
	if err != nil {
		state.LastExit = err.Error()
		c.changed(*state)
		return err
	}
	id, err := c.spawner.start(cmd)
	_ = output.Close() // the child has a copy
	if err != nil {
		state.LastExit = err.Error()
		c.changed(*state)
		return err
	}
	state.Process, state.Since = id, time.Now().UTC()
	c.changed(*state)
	c.logger.Info("component started", "name", c.name, "pid", id.PID, "start", state.Starts)

	waited := make(chan error, 1)
	go func() { waited <- cmd.Wait() }()
	select {
	case err = <-waited:
	case <-ctx.Done():
		err = c.terminate(cmd.Process, waited)
	}
	state.Process, state.LastExit = ProcessID{}, describeExit(err)
	c.changed(*state)
	return err
}

func (c *component) terminate(process *os.Process, waited <-chan error) error {
	_ = process.Signal(syscall.SIGTERM) // it may have ended meanwhile
	select {
	case err := <-waited:
		return err
	case <-time.After(stopGrace):
	}
	c.logger.Warn("component did not end in time, killing it", "name", c.name, "grace", stopGrace)
	_ = process.Kill()
	return <-waited
}

func (c *component) command() (*exec.Cmd, *os.File, error) {
	arguments, err := c.arguments()
	if err != nil {
		return nil, nil, err
	}
	if err := boundLog(c.log, logBound); err != nil {
		return nil, nil, err
	}
	output, err := openLog(c.log)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(c.binary, arguments...)
	cmd.Env = append(os.Environ(), c.environment...)
	cmd.Stdout, cmd.Stderr = output, output
	return cmd, output, nil
}

// describeExit returns how a process ended, such as "killed by SIGKILL".
func describeExit(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		if err == nil {
			return "ended by itself"
		}
		return err.Error()
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return fmt.Sprintf("killed by %s", signalName(status.Signal()))
	}
	return fmt.Sprintf("exit code %d", exit.ExitCode())
}
