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

// probeTime is how long a mount found in the way may take to show that it is
// alive.
const probeTime = 2 * time.Second

// Abort ends the connection to the kernel: every request that waits or will
// come fails with ENOTCONN. The mount itself stays in the tree until Unmount.
func (s *Session) Abort() error {
	s.log.Info("ending the connection of the mount")
	err := s.abortConnection()
	s.end(ErrAborted)
	return err
}

// abortConnection makes the kernel drop the connection. MNT_FORCE does it even where it
// answers EBUSY; where it succeeds the mount is gone too, which is as good.
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
		return fmt.Errorf("aborting %s: %w", s.point, err)
	}
	return nil
}

// abortUnprivileged aborts through the file that the kernel gives to the user who
// mounted, because umount2(2) is not allowed without root.
func (s *Session) abortUnprivileged() error {
	_, minor, _ := strings.Cut(s.device, ":")
	path := filepath.Join("/sys/fs/fuse/connections", minor, "abort")
	if err := os.WriteFile(path, []byte("1"), 0o200); err != nil {
		return fmt.Errorf("aborting %s: %w", s.point, err)
	}
	return nil
}

// present says whether a lookup of the mount point still reaches this mount.
func (s *Session) present() (bool, error) {
	info, ok, err := topmost(s.point)
	if err != nil {
		return false, err
	}
	return ok && info.device == s.device && info.ours(), nil
}

// Unmount ends the session and takes the mount out of the tree, whoever uses
// it: a file that is still open there answers ENOTCONN from now on. It returns
// when the mount point is free or the context is done.
func (s *Session) Unmount(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.unmount() }()
	select {
	case err := <-done:
		s.end(nil)
		return err
	case <-ctx.Done():
		return fmt.Errorf("unmounting %s: %w", s.point, context.Cause(ctx))
	}
}

func (s *Session) unmount() error {
	there, err := s.present()
	if err != nil || !there {
		return err
	}
	if !s.direct {
		_ = s.abortUnprivileged()
		return unmountFusermount(s.point)
	}
	return forceUnmount(s.point)
}

// forceUnmount takes down a mount that is known to be ours: politely, then by
// aborting its requests, then by detaching it from under its users.
func forceUnmount(point string) error {
	if err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW); err == nil {
		return nil
	}
	if err := unix.Unmount(point, unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW); err == nil {
		return nil
	}
	err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmounting %s: %w", point, err)
	}
	return nil
}

// unmountFusermount detaches lazily through the setuid helper, which is the only way
// without root; the connection ends when its descriptors are closed.
func unmountFusermount(point string) error {
	helper, err := fusermount()
	if err != nil {
		return err
	}
	out, err := exec.Command(helper, "-u", "-z", "--", point).CombinedOutput()
	if err != nil {
		return fmt.Errorf("unmounting %s: %w: %s", point, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// CleanStale frees a mount point from mounts that a killed run of this program
// left. A mount that is not ours, or that answers, is left alone and reported
// as ErrBusy. One of ours that does not answer is aborted: call this only when
// no holder of it is alive.
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
	return fmt.Errorf("unmounting %s: mounts keep appearing: %w", point, ErrBusy)
}

func forceUnmountAny(point string) error {
	if unix.Geteuid() != 0 {
		return unmountFusermount(point)
	}
	return forceUnmount(point)
}

// responds asks the file system whether it is alive. A dead one fails at once;
// a hung one is given up, and the question ends when the mount is aborted.
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
