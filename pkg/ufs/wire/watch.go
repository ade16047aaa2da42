package wire

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Limits are the time limits of one attempt. Zero fields have the defaults named.
type Limits struct {
	// Headers limits the time until the headers of the response: 10 s.
	Headers time.Duration
	// List limits the time for one page of a listing: 30 s, since stores skip
	// deleted keys one by one.
	List time.Duration
	// Stall limits the time in which a body makes no progress: 20 s.
	Stall time.Duration
	// Work limits the time of a request for which the store copies or joins
	// bytes: 5 min.
	Work time.Duration
}

// WithDefaults returns the limits with defaults for zero fields.
func (l Limits) WithDefaults() Limits {
	if l.Headers == 0 {
		l.Headers = 10 * time.Second
	}
	if l.List == 0 {
		l.List = 30 * time.Second
	}
	if l.Stall == 0 {
		l.Stall = 20 * time.Second
	}
	if l.Work == 0 {
		l.Work = 5 * time.Minute
	}
	return l
}

// errNoProgress is the cause with which a Watch ends a context.
var errNoProgress = errors.New("no progress")

// Watch ends the context of an attempt that makes no progress in time.
type Watch struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  atomic.Int64
}

// NewWatch returns a context that ends if limit passes before the next Progress,
// and its watch. The caller must call Release.
func NewWatch(ctx context.Context, limit time.Duration) (context.Context, *Watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &Watch{cancel: cancel}
	w.limit.Store(int64(limit))
	w.timer = time.AfterFunc(limit, func() {
		cancel(fmt.Errorf("%w for %v", errNoProgress, time.Duration(w.limit.Load())))
	})
	return ctx, w
}

// Progress restarts the time limit.
func (w *Watch) Progress(limit time.Duration) {
	w.limit.Store(int64(limit))
	w.timer.Reset(limit)
}

// Rest stops the time limit until the next Progress.
func (w *Watch) Rest() { w.timer.Stop() }

// Release ends the context and frees its resources.
func (w *Watch) Release() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// Stalled replaces the error of an attempt that its watch has ended by the cause.
func Stalled(attempt context.Context, err error) error {
	if cause := context.Cause(attempt); errors.Is(cause, errNoProgress) {
		return fmt.Errorf("%w: %w", cause, ufs.ErrUnavailable)
	}
	return err
}
