package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errLocked means that another process holds the lock of the state directory.
var errLocked = errors.New("the state directory is in use")

// lock is the lock of a state directory, held until release or the end of the process.
type lock struct {
	file *os.File
}

// tryLock takes the lock or returns errLocked.
func tryLock(l Layout) (*lock, error) {
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the state directory: %w", err)
	}
	for {
		file, err := os.OpenFile(l.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the lock of %s: %w", l, err)
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = file.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, errLocked
			}
			return nil, fmt.Errorf("lock %s: %w", l.lockFile(), err)
		}
		// A purge removes the file while it is locked. A lock of the removed
		// file has no effect.
		if current(file) {
			return &lock{file: file}, nil
		}
		_ = file.Close()
	}
}

// waitLock retries tryLock until the context ends.
func waitLock(ctx context.Context, l Layout) (*lock, error) {
	const pause = 50 * time.Millisecond
	for {
		held, err := tryLock(l)
		if !errors.Is(err, errLocked) {
			return held, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the lock of %s: %w", l, err)
		case <-time.After(pause):
		}
	}
}

func (k *lock) release() { _ = k.file.Close() }

// current reports whether the open file is still the one with its name.
func current(file *os.File) bool {
	held, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(file.Name())
	return err == nil && os.SameFile(held, named)
}
