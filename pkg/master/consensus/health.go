package consensus

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
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

// caughtUpSince returns since when a member has been caught up in a term. It returns
// false if it was not when the members were last observed.
func (h *health) caughtUpSince(term uint64, id raft.ServerID) (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.since[id]
	return at, ok && term == h.term
}

// stable reports whether a member has been caught up for a time.
func (h *health) stable(id raft.ServerID, d time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.since[id]
	return ok && time.Since(at) >= d
}

// clusterHealth returns the health of the cluster from the faults of its members,
// which are empty for those without one. It is healthy when the masters of the topology
// are its members and none of them has a fault.
//
// The tolerance counts voters that respond and are caught up, beyond a majority of all
// voters: the loss of any that many of them leaves a majority.
func (n *Node) clusterHealth(servers []raft.Server, faults []string) *masterv1.ClusterHealth {
	voters, sound, reason := 0, 0, ""
	fault := func(text string) {
		if reason == "" {
			reason = text
		}
	}
	for i, s := range servers {
		if faults[i] != "" {
			fault(fmt.Sprintf("%s %s", nameOf(string(s.ID)), faults[i]))
		}
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if n.caughtUp(s.ID) {
			sound++
		}
	}
	for _, m := range n.Topology().Masters {
		if !n.votes(m.Name) {
			fault(m.Name + " is not a voter")
		}
	}
	if obstacle := n.obstacle.Load(); obstacle != nil {
		fault(*obstacle)
	}
	return &masterv1.ClusterHealth{
		Healthy: reason == "", Reason: reason,
		FailureTolerance: uint32(max(0, sound-(voters/2+1))), //nolint:gosec // it is a number of members
	}
}

// fault returns why a member is not healthy; empty when it is. The text is the same
// while the cause is.
func (n *Node) fault(s raft.Server) string {
	c, ok := n.acks.contact(s.ID)
	self := s.ID == n.id
	switch {
	case !self && (!ok || !n.fresh(c)):
		return "does not respond"
	case !n.caughtUp(s.ID):
		return fmt.Sprintf("is more than %d entries behind", joinLag)
	case s.Suffrage != raft.Voter:
		return "is not a voter"
	case !n.masters.lists(nameOf(string(s.ID))):
		return "is not a master of the topology"
	case n.full(s.ID):
		return "accepts no commands, because its disk is full"
	}
	return ""
}

// full reports whether the disk of a member is full, as it reported last.
func (n *Node) full(id raft.ServerID) bool {
	if id == n.id {
		return n.space.reason() != ""
	}
	r, _ := n.memory.of(id)
	return r.Full
}
