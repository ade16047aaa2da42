//go:build linux

package fusefd

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// ErrNotMounted is returned when the mount of the given files does not exist.
var ErrNotMounted = errors.New("not mounted")

// Files returns the descriptor of the device and the memory file of the slots,
// for a process that keeps duplicates. The session keeps owning both.
func (s *Session) Files() (device, slots *os.File) { return s.fuse, s.slots.file }

// Adopt creates a session from duplicates of the files that Files returned,
// without mounting. The mount must still exist; otherwise the error is
// ErrNotMounted or ErrAborted. Adopt owns both files, also when it fails. The
// next attachment gets the next generation; a server that never stopped serving
// may resume its own.
func Adopt(opts Options, device, slots *os.File) (*Session, error) {
	s, err := adopt(opts, device, slots)
	if err != nil {
		_ = device.Close()
		return nil, err
	}
	return s, nil
}

func adopt(opts Options, device, slotsFile *os.File) (*Session, error) {
	slots, err := MapSlots(slotsFile)
	if err != nil {
		return nil, err
	}
	s, err := newSession(opts, slots)
	if err == nil {
		err = s.findMount(device)
	}
	if err != nil {
		_ = slots.Close()
		return nil, err
	}
	return s, nil
}

// findMount finds the mount of a device that another process mounted.
func (s *Session) findMount(device *os.File) error {
	info, ok, err := topmost(s.point)
	if err != nil {
		return err
	}
	if !ok || !info.ours() {
		return fmt.Errorf("adopt the mount on %s: %w", s.point, ErrNotMounted)
	}
	if err := fdsock.Lend([]*os.File{device}, func(fds []int) error { return unix.SetNonblock(fds[0], true) }); err != nil {
		return fmt.Errorf("prepare the descriptor: %w", err)
	}
	s.fuse, s.device, s.readOnly, s.direct = device, info.device, info.readOnly, os.Geteuid() == 0
	if s.disconnected() {
		return fmt.Errorf("adopt the mount on %s: %w", s.point, ErrAborted)
	}
	return nil
}

// Device returns "major:minor" of the mounted file system, as in mountinfo for
// the mount point and for every bind mount of it.
func (s *Session) Device() string { return s.device }

// Alive reports whether the kernel still keeps the connection. It polls the
// device and never accesses the file system.
func (s *Session) Alive() bool { return !s.sessionOver() && !s.disconnected() }

// Idle returns the time since the last server detached; zero while one is
// attached.
func (s *Session) Idle() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idleSince.IsZero() {
		return 0
	}
	return time.Since(s.idleSince)
}

// Mounted reports whether a mount of this package is at the mount point. It
// reads the kernel's list of mounts and never accesses the file system.
func Mounted(mountpoint string) (bool, error) {
	point, err := canonical(mountpoint)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	info, ok, err := topmost(point)
	return ok && info.ours(), err
}
