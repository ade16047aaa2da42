package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootID tells one boot of the machine from another.
func bootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// identify reads the start time of a process, whether it runs or only waits to
// be reaped.
func identify(pid int) (id ProcessID, running bool, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ProcessID{}, false, fmt.Errorf("identifying process %d: %w", pid, err)
	}
	state, start, err := parseStat(raw)
	if err != nil {
		return ProcessID{}, false, fmt.Errorf("identifying process %d: %w", pid, err)
	}
	return ProcessID{PID: pid, Start: start}, state != 'Z' && state != 'X', nil
}

// self identifies this process.
func self() (ProcessID, error) {
	id, _, err := identify(os.Getpid())
	return id, err
}

// parseStat finds state and start time in /proc/<pid>/stat. The name of the
// program stands in parentheses and may hold anything, parentheses included.
func parseStat(raw []byte) (state byte, start uint64, err error) {
	const startField = 19 // fields after the name: state is 0, starttime 19
	end := bytes.LastIndexByte(raw, ')')
	if end < 0 {
		return 0, 0, errors.New("its stat file has no program name")
	}
	fields := strings.Fields(string(raw[end+1:]))
	if len(fields) <= startField {
		return 0, 0, errors.New("its stat file is too short")
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("reading its start time: %w", err)
	}
	return fields[0][0], start, nil
}

// alive tells whether exactly this process runs.
func (p ProcessID) alive() bool {
	if p.PID <= 0 {
		return false
	}
	now, running, err := identify(p.PID)
	return err == nil && running && now == p
}

// open answers a pidfd that stands for exactly this process; found is false
// when it has ended.
func (p ProcessID) open() (fd int, found bool, err error) {
	if p.PID <= 0 {
		return -1, false, nil
	}
	fd, err = unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, false, nil
	}
	if err != nil {
		return -1, false, fmt.Errorf("opening process %d: %w", p.PID, err)
	}
	// Checked after the open: from now on the fd cannot come to mean another.
	if !p.alive() {
		_ = unix.Close(fd)
		return -1, false, nil
	}
	return fd, true, nil
}

// signal sends a signal to exactly this process. One that has ended is no
// error.
func (p ProcessID) signal(sig unix.Signal) error {
	fd, found, err := p.open()
	if err != nil || !found {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("sending %v to process %d: %w", sig, p.PID, err)
	}
	return nil
}

// wait returns nil once the process has ended.
func (p ProcessID) wait(ctx context.Context) error {
	fd, found, err := p.open()
	if err != nil || !found {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	const slice = 50 // milliseconds between looks at the context
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, slice)
		switch {
		case n > 0:
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("waiting for process %d: %w", p.PID, err)
		case ctx.Err() != nil:
			return fmt.Errorf("waiting for process %d to end: %w", p.PID, ctx.Err())
		}
	}
}

// end kills the process and waits until it is gone.
func (p ProcessID) end(ctx context.Context) error {
	if err := p.signal(unix.SIGKILL); err != nil {
		return err
	}
	return p.wait(ctx)
}

// endGently asks with SIGTERM first and kills after the grace.
func (p ProcessID) endGently(ctx context.Context, grace time.Duration) error {
	if err := p.signal(unix.SIGTERM); err != nil {
		return err
	}
	graceful, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := p.wait(graceful); err == nil {
		return nil
	}
	return p.end(ctx)
}

// signalName is "SIGKILL" rather than "killed".
func signalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return sig.String()
}
