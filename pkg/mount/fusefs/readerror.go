//go:build linux

package fusefs

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// repeatWindow is how long after a failed read the kernel repeats it. When a
// readahead fails, the kernel reads the page that the application waits for
// once more by itself, and only then fails the application's read.
const repeatWindow = time.Second

// readErrors are the reads of a handle that have just failed because the store
// is unavailable. Without them the kernel's second read would spend a second
// timeout. Safe for concurrent use.
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

// add notes a failed read. Errors that another attempt may not meet are ignored.
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
