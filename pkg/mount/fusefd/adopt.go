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

// ErrNotMounted says that there is no mount that the files belong to.
var ErrNotMounted = errors.New("not mounted")

// Files are the descriptor of the device and the memory file of the slots, for
// somebody who keeps duplicates of them. They stay the session's.
func (s *Session) Files() (device, slots *os.File) { return s.fuse, s.slots.file }

// Adopt makes a session of files that Files gave away, without mounting. The
// mount must be there still. It owns both files from now on, also when it
// fails. Leases go on with the next generation; a server that never stopped
// serving may resume its own.
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

// findMount looks for the mount of a device that somebody else mounted.
func (s *Session) findMount(device *os.File) error {
	info, ok, err := topmost(s.point)
	if err != nil {
		return err
	}
	if !ok || !info.ours() {
		return fmt.Errorf("adopting the mount on %s: %w", s.point, ErrNotMounted)
	}
	if err := fdsock.Lend([]*os.File{device}, func(fds []int) error { return unix.SetNonblock(fds[0], true) }); err != nil {
		return fmt.Errorf("preparing the descriptor: %w", err)
	}
	s.fuse, s.device, s.direct = device, info.device, os.Geteuid() == 0
	if s.disconnected() {
		return fmt.Errorf("adopting the mount on %s: %w", s.point, ErrAborted)
	}
	return nil
}

// Device is "major:minor" of the mounted file system, as mountinfo shows it for
// the mount point and for every bind of it.
func (s *Session) Device() string { return s.device }

// Alive says whether the kernel still keeps the connection. It asks the device
// and never the file system.
func (s *Session) Alive() bool { return !s.sessionOver() && !s.disconnected() }

// Idle is how long no server has had the mount; zero while one has.
func (s *Session) Idle() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idleSince.IsZero() {
		return 0
	}
	return time.Since(s.idleSince)
}

// Mounted says whether a mount of this package is at the mount point, from the
// kernel's list and without asking it.
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
