package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openTreeBelow opens a directory in a volume, with openat2(2): without following
// symbolic links, and without leaving the volume or entering another one. The volume
// must be mounted at its path; otherwise the directory would be of this process's own
// root file system.
func openTreeBelow(volume, dir string) (*tree, error) {
	below, err := filepath.Rel(volume, dir)
	if err != nil || !filepath.IsLocal(below) {
		return nil, outsideError(fmt.Sprintf("it is not below %s", volume))
	}
	const path = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	mount, err := openat2(unix.AT_FDCWD, volume, path, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(mount) }()
	var stat unix.Statx_t
	if err := unix.Statx(mount, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS, &stat); err != nil {
		return nil, fmt.Errorf("stat %s: %w", volume, err)
	}
	if stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return nil, outsideError("no volume is mounted at " + volume)
	}
	fd, err := openat2(mount, below, path, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, err
	}
	return &tree{Root: root, dir: dir}, nil
}

func openat2(at int, path string, flags, resolve uint64) (int, error) {
	for {
		fd, err := unix.Openat2(at, path, &unix.OpenHow{Flags: flags, Resolve: resolve})
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case errors.Is(err, unix.ELOOP):
			return -1, outsideError("a part of its path is a symbolic link")
		case errors.Is(err, unix.EXDEV):
			return -1, outsideError("it leaves the volume")
		case err != nil:
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		default:
			return fd, nil
		}
	}
}

// outsideError means that a directory is not in its volume.
type outsideError string

// Error returns the reason.
func (e outsideError) Error() string { return string(e) }
