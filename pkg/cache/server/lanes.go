package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// slotTimeout is how long a request waits for a request slot before it fails
// with errBusy.
const slotTimeout = 10 * time.Second

// lanes bound the requests for bytes. A request that copies bytes to its reader
// has one of the slots. One that waits for a store or a disk for longer than
// 100 ms is parked instead, and the parked requests of each mount are bounded on their
// own: so the store of one mount that hangs takes nothing from cached reads or
// from other mounts.
type lanes struct {
	slots chan struct{}
	// perMount bounds the parked requests of one mount.
	perMount         int
	inflight, queued prometheus.Gauge

	mu     sync.Mutex
	parked map[string]int
}

func newLanes(slots, perMount int, m *metrics) *lanes {
	return &lanes{slots: make(chan struct{}, slots), perMount: perMount, inflight: m.inflight, queued: m.parked, parked: map[string]int{}}
}

// lane is one request. It is not safe for concurrent use.
type lane struct {
	lanes *lanes
	mount string
	// holds is set while the request has a slot.
	holds bool
}

// enter blocks until a slot is free. The caller must call leave.
func (l *lanes) enter(ctx context.Context, mount string) (*lane, error) {
	r := &lane{lanes: l, mount: mount}
	return r, r.acquire(ctx)
}

func (r *lane) acquire(ctx context.Context) error {
	timer := time.NewTimer(slotTimeout)
	defer timer.Stop()
	select {
	case r.lanes.slots <- struct{}{}:
		r.lanes.inflight.Inc()
		r.holds = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("%d requests are in progress: %w", cap(r.lanes.slots), errBusy)
	}
}

// leave returns the slot, if the request has one.
func (r *lane) leave() {
	if r.holds {
		r.holds = false
		r.lanes.inflight.Dec()
		<-r.lanes.slots
	}
}

// park returns the slot while the request waits. The function that it returns
// blocks until a slot is free again.
func (r *lane) park() (resume func(context.Context) error, _ error) {
	l := r.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parked[r.mount] >= l.perMount {
		return nil, fmt.Errorf("%d requests of the mount wait for its store: %w", l.perMount, errBusy)
	}
	l.parked[r.mount]++
	l.queued.Inc()
	r.leave()
	return func(ctx context.Context) error {
		err := r.acquire(ctx)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.queued.Dec()
		if l.parked[r.mount]--; l.parked[r.mount] == 0 {
			delete(l.parked, r.mount)
		}
		return err
	}, nil
}
