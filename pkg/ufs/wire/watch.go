package wire

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Limits of one attempt. Zero fields take the defaults.
type Limits struct {
	// Headers of an answer must be there after it; 10 s.
	Headers time.Duration
	// List is how long a page of a listing may take; 30 s, since stores skip
	// what was deleted one by one.
	List time.Duration
	// Stall is how long a body may make no progress; 20 s.
	Stall time.Duration
	// Work is how long a store may work on a request that makes it copy or
	// join bytes; 5 min.
	Work time.Duration
}

// WithDefaults fills in what is zero.
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

// errNoProgress is the cause of a context that a Watch ended.
var errNoProgress = errors.New("no progress")

// Watch ends the context of an attempt that makes no progress in time.
type Watch struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  atomic.Int64
}

// NewWatch answers a context that ends when limit passes before the next
// Progress, and the watch over it. Release it.
func NewWatch(ctx context.Context, limit time.Duration) (context.Context, *Watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &Watch{cancel: cancel}
	w.limit.Store(int64(limit))
	w.timer = time.AfterFunc(limit, func() {
		cancel(fmt.Errorf("%w for %v", errNoProgress, time.Duration(w.limit.Load())))
	})
	return ctx, w
}

// Progress starts the limit anew.
func (w *Watch) Progress(limit time.Duration) {
	w.limit.Store(int64(limit))
	w.timer.Reset(limit)
}

// Rest stops the clock until the next Progress.
func (w *Watch) Rest() { w.timer.Stop() }

// Release ends the context.
func (w *Watch) Release() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// Stalled turns the error of an attempt whose watch ended it into what
// happened.
func Stalled(attempt context.Context, err error) error {
	if cause := context.Cause(attempt); errors.Is(cause, errNoProgress) {
		return fmt.Errorf("%w: %w", cause, ufs.ErrUnavailable)
	}
	return err
}
