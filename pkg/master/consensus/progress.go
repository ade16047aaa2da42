package consensus

import (
	"sync"
	"time"
)

// progress is what a follower knows about its replication.
//
// A follower is caught up once it has applied the log up to a commit index that
// the leader returned since contact began, and while requests that replicate
// arrive and it is at most joinLag entries behind. Heartbeats do not count: they
// carry no commit index, and arrive also where nothing is replicated. Neither
// does the commit index that a member finds on its own disk after a start.
// It is safe for concurrent use.
type progress struct {
	// limit is how long a follower counts as caught up after it last was, so
	// that one slow write does not make it unready.
	limit time.Duration

	mu sync.Mutex
	// accepted is when a request that replicates was last accepted, current
	// when it was accepted and the lag was at most joinLag.
	accepted, current time.Time
	// commit is the newest commit index known of a leader.
	commit uint64
	// target is the first commit index that the leader returned since contact
	// began; targeted is false until it has.
	target   uint64
	targeted bool
}

// accept records an accepted request with the leader's commit index.
func (p *progress) accept(commit, applied uint64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	p.accepted = now
	p.commit = max(p.commit, commit)
	if applied+joinLag >= p.commit {
		p.current = now
	}
}

// observe records the commit index that the leader returned.
func (p *progress) observe(commit uint64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	p.commit = max(p.commit, commit)
	if !p.targeted {
		p.target, p.targeted = commit, true
	}
}

// expire ends contact when nothing was accepted for too long. The caller holds
// the lock.
func (p *progress) expire(now time.Time) {
	if now.Sub(p.accepted) > p.limit {
		p.targeted = false
	}
}

// receives reports whether a request that replicates was accepted recently.
func (p *progress) receives(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Sub(p.accepted) <= p.limit
}

// unknown reports whether the leader's commit index is needed.
func (p *progress) unknown(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	return !p.targeted
}

// caughtUp reports whether this follower is caught up.
func (p *progress) caughtUp(applied uint64, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	return mutantReadyEarly || p.targeted && applied >= p.target && now.Sub(p.current) <= p.limit
}

// commitIndex returns the newest commit index known of a leader.
func (p *progress) commitIndex() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.commit
}
