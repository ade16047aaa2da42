package reader

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/semaphore"
)

// errBusy is recorded for a read that waits for its turn.
var errBusy = errors.New("too many requests of the mount wait for its store")

// lanes bounds, for each mount, the requests in progress that may have to wait for
// its store. Each needs a connection, so that without a bound readers of a hung
// store would take the connections of readers whose bytes are cached. It is safe
// for concurrent use.
type lanes struct {
	limit int64

	mu     sync.Mutex
	mounts map[string]*semaphore.Weighted
}

func newLanes(limit int64) *lanes {
	return &lanes{limit: limit, mounts: map[string]*semaphore.Weighted{}}
}

// of returns the lane of a mount, in which each request has weight 1. Waiters are
// served in order.
func (l *lanes) of(mount string) *semaphore.Weighted {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane := l.mounts[mount]
	if lane == nil {
		lane = semaphore.NewWeighted(l.limit)
		l.mounts[mount] = lane
	}
	return lane
}

// enter waits until the read may send requests for which the store may have to be
// read, and returns a function that ends that permission. While too many of the
// mount's reads have it, the bytes may be cached nevertheless, so that they are
// requested from the cache first. leave is nil when the read is complete or err is
// not nil.
func (c *rangeRead) enter(ctx context.Context, round int) (leave func(), err error) {
	lane := c.reader.lanes.of(c.object.Mount)
	leave = func() { lane.Release(1) }
	if lane.TryAcquire(1) {
		return leave, nil
	}
	if err := c.cachedRound(ctx, round); err != nil || c.to.missing == 0 {
		return nil, err
	}
	if c.rounds > 0 {
		// Read-ahead must not delay reads that an application waits for.
		return nil, c.failed(errBusy)
	}
	c.note("store", errBusy)
	if err := lane.Acquire(ctx, 1); err != nil {
		return nil, c.failed(context.Cause(ctx))
	}
	return leave, nil
}
