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

// Source is the mount source of the tmpfs of inline volumes, as in mountinfo.
const Source = "jindo"

// Tmpfs mounts an empty tmpfs of at most size bytes at point.
func Tmpfs(point string, size int64) error {
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if err := unix.Mount(Source, point, "tmpfs", flags, fmt.Sprintf("size=%d,mode=0755", size)); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", point, err)
	}
	return nil
}

// Bind bind-mounts the directory from at point.
func Bind(from, point string) error {
	if err := unix.Mount(from, point, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", from, point, err)
	}
	return nil
}

// BindTree bind-mounts the directory from at point read-only, with the mounts
// below it, which keep their own flags.
func BindTree(from, point string) error {
	return bindReadOnly(from, point, unix.AT_RECURSIVE, unix.MS_REC)
}

// BindReadOnly bind-mounts the directory from at point read-only.
func BindReadOnly(from, point string) error { return bindReadOnly(from, point, 0, 0) }

// bindReadOnly makes the mount read-only before it attaches it. A remount
// afterwards would not affect the copies of the mount that were propagated to
// other namespaces, such as the node's, which containers get.
func bindReadOnly(from, point string, recursive uint, recursiveOld uintptr) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|recursive)
	if errors.Is(err, unix.ENOSYS) {
		return bindReadOnlyRemount(from, point, recursiveOld)
	}
	if err != nil {
		return fmt.Errorf("bind %s to %s: %w", from, point, err)
	}
	defer func() { _ = unix.Close(tree) }()
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{
		Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC,
	})
	if errors.Is(err, unix.ENOSYS) {
		return bindReadOnlyRemount(from, point, recursiveOld)
	}
	if err != nil {
		return fmt.Errorf("make %s read-only: %w", point, err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, point, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("bind %s to %s: %w", from, point, err)
	}
	return nil
}

// bindReadOnlyRemount is for kernels before 5.12. Only the mount in the plugin's
// own namespace becomes read-only.
func bindReadOnlyRemount(from, point string, recursive uintptr) error {
	if err := unix.Mount(from, point, "", unix.MS_BIND|recursive, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", from, point, err)
	}
	flags := uintptr(unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if err := unix.Mount("", point, "", flags, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", point, err)
	}
	return nil
}

// BindWithin bind-mounts the directory sub of the mount root at point. It follows
// no symbolic link out of root. When ctx ends first, it returns an error and the
// mount may still appear later.
func BindWithin(ctx context.Context, root, sub, point string, readOnly bool) error {
	return runUntil(ctx, func() error { return bindWithin(root, sub, point, readOnly) })
}

func bindWithin(root, sub, point string, readOnly bool) error {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", root, err)
	}
	defer func() { _ = unix.Close(dir) }()
	if err := openDir(dir); err != nil {
		return fmt.Errorf("open %s: %w", root, err)
	}
	from := dir
	if sub != "" {
		how := &unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
		}
		from, err = unix.Openat2(dir, sub, how)
		if err != nil {
			return fmt.Errorf("open directory %q of the volume: %w", sub, err)
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
		return fmt.Errorf("make %s read-only: %w", point, err)
	}
	return nil
}

// openDir opens and closes a directory for reading. A FUSE server revalidates its
// view of the store on that request.
func openDir(dir int) error {
	read, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(read)
}

// Usage is the usage of a file system, in bytes and inodes.
type Usage struct {
	Bytes, BytesFree, Files, FilesFree int64
}

// Stat returns the usage of the file system at point. It returns an error when
// ctx ends first.
func Stat(ctx context.Context, point string) (Usage, error) {
	var stat unix.Statfs_t
	result := make(chan Usage, 1)
	err := runUntil(ctx, func() error {
		if err := unix.Statfs(point, &stat); err != nil {
			return err
		}
		result <- Usage{
			Bytes: int64(stat.Blocks) * stat.Bsize, BytesFree: int64(stat.Bavail) * stat.Bsize,
			Files: int64(stat.Files), FilesFree: int64(stat.Ffree),
		}
		return nil
	})
	if err != nil {
		return Usage{}, fmt.Errorf("stat file system on %s: %w", point, err)
	}
	return <-result, nil
}

// runUntil calls work, which may block, in a goroutine and returns its result. It
// returns an error and abandons the goroutine when ctx ends first.
func runUntil(ctx context.Context, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the file system does not respond: %w", context.Cause(ctx))
	}
}

// Clear unmounts everything on and below point, also if it is in use. When it
// returns nil, nothing is mounted there.
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
	return fmt.Errorf("unmount %s: mounts keep appearing", point)
}

func unmount(point string) error {
	err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	// EINVAL and ENOENT: already unmounted, possibly together with its parent.
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", point, err)
	}
	return nil
}

// ErrForeign reports a mount that was not made by this driver.
var ErrForeign = errors.New("not mounted by this driver")

// CheckOurs returns ErrForeign if a mount on point was not made by this driver.
func (t *Table) CheckOurs(point string) error {
	found, err := t.Below(point)
	if err != nil {
		return err
	}
	for _, e := range found {
		fuse := strings.HasPrefix(e.Type, "fuse.jindo")
		if e.Point == point && !fuse && e.Source != Source {
			return fmt.Errorf("%s has a mount of %s (%s): %w", e.Point, e.Source, e.Type, ErrForeign)
		}
	}
	return nil
}

// MakeDir creates the mount point and its parents. It does not access a file
// system that is mounted on point already.
func MakeDir(point string) error {
	if err := os.MkdirAll(filepath.Dir(point), 0o750); err != nil {
		return fmt.Errorf("create parent directory of %s: %w", point, err)
	}
	// Mkdir on a mount point returns EEXIST without a request to the file system.
	if err := os.Mkdir(point, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("create %s: %w", point, err)
	}
	return nil
}
