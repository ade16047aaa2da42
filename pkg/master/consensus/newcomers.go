package consensus

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// newcomerDelay is how long each command waits while newcomers need it to catch up.
	newcomerDelay = 25 * time.Millisecond
	// newcomerPatience is for how long commands wait for one newcomer. One that is
	// still behind then is too slow for this cluster.
	newcomerPatience = time.Minute
)

// newcomers slows commands down for members without a vote that have fallen behind. A
// majority of voters delays commands by itself; members without a vote do not, so a
// leader that commits faster than they can follow would keep them from ever getting a
// vote. It is safe for concurrent use.
type newcomers struct {
	slowing atomic.Bool

	mu   sync.Mutex
	term uint64
	// behind is when each was first more than joinLag entries behind.
	behind map[raft.ServerID]time.Time
}

// observe records which members without a vote follow this leader, and which of them
// are behind. Once one has been, commands are slowed down until it has its vote, so that
// it remains caught up meanwhile, and for at most newcomerPatience.
func (c *newcomers) observe(term uint64, follow map[raft.ServerID]bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.behind
	if term != c.term {
		before = nil
	}
	c.term, c.behind = term, make(map[raft.ServerID]time.Time, len(follow))
	slowing := false
	for id, behind := range follow {
		at, was := before[id]
		switch {
		case !was && !behind:
			continue
		case !was:
			at = now
		}
		c.behind[id] = at
		slowing = slowing || now.Sub(at) < newcomerPatience
	}
	c.slowing.Store(slowing)
}

// observeNewcomers observes the members without a vote that the topology lists. Those
// that receive a snapshot are not counted: more commands do not delay that.
func (n *Node) observeNewcomers(term uint64) {
	follow := map[raft.ServerID]bool{}
	for _, s := range n.servers() {
		if s.Suffrage == raft.Voter || !n.masters.lists(nameOf(string(s.ID))) {
			continue
		}
		if c, ok := n.acks.contact(s.ID); ok && n.fresh(c) && c.match > 0 {
			follow[s.ID] = !n.caughtUp(s.ID)
		}
	}
	n.newcomers.observe(term, follow, time.Now())
}

// awaitNewcomers blocks for newcomerDelay if newcomers need it, and until ctx is done at
// most.
func (n *Node) awaitNewcomers(ctx context.Context) {
	if n.newcomers.slowing.Load() {
		n.pauseWith(ctx, newcomerDelay)
	}
}
