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

// Entry is one line of mountinfo.
type Entry struct {
	// Device is "major:minor" of the file system: a bind has that of its origin.
	Device string
	Point  string
	Type   string
	Source string
}

// Table follows the mounts of this process's namespace. It reads them again
// only after the kernel said that they changed.
type Table struct {
	mu      sync.Mutex
	file    *os.File
	entries []Entry
	read    bool
}

// OpenTable opens the list.
func OpenTable() (*Table, error) {
	// Not os.Open: Go's poller would be told of the changes in our place.
	fd, err := unix.Open(mountinfoPath, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	return &Table{file: os.NewFile(uintptr(fd), mountinfoPath)}, nil
}

// Close closes the list.
func (t *Table) Close() error { return t.file.Close() }

// Entries in the order in which they were mounted. The slice is the caller's to
// read only.
func (t *Table) Entries() ([]Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.read && !t.changed() {
		return t.entries, nil
	}
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	infos, err := mountinfo.GetMountsFromReader(t.file, nil)
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
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

// changed asks the kernel, which answers each change once. Not knowing counts as
// changed.
func (t *Table) changed() bool {
	poll := []unix.PollFd{{Fd: int32(t.file.Fd()), Events: unix.POLLPRI}}
	n, err := unix.Poll(poll, 0)
	return err != nil || n > 0
}

// Top is the mount that a lookup of point reaches.
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

// Below are the mounts on path and under it, the newest first.
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
