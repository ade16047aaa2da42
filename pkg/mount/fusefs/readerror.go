//go:build linux

package fusefs

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// repeatWindow is the time after a failed read within which the kernel repeats
// it. When a readahead fails, the kernel reads the page that the application
// waits for once more, and only then fails the application's read.
const repeatWindow = time.Second

// readErrors holds the reads of a handle that failed within repeatWindow because
// the store is unavailable. Without it the kernel's second read would wait for
// another timeout. It is safe for concurrent use.
type readErrors struct {
	mu     sync.Mutex
	recent []readError
}

// readError is the error of a read of the bytes from start to end.
type readError struct {
	start, end int64
	at         time.Time
	err        error
}

// add records a failed read. Only reader.ErrUnavailable is recorded: after another
// error a second attempt may succeed.
func (r *readErrors) add(now time.Time, start, length int64, err error) {
	if !errors.Is(err, reader.ErrUnavailable) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(now)
	r.recent = append(r.recent, readError{start: start, end: start + length, at: now, err: err})
}

// take returns and removes the error of a read that failed within repeatWindow
// and included the offset; nil if there is none.
func (r *readErrors) take(now time.Time, offset int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(now)
	i := slices.IndexFunc(r.recent, func(e readError) bool { return e.start <= offset && offset < e.end })
	if i < 0 {
		return nil
	}
	err := r.recent[i].err
	r.recent = slices.Delete(r.recent, i, i+1)
	return err
}

func (r *readErrors) expire(now time.Time) {
	r.recent = slices.DeleteFunc(r.recent, func(e readError) bool { return now.Sub(e.at) > repeatWindow })
}
