// Package tmpfs detects file systems in memory.
package tmpfs

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Contains reports whether a path is in a file system in memory: tmpfs, as /dev/shm and
// an emptyDir of the medium Memory are, or ramfs. If the path does not exist, its
// nearest parent that exists decides.
func Contains(path string) (bool, error) {
	for {
		var stat unix.Statfs_t
		err := unix.Statfs(path, &stat)
		switch {
		case errors.Is(err, unix.ENOENT) && path != filepath.Dir(path):
			path = filepath.Dir(path)
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false, fmt.Errorf("read the file system of %s: %w", path, err)
		default:
			kind := uint32(stat.Type) // Its type differs between architectures.
			return kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC, nil
		}
	}
}
