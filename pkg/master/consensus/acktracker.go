package consensus

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// ack is what a successful response of a peer proves: the peer followed this
// member in term at some moment after stamp was taken.
type ack struct {
	term  uint64
	stamp uint64
	sent  time.Time
	// match is the log index up to which the peer agrees; 0 for heartbeats,
	// which do not carry one.
	match uint64
}

// contact combines the acks of a peer in one term.
type contact struct {
	term  uint64
	stamp uint64
	match uint64
	// at is when the newest response arrived, rtt how long it took.
	at  time.Time
	rtt time.Duration
}

// ackTracker records what the responses of peers proved. Reads are verified
// with it: see Node.round.
type ackTracker struct {
	// sequence grows with each round of reads. A request is stamped with it
	// when it is sent.
	sequence atomic.Uint64

	mu       sync.Mutex
	contacts map[raft.ServerID]contact
	changed  broadcast
}

func newAckTracker() *ackTracker { return &ackTracker{contacts: map[raft.ServerID]contact{}} }

func (t *ackTracker) stamp() uint64 { return t.sequence.Load() }

// begin starts a round. Requests that are stamped with the result, or more, are
// sent after this call.
func (t *ackTracker) begin() uint64 { return t.sequence.Add(1) }

func (t *ackTracker) record(id raft.ServerID, a ack) {
	now := time.Now()
	t.mu.Lock()
	c := t.contacts[id]
	switch {
	case a.term > c.term:
		c = contact{term: a.term}
	case a.term < c.term:
		t.mu.Unlock()
		return
	}
	c.stamp = max(c.stamp, a.stamp)
	c.match = max(c.match, a.match)
	c.at, c.rtt = now, now.Sub(a.sent)
	t.contacts[id] = c
	t.mu.Unlock()
	t.changed.send()
}

func (t *ackTracker) contact(id raft.ServerID) (contact, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.contacts[id]
	return c, ok
}

// retain drops the contacts of peers that are not among servers.
func (t *ackTracker) retain(servers []raft.Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := make(map[raft.ServerID]contact, len(servers))
	for _, s := range servers {
		if c, ok := t.contacts[s.ID]; ok {
			kept[s.ID] = c
		}
	}
	t.contacts = kept
}

// ackedByMajority reports whether a majority of the voters followed self in
// term at some moment after the round numbered sequence began. Members without
// a vote do not count, self included.
func (t *ackTracker) ackedByMajority(servers []raft.Server, self raft.ServerID, term, sequence uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	voters, agree := 0, 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		c := t.contacts[s.ID]
		if s.ID == self || c.term == term && c.stamp >= sequence {
			agree++
		}
	}
	return voters > 0 && agree >= voters/2+1
}

// broadcast wakes all waiting goroutines. The zero value is ready to use.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that the next send closes. It must be called before
// the condition that is waited for is read.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
