//go:build linux

package fusefd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// probeTime is the time within which an existing mount must respond to count as
// alive.
const probeTime = 2 * time.Second

// Abort ends the connection to the kernel: every pending or later request fails
// with ENOTCONN. The mount stays in the mount table until Unmount.
func (s *Session) Abort() error {
	s.log.Info("aborting the connection of the mount")
	err := s.abortConnection()
	s.end(ErrAborted)
	return err
}

// abortConnection makes the kernel drop the connection. MNT_FORCE does so even
// when umount2(2) returns EBUSY; when it succeeds, the mount is removed too.
func (s *Session) abortConnection() error {
	covered, err := s.present()
	if err != nil || !covered {
		return err
	}
	if !s.direct {
		return s.abortUnprivileged()
	}
	err = unix.Unmount(s.point, unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("abort %s: %w", s.point, err)
	}
	return nil
}

// abortUnprivileged aborts through the file in fusectl that the mounting user
// owns, because umount2(2) is not permitted without root.
func (s *Session) abortUnprivileged() error {
	_, minor, _ := strings.Cut(s.device, ":")
	path := filepath.Join("/sys/fs/fuse/connections", minor, "abort")
	if err := os.WriteFile(path, []byte("1"), 0o200); err != nil {
		return fmt.Errorf("abort %s: %w", s.point, err)
	}
	return nil
}

// present reports whether a lookup of the mount point still reaches this mount.
func (s *Session) present() (bool, error) {
	info, ok, err := topmost(s.point)
	if err != nil {
		return false, err
	}
	return ok && info.device == s.device && info.ours(), nil
}

// Unmount ends the session and removes the mount even if it is in use: accesses
// to files that are still open fail with ENOTCONN. It returns when the mount
// point is free or the context is done.
func (s *Session) Unmount(ctx context.Context) error {
	s.unmounting.Store(true)
	done := make(chan error, 1)
	go func() { done <- s.unmount() }()
	select {
	case err := <-done:
		s.end(nil)
		return err
	case <-ctx.Done():
		return fmt.Errorf("unmount %s: %w", s.point, context.Cause(ctx))
	}
}

func (s *Session) unmount() error {
	present, err := s.present()
	if err != nil || !present {
		return err
	}
	if !s.direct {
		_ = s.abortUnprivileged()
		return unmountFusermount(s.point)
	}
	return forceUnmount(s.point)
}

// forceUnmount unmounts a mount that is known to be ours: first plainly, then by
// aborting its requests, then by detaching it from its users.
func forceUnmount(point string) error {
	if err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW); err == nil {
		return nil
	}
	if err := unix.Unmount(point, unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW); err == nil {
		return nil
	}
	err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount %s: %w", point, err)
	}
	return nil
}

// unmountFusermount detaches lazily through fusermount3, the only way without
// root; the connection ends when its descriptors are closed.
func unmountFusermount(point string) error {
	helper, err := fusermount()
	if err != nil {
		return err
	}
	out, err := exec.Command(helper, "-u", "-z", "--", point).CombinedOutput()
	if err != nil {
		return fmt.Errorf("unmount %s: %w: %s", point, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// CleanStale removes mounts that a killed run of this program left on a mount
// point. A mount of another program, or one that responds, is kept, and the
// error is ErrBusy. A mount of ours that does not respond is aborted, so
// CleanStale must be called only when no holder of it is alive.
func CleanStale(mountpoint string) error {
	point, err := canonical(mountpoint)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	for range 16 {
		info, ok, err := topmost(point)
		if err != nil || !ok {
			return err
		}
		if !info.ours() {
			return fmt.Errorf("%s is a mount of %s (%s): %w", point, info.source, info.fstype, ErrBusy)
		}
		if responds(point) {
			return fmt.Errorf("%s is mounted and being served: %w", point, ErrBusy)
		}
		if err := forceUnmountAny(point); err != nil {
			return err
		}
	}
	return fmt.Errorf("unmount %s: new mounts keep appearing: %w", point, ErrBusy)
}

func forceUnmountAny(point string) error {
	if unix.Geteuid() != 0 {
		return unmountFusermount(point)
	}
	return forceUnmount(point)
}

// responds reports whether the file system responds within probeTime. A dead one
// fails immediately; for a hung one the call ends when the mount is aborted.
func responds(point string) bool {
	reply := make(chan error, 1)
	go func() {
		var stat unix.Statfs_t
		reply <- unix.Statfs(point, &stat)
	}()
	select {
	case err := <-reply:
		return err == nil
	case <-time.After(probeTime):
		return false
	}
}
