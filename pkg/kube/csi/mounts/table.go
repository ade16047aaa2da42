//go:build linux

package mounts

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

const mountinfoPath = "/proc/self/mountinfo"

// Entry is one mount in mountinfo.
type Entry struct {
	// Device is the "major:minor" of the file system. A bind mount has the device
	// of its source.
	Device string
	Point  string
	Type   string
	Source string
}

// Table lists the mounts of this process's mount namespace. It reads mountinfo
// again only after the kernel has reported a change. It is safe for concurrent
// use.
type Table struct {
	mu      sync.Mutex
	file    *os.File
	entries []Entry
	read    bool
}

// OpenTable opens mountinfo.
func OpenTable() (*Table, error) {
	// Not os.Open: Go's network poller would consume the change notifications.
	fd, err := unix.Open(mountinfoPath, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("read mountinfo: %w", err)
	}
	return &Table{file: os.NewFile(uintptr(fd), mountinfoPath)}, nil
}

// Close closes mountinfo.
func (t *Table) Close() error { return t.file.Close() }

// Entries returns the mounts in mount order. The caller must not modify the
// slice.
func (t *Table) Entries() ([]Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.read && !t.changed() {
		return t.entries, nil
	}
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read mountinfo: %w", err)
	}
	infos, err := mountinfo.GetMountsFromReader(t.file, nil)
	if err != nil {
		return nil, fmt.Errorf("read mountinfo: %w", err)
	}
	entries := make([]Entry, len(infos))
	for i, info := range infos {
		entries[i] = Entry{
			Device: fmt.Sprintf("%d:%d", info.Major, info.Minor), Point: info.Mountpoint, Type: info.FSType, Source: info.Source,
		}
	}
	t.entries, t.read = entries, true
	return entries, nil
}

// changed reports whether the mounts have changed since the last call. The kernel
// reports each change once. An error counts as a change.
func (t *Table) changed() bool {
	poll := []unix.PollFd{{Fd: int32(t.file.Fd()), Events: unix.POLLPRI}}
	n, err := unix.Poll(poll, 0)
	return err != nil || n > 0
}

// Top returns the topmost mount on point, the one that a path lookup reaches, and
// whether there is one.
func (t *Table) Top(point string) (Entry, bool, error) {
	entries, err := t.Entries()
	if err != nil {
		return Entry{}, false, err
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].Point == point {
			return entries[i], true, nil
		}
	}
	return Entry{}, false, nil
}

// Below returns the mounts on path and below it, newest first.
func (t *Table) Below(path string) ([]Entry, error) {
	entries, err := t.Entries()
	if err != nil {
		return nil, err
	}
	var found []Entry
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].Point == path || strings.HasPrefix(entries[i].Point, path+"/") {
			found = append(found, entries[i])
		}
	}
	return found, nil
}
