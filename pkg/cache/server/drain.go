package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

const (
	// maxDrain is the longest timeout of a drain.
	maxDrain = 24 * time.Hour
	// drainStreams is the number of ranges that are moved at a time.
	drainStreams = 4
	// drainRetries bounds the attempts to move a range, drainPause is the time between
	// two of them, and keepTimeout the deadline of one.
	drainRetries = 10
	drainPause   = 500 * time.Millisecond
	keepTimeout  = time.Minute
)

// drain moves what this worker has cached to other workers before it leaves: it
// requests the owners in the ring without it to cache each range, which they read from
// it. Nothing is read from the store for that, and a range that cannot be moved is
// skipped: readers get it from the store. Its methods are safe for concurrent use.
//
// Invariant: a worker does not register after begin has returned, so that the ring stays
// without it.
type drain struct {
	worker *Worker
	ctx    context.Context
	stop   context.CancelFunc
	wg     sync.WaitGroup
	// moved and skipped are bytes.
	moved, skipped atomic.Int64

	// registering is held while the worker registers.
	registering sync.Mutex

	mu      sync.Mutex
	began   bool
	timeout time.Duration
	// done is closed when everything has been moved.
	done chan struct{}
}

func newDrain(w *Worker) *drain {
	d := &drain{worker: w, done: make(chan struct{})}
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d
}

// begin begins the drain, or changes the timeout of one that has begun.
func (d *drain) begin(timeout time.Duration) {
	d.registering.Lock()
	defer d.registering.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timeout = timeout
	if d.began || d.ctx.Err() != nil {
		return
	}
	d.began = true
	d.worker.config.Logger.Info("draining: this worker leaves the ring, and its cache is moved to others", "timeout", timeout)
	d.wg.Go(func() {
		defer close(d.done)
		d.move(d.ctx)
	})
}

// begun reports whether the worker leaves.
func (d *drain) begun() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.began
}

// registers calls register unless the worker leaves.
func (d *drain) registers(register func() bool) bool {
	d.registering.Lock()
	defer d.registering.Unlock()
	return !d.begun() && register()
}

// await blocks until a drain that has begun is complete, or its timeout has passed, or
// the context ends.
func (d *drain) await(ctx context.Context) {
	d.mu.Lock()
	began, timeout := d.began, d.timeout
	d.mu.Unlock()
	if !began {
		return
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-d.done:
	case <-ctx.Done():
	case <-timer.C:
		d.worker.config.Logger.Warn("not everything was moved in time: the rest is read from the store again", "timeout", timeout, "moved", d.moved.Load())
	}
}

func (d *drain) close() {
	d.stop()
	d.wg.Wait()
}

// move moves what is cached, the versions that were read last first.
func (d *drain) move(ctx context.Context) {
	log := d.worker.config.Logger
	v := d.left(ctx)
	if v == nil {
		return
	}
	began := time.Now()
	keys, err := d.worker.config.Blocks.Cached()
	if err != nil {
		log.Warn("the cache is not moved", "error", err)
		return
	}
	group := errgroup.Group{}
	group.SetLimit(drainStreams)
	for _, key := range keys {
		if ctx.Err() != nil {
			break
		}
		if v.mounts[key.Mount] != nil {
			group.Go(func() error { d.moveVersion(ctx, key); return nil })
		}
	}
	_ = group.Wait()
	log.Info("the cache was moved to other workers", "versions", len(keys), "bytes", d.moved.Load(), "skipped", d.skipped.Load(), "elapsed", time.Since(began).Round(time.Millisecond))
}

// left returns the first view whose ring is without this worker, nil if the context
// ends before, or if the ring is empty.
func (d *drain) left(ctx context.Context) *view {
	tick := time.NewTicker(d.worker.config.Heartbeat)
	defer tick.Stop()
	for {
		if v := d.worker.views.load(); v != nil && !v.has(d.worker.config.Name) {
			if v.ring.Len() == 0 {
				d.worker.config.Logger.Info("the cache is not moved: no other worker is in the ring")
				return nil
			}
			return v
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// has reports whether a worker is in the ring.
func (v *view) has(name string) bool {
	return slices.ContainsFunc(v.GetRing().GetMembers(), func(m *commonv1.RingMember) bool { return m.GetName() == name })
}

// moveVersion moves the ranges of a version that are on disk, each within one stripe.
func (d *drain) moveVersion(ctx context.Context, key blockstore.Key) {
	for offset := int64(0); offset < key.Size && ctx.Err() == nil; {
		first, end := d.worker.config.Blocks.Present(key, offset)
		if first == end {
			return
		}
		end = min(end, d.worker.views.load().ring.StripeEnd(first, key.Size))
		if err := d.moveRange(ctx, key, first, end); err != nil {
			d.skipped.Add(end - first)
			d.worker.config.Logger.Debug("a range was not moved", "key", key.Key, "offset", first, "error", err)
			if refused(err) {
				return
			}
		} else {
			d.moved.Add(end - first)
		}
		offset = end
	}
}

// errRefusedToKeep means that an owner does not cache the version.
var errRefusedToKeep = errors.New("the owner does not cache it")

func refused(err error) bool { return errors.Is(err, errRefusedToKeep) }

// moveRange requests the owner of a range to cache it.
func (d *drain) moveRange(ctx context.Context, key blockstore.Key, first, end int64) error {
	var err error
	for range drainRetries {
		v := d.worker.views.load()
		order := v.ring.Order(stripeName(v.ring, key, first))
		if len(order) == 0 || order[0].GetName() == d.worker.config.Name {
			return errRefusedToKeep
		}
		err = d.worker.peers.keep(ctx, order[0], wire.Request{
			Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size, First: first, Last: end - 1, Keep: true, RingEpoch: v.GetRing().GetEpoch(),
		})
		if err == nil || refused(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(drainPause):
		}
	}
	return err
}

// keep requests a peer to cache a range. The error wraps errRefusedToKeep if a later
// request would fail too.
func (p *peers) keep(ctx context.Context, member *commonv1.RingMember, wanted wire.Request) error {
	client, ok := p.client(member.GetName())
	if !ok {
		return fmt.Errorf("worker %s has failed", member.GetName())
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	request, err := wire.NewHTTPRequest(ctx, net.JoinHostPort(member.GetHost(), strconv.FormatUint(uint64(member.GetPort()), 10)), wanted)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefusedToKeep, err)
	}
	response, err := client.Do(request)
	if err != nil {
		p.rest(member.GetName())
		return fmt.Errorf("move to worker %s: %w", member.GetName(), err)
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusPartialContent:
		// A worker of an earlier version serves the range, which caches it.
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return fmt.Errorf("move to worker %s: %w", member.GetName(), err)
		}
		return nil
	}
	code, err := refusedBy(response, nil)
	if code != wire.CodeUnavailable && code != wire.CodeThrottled && code != wire.CodeUnknownMount {
		err = fmt.Errorf("%w: %w", errRefusedToKeep, err)
	}
	return fmt.Errorf("move to worker %s: %w", member.GetName(), err)
}
