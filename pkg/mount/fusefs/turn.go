//go:build linux

package fusefs

import "sync"

// turn is the right to read requests from the kernel, which one loop has at a
// time: more would wake each other for every request. The loop that waited for the
// shortest time gets it next, so that few loops run, with warm caches. It is safe
// for concurrent use.
//
// A loop keeps the turn while it serves a request that cannot block, and must pass
// it on before one that may.
type turn struct {
	mu      sync.Mutex
	taken   bool
	waiting []*ticket
}

// ticket is a loop's place in the queue for the turn. It is used by one goroutine.
type ticket struct {
	// held is set while the loop has the turn.
	held  bool
	given chan struct{}
}

func newTicket() *ticket { return &ticket{given: make(chan struct{}, 1)} }

// take blocks until the loop has the turn.
func (t *turn) take(k *ticket) {
	if k.held {
		return
	}
	t.mu.Lock()
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
	} else {
		t.waiting = append(t.waiting, k)
		t.mu.Unlock()
		<-k.given
	}
	k.held = true
}

// pass gives the turn to another loop, if the loop has it.
func (t *turn) pass(k *ticket) {
	if !k.held {
		return
	}
	k.held = false
	t.mu.Lock()
	defer t.mu.Unlock()
	last := len(t.waiting) - 1
	if last < 0 {
		t.taken = false
		return
	}
	t.waiting[last].given <- struct{}{}
	t.waiting[last] = nil
	t.waiting = t.waiting[:last]
}
