//go:build linux

package fusefs

import (
	"context"
	"sync"
	"time"
)

// The open of a stale node fails with ESTALE, after which the kernel looks up the name
// again and opens the node that it gets. It does so once for each open of an
// application: a second ESTALE is the result of the application's open.
//
// Some nodes have no name that the kernel could look up, such as a file that is
// bind-mounted. Such an open gets the current version, in a handle that uses no pages
// of the node, and that cannot be mapped as shared memory. An open that has a name
// must not get one.
//
// Invariants:
//   - The node that takes the place of a stale one is not refused for renewalTime, and
//     it is not opened in passthrough mode for as long, so that it can be opened with
//     the current version if it becomes stale too.
//   - An open of a stale node gets the current version only if an open that was refused
//     before was not followed by a lookup of its name within renewalWait.

const (
	// renewalTime bounds the time from a refused open to the open of the next node.
	renewalTime = time.Second
	// renewalWait is the time for which the kernel looks up a name after ESTALE.
	renewalWait = 250 * time.Millisecond
	// maxRenewals bounds the names, and the nodes without a name, that are known.
	maxRenewals = 1024
)

// renewals holds the names whose node was stale until recently. Its methods are safe
// for concurrent use.
type renewals struct {
	clock func() time.Time
	// wait is renewalWait.
	wait time.Duration

	mu    sync.Mutex
	names map[string]*renewal
	// unnamed are the stale nodes whose name the kernel cannot look up.
	unnamed map[uint64]bool
}

// renewal is a name whose node became stale, or was refused, at a time.
type renewal struct {
	node uint64
	at   time.Time
	// refused is the number of refused opens after which the name was not looked up
	// yet. lookedUp is closed when it decreases.
	refused  int
	lookedUp chan struct{}
	// opened is set when an open was refused, or may have been.
	opened bool
}

func newRenewals(wait time.Duration) *renewals {
	return &renewals{clock: time.Now, wait: wait, names: map[string]*renewal{}, unnamed: map[uint64]bool{}}
}

// began records that the node of a name became stale.
func (r *renewals) began(path string, node uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin(path, node)
}

// begin requires the lock.
func (r *renewals) begin(path string, node uint64) *renewal {
	w, now := r.names[path], r.clock()
	if w == nil || now.Sub(w.at) >= renewalTime {
		if w == nil && len(r.names) >= maxRenewals {
			r.prune(now)
		}
		w = &renewal{node: node, lookedUp: make(chan struct{})}
		r.names[path] = w
	}
	if node <= w.node {
		w.at = now
	}
	return w
}

// prune makes room for a name. It requires the lock.
func (r *renewals) prune(now time.Time) {
	for path, w := range r.names {
		if now.Sub(w.at) >= renewalTime {
			delete(r.names, path)
		}
	}
	if len(r.names) >= maxRenewals {
		clear(r.names)
	}
}

// recent reports whether the node of a name has just taken the place of a stale one.
func (r *renewals) recent(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.names[path]
	return w != nil && r.clock().Sub(w.at) < renewalTime
}

// looked records that the kernel looks up a name.
func (r *renewals) looked(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.names[path]; w != nil && w.refused > 0 {
		w.refused--
		close(w.lookedUp)
		w.lookedUp = make(chan struct{})
	}
}

// refuse reports whether the open of a stale node must fail with ESTALE, because the
// kernel looks up its name then. It may wait for renewalWait. before is set if a
// predecessor has refused an open of the node.
func (r *renewals) refuse(ctx context.Context, n node, before bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unnamed[n.id] {
		return false
	}
	if w := r.names[n.path]; w != nil && n.id > w.node && r.clock().Sub(w.at) < renewalTime {
		return false
	}
	w := r.begin(n.path, n.id)
	if before && !w.opened {
		w.refused = 1
	}
	w.opened = true
	timeout := time.NewTimer(r.wait)
	defer timeout.Stop()
	for w.refused > 0 {
		lookedUp := w.lookedUp
		r.mu.Unlock()
		passed := false
		select {
		case <-lookedUp:
		case <-timeout.C:
			passed = true
		case <-ctx.Done():
			passed = true
		}
		r.mu.Lock()
		if passed && w.refused > 0 {
			w.refused--
			if len(r.unnamed) >= maxRenewals {
				clear(r.unnamed)
			}
			r.unnamed[n.id] = true
			return false
		}
	}
	w.refused++
	w.at = r.clock()
	return true
}

// inheritStale continues the renewals of a predecessor, which may have been killed
// before it invalidated a name. It returns when the context ends, or has ended the scan.
func (f *fileSystem) inheritStale(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-f.table.inherited:
	}
	for _, n := range f.table.staleFiles {
		f.renewals.began(n.path, n.id)
		f.notifier.entry(n.path)
	}
}
