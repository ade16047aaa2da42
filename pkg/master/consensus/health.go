package consensus

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// health is what a leader observes of the members in its term: since when each has
// been caught up without a break. It is safe for concurrent use.
type health struct {
	mu   sync.Mutex
	term uint64
	// since has no entry for members that are not caught up.
	since map[raft.ServerID]time.Time
}

// observe records which servers are caught up now. What was observed in another term
// does not count.
func (h *health) observe(term uint64, servers []raft.Server, caughtUp func(raft.ServerID) bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.since
	if term != h.term {
		before = nil
	}
	h.term, h.since = term, make(map[raft.ServerID]time.Time, len(servers))
	for _, s := range servers {
		if !caughtUp(s.ID) {
			continue
		}
		h.since[s.ID] = now
		if at, ok := before[s.ID]; ok {
			h.since[s.ID] = at
		}
	}
}

// stable reports whether a member has been caught up for a time.
func (h *health) stable(id raft.ServerID, d time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.since[id]
	return ok && time.Since(at) >= d
}
