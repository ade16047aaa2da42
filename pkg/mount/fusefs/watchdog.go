//go:build linux

package fusefs

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// watchdog parks the requests that take long. One ticker serves all requests, so
// that a request that does not take long costs no timer. It is safe for concurrent
// use.
type watchdog struct {
	after time.Duration
	// started receives a token when a service was added while the ticker was stopped.
	started chan struct{}

	mu sync.Mutex
	// services are those in progress, the oldest first.
	services list.List
	running  bool
}

// idleTicks is the number of ticks without a service in progress after which the
// ticker is stopped.
const idleTicks = 100

func newWatchdog(after time.Duration) *watchdog {
	return &watchdog{after: after, started: make(chan struct{}, 1)}
}

// add parks the service after some time, unless it was removed before.
func (w *watchdog) add(v *service) {
	v.started = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	v.watched = w.services.PushBack(v)
	if !w.running {
		w.running = true
		w.started <- struct{}{}
	}
}

// remove ends the watch of a service.
func (w *watchdog) remove(v *service) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v.watched != nil {
		w.services.Remove(v.watched)
		v.watched = nil
	}
}

// run parks services until the context ends. Services that take longer than the
// given time are parked after at most one and a half of it.
func (w *watchdog) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.started:
		}
		w.tick(ctx)
	}
}

// tick parks services until none was in progress for idleTicks.
func (w *watchdog) tick(ctx context.Context) {
	ticker := time.NewTicker(max(w.after/2, time.Millisecond))
	defer ticker.Stop()
	for idle := 0; ; {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			slow, busy := w.slow(now)
			if idle++; busy {
				idle = 0
			}
			for _, v := range slow {
				v.park()
			}
			if idle >= idleTicks && w.stop() {
				return
			}
		}
	}
}

// slow removes and returns the services that take long, and reports whether any are
// in progress.
func (w *watchdog) slow(now time.Time) (slow []*service, busy bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	busy = w.services.Len() > 0
	for e := w.services.Front(); e != nil; e = w.services.Front() {
		v := e.Value.(*service)
		if now.Sub(v.started) < w.after {
			break
		}
		w.services.Remove(e)
		v.watched = nil
		slow = append(slow, v)
	}
	return slow, busy
}

// stop reports whether no service is in progress. The next one starts the ticker
// again.
func (w *watchdog) stop() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = w.services.Len() > 0
	return !w.running
}
