package consensus

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// fileSystem returns the size of the file system that holds a directory, and
// what an unprivileged user may still write, in bytes.
func fileSystem(dir string) (size, free uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("measure file system of %s: %w", dir, err)
	}
	block := uint64(max(s.Bsize, 1))
	return s.Blocks * block, s.Bavail * block, nil
}

// allocate creates a file whose blocks are allocated.
func allocate(path string, size int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("create reserve: %w", err)
	}
	defer file.Close()
	if err := unix.Fallocate(int(file.Fd()), 0, 0, size); err != nil {
		return fmt.Errorf("allocate %s: %w", path, err)
	}
	return nil
}

// allocateBeyond allocates the blocks of a range of a file, in bytes, and changes
// neither content nor size. It returns errors.ErrUnsupported where the file
// system cannot.
func allocateBeyond(file *os.File, from, size int64) error {
	for {
		err := unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, size)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
			return errors.ErrUnsupported
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
