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
