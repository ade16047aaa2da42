//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Source is what mount(8) shows for the tmpfs of inline volumes.
const Source = "jindo"

// Tmpfs mounts an empty file system in memory.
func Tmpfs(point string, size int64) error {
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if err := unix.Mount(Source, point, "tmpfs", flags, fmt.Sprintf("size=%d,mode=0755", size)); err != nil {
		return fmt.Errorf("mounting a tmpfs on %s: %w", point, err)
	}
	return nil
}

// Bind shows the directory from at point.
func Bind(from, point string) error {
	if err := unix.Mount(from, point, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", from, point, err)
	}
	return nil
}

// BindTree shows a directory and the mounts below it at point, where the
// directory itself cannot be written; the mounts below are as they were.
func BindTree(from, point string) error {
	return bindReadOnly(from, point, unix.AT_RECURSIVE, unix.MS_REC)
}

// BindReadOnly shows the directory from at point, where it cannot be written.
func BindReadOnly(from, point string) error { return bindReadOnly(from, point, 0, 0) }

// bindReadOnly makes the mount read-only before anybody sees it: a mount that is
// made so afterwards stays writable wherever it was propagated to, and
// containers get the node's copy of it.
func bindReadOnly(from, point string, recursive uint, recursiveOld uintptr) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|recursive)
	if errors.Is(err, unix.ENOSYS) {
		return bindReadOnlyRemount(from, point, recursiveOld)
	}
	if err != nil {
		return fmt.Errorf("binding %s to %s: %w", from, point, err)
	}
	defer func() { _ = unix.Close(tree) }()
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{
		Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC,
	})
	if errors.Is(err, unix.ENOSYS) {
		return bindReadOnlyRemount(from, point, recursiveOld)
	}
	if err != nil {
		return fmt.Errorf("making %s read-only: %w", point, err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, point, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("binding %s to %s: %w", from, point, err)
	}
	return nil
}

// bindReadOnlyOld is for kernels before 5.12, where only the plugin's own copy
// is read-only.
func bindReadOnlyRemount(from, point string, recursive uintptr) error {
	if err := unix.Mount(from, point, "", unix.MS_BIND|recursive, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", from, point, err)
	}
	flags := uintptr(unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if err := unix.Mount("", point, "", flags, ""); err != nil {
		return fmt.Errorf("making %s read-only: %w", point, err)
	}
	return nil
}

// BindWithin shows the directory sub of the mount root at point. It follows no
// link out of root, and is given up when ctx ends, in which case the mount may
// appear later.
func BindWithin(ctx context.Context, root, sub, point string, readOnly bool) error {
	return runUntil(ctx, func() error { return bindWithin(root, sub, point, readOnly) })
}

func bindWithin(root, sub, point string, readOnly bool) error {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening %s: %w", root, err)
	}
	defer func() { _ = unix.Close(dir) }()
	if err := openDir(dir); err != nil {
		return fmt.Errorf("opening %s: %w", root, err)
	}
	from := dir
	if sub != "" {
		how := &unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
		}
		from, err = unix.Openat2(dir, sub, how)
		if err != nil {
			return fmt.Errorf("opening directory %q of the volume: %w", sub, err)
		}
		defer func() { _ = unix.Close(from) }()
	}
	if err := Bind(filepath.Join("/proc/self/fd", strconv.Itoa(from)), point); err != nil {
		return err
	}
	flags := uintptr(unix.MS_BIND | unix.MS_REMOUNT | unix.MS_NOSUID | unix.MS_NODEV)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("", point, "", flags, ""); err != nil {
		_ = unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		return fmt.Errorf("making %s read-only: %w", point, err)
	}
	return nil
}

// touch opens a directory for reading: a FUSE server that is asked to makes sure
// that what it shows is what is there now.
func openDir(dir int) error {
	read, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(read)
}

// Usage is what a file system says about itself.
type Usage struct {
	Bytes, BytesFree, Files, FilesFree int64
}

// Stat asks the file system at point, until ctx ends.
func Stat(ctx context.Context, point string) (Usage, error) {
	var stat unix.Statfs_t
	answered := make(chan Usage, 1)
	err := runUntil(ctx, func() error {
		if err := unix.Statfs(point, &stat); err != nil {
			return err
		}
		answered <- Usage{
			Bytes: int64(stat.Blocks) * stat.Bsize, BytesFree: int64(stat.Bavail) * stat.Bsize,
			Files: int64(stat.Files), FilesFree: int64(stat.Ffree),
		}
		return nil
	})
	if err != nil {
		return Usage{}, fmt.Errorf("asking the file system on %s: %w", point, err)
	}
	return <-answered, nil
}

// aside does what may hang, and leaves it alone when ctx ends first.
func runUntil(ctx context.Context, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the file system does not answer: %w", context.Cause(ctx))
	}
}

// Clear takes down everything that is mounted on point and below it, whoever
// uses it, and returns when nothing is mounted there.
func (t *Table) Clear(point string) error {
	for range 64 {
		found, err := t.Below(point)
		if err != nil || len(found) == 0 {
			return err
		}
		for _, e := range found {
			if err := unmount(e.Point); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("unmounting %s: mounts keep appearing", point)
}

func unmount(point string) error {
	err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	// Not mounted any more, or below what was taken down with it.
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmounting %s: %w", point, err)
	}
	return nil
}

// ErrForeign says that a mount was made by somebody else.
var ErrForeign = errors.New("somebody else's mount")

// CheckOurs answers ErrForeign when something on point or below it is none of
// the plugin's.
func (t *Table) CheckOurs(point string) error {
	found, err := t.Below(point)
	if err != nil {
		return err
	}
	for _, e := range found {
		fuse := strings.HasPrefix(e.Type, "fuse.jindo")
		if e.Point == point && !fuse && e.Source != Source {
			return fmt.Errorf("%s is a mount of %s (%s): %w", e.Point, e.Source, e.Type, ErrForeign)
		}
	}
	return nil
}

// MakeDir makes the directory that something is to be mounted on, below a parent
// that is there.
func MakeDir(point string) error {
	if err := os.MkdirAll(filepath.Dir(point), 0o750); err != nil {
		return fmt.Errorf("making the directory of %s: %w", point, err)
	}
	// Mkdir of what is mounted there asks nobody but the kernel.
	if err := os.Mkdir(point, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("making %s: %w", point, err)
	}
	return nil
}
