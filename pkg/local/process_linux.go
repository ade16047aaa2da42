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

// bootID identifies the current boot of the machine.
func bootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// identify returns the start time of a process; running is false if it only waits
// to be reaped.
func identify(pid int) (id ProcessID, running bool, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ProcessID{}, false, fmt.Errorf("identify process %d: %w", pid, err)
	}
	state, start, err := parseStat(raw)
	if err != nil {
		return ProcessID{}, false, fmt.Errorf("identify process %d: %w", pid, err)
	}
	return ProcessID{PID: pid, Start: start}, state != 'Z' && state != 'X', nil
}

// self returns the id of this process.
func self() (ProcessID, error) {
	id, _, err := identify(os.Getpid())
	return id, err
}

// parseStat parses state and start time in /proc/<pid>/stat. The name of the
// program is in parentheses and may contain any character, including those.
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
		return 0, 0, fmt.Errorf("read its start time: %w", err)
	}
	return fields[0][0], start, nil
}

// alive reports whether exactly this process runs.
func (p ProcessID) alive() bool {
	if p.PID <= 0 {
		return false
	}
	now, running, err := identify(p.PID)
	return err == nil && running && now == p
}

// open returns a pidfd of exactly this process; found is false if it has ended.
func (p ProcessID) open() (fd int, found bool, err error) {
	if p.PID <= 0 {
		return -1, false, nil
	}
	fd, err = unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, false, nil
	}
	if err != nil {
		return -1, false, fmt.Errorf("open process %d: %w", p.PID, err)
	}
	// Checked after the open: the descriptor cannot refer to another process now.
	if !p.alive() {
		_ = unix.Close(fd)
		return -1, false, nil
	}
	return fd, true, nil
}

// signal sends a signal to exactly this process. It returns nil if it has ended.
func (p ProcessID) signal(sig unix.Signal) error {
	fd, found, err := p.open()
	if err != nil || !found {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %v to process %d: %w", sig, p.PID, err)
	}
	return nil
}

// wait blocks until the process or the context has ended.
func (p ProcessID) wait(ctx context.Context) error {
	fd, found, err := p.open()
	if err != nil || !found {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	const slice = 50 // milliseconds between checks of the context
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, slice)
		switch {
		case n > 0:
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("wait for process %d: %w", p.PID, err)
		case ctx.Err() != nil:
			return fmt.Errorf("wait for process %d to end: %w", p.PID, ctx.Err())
		}
	}
}

// end kills the process and waits until it has ended.
func (p ProcessID) end(ctx context.Context) error {
	if err := p.signal(unix.SIGKILL); err != nil {
		return err
	}
	return p.wait(ctx)
}

// endGently sends SIGTERM, and SIGKILL after the grace period.
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

// signalName returns "SIGKILL", where the signal's String is "killed".
func signalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return sig.String()
}
