//go:build unix

package consensus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// dirLock is the lock of a data directory, held until release or the end of the
// process.
type dirLock struct{ file *os.File }

// lockTimeout is how long a start waits for a previous process to end.
const lockTimeout = 2 * time.Second

// lockDir locks a data directory, and creates it if it does not exist. The lock
// is held while the directory is verified and moved, when the log's own lock
// does not exist yet.
func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data directory: %w", err)
	}
	timeout := time.After(lockTimeout)
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return &dirLock{file}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("lock the data directory: %w", err)
		}
		select {
		case <-timeout:
			_ = file.Close()
			return nil, fmt.Errorf("open log in %s: another process uses it", dir)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// release releases the lock. A nil lock is released.
func (l *dirLock) release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
