package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// supervisorChild is the supervisor process that Up has started.
type supervisorChild struct {
	id ProcessID
	// lifeline is a pipe to the supervisor. If it is closed before detach was
	// written, the supervisor stops everything.
	lifeline *os.File
	// report receives the supervisor's error.
	report *os.File
	ended  chan struct{}
}

func startSupervisor(options UpOptions) (*supervisorChild, error) {
	l := options.Spec.Layout()
	if err := os.MkdirAll(l.logs(), 0o700); err != nil {
		return nil, fmt.Errorf("create the state directory: %w", err)
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
	reading, lifeline, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	defer func() { _ = reading.Close() }()
	report, writing, err := os.Pipe()
	if err != nil {
		_ = lifeline.Close()
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	defer func() { _ = writing.Close() }()

	words := append(append([]string{}, options.Self...), "supervise")
	cmd := selfCommand(words)
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = reading, log, log
	cmd.ExtraFiles = []*os.File{writing}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the supervisor: %w", err), lifeline.Close(), report.Close())
	}
	child := &supervisorChild{lifeline: lifeline, report: report, ended: make(chan struct{})}
	child.id, _, err = identify(cmd.Process.Pid)
	go func() {
		defer close(child.ended)
		_ = cmd.Wait()
	}()
	if err == nil {
		err = json.NewEncoder(lifeline).Encode(options.Spec)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the supervisor: %w", err), child.stop())
	}
	return child, nil
}

// detach lets the supervisor outlive this process.
func (c *supervisorChild) detach() error {
	if _, err := io.WriteString(c.lifeline, detach); err != nil {
		return fmt.Errorf("detach from the supervisor: %w", err)
	}
	return nil
}

// stop closes the lifeline and waits until the supervisor has stopped everything.
func (c *supervisorChild) stop() error {
	_ = c.lifeline.Close()
	select {
	case <-c.ended:
		return nil
	case <-time.After(downTime):
		return fmt.Errorf("the supervisor (process %d) does not stop", c.id.PID)
	}
}

func (c *supervisorChild) closePipes() {
	_ = c.lifeline.Close()
	_ = c.report.Close()
}

// exitError returns the error that the supervisor reported before it ended.
func (c *supervisorChild) exitError() error {
	raw, err := io.ReadAll(io.LimitReader(c.report, 64<<10))
	if text := strings.TrimSpace(string(raw)); text != "" {
		return errors.New(text)
	}
	return errors.Join(errors.New("the supervisor ended"), err)
}
