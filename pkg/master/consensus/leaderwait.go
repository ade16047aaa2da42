package consensus

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// leaderWait is for how long, from the moment at which no leader is known any more,
// requests are held until one is: an election or a transfer takes less, and a
// client that was refused would wait, and try, in intervals of its own. It is less
// than the time after which clients give a request up. Later requests are refused
// at once, so that a member without a majority does not delay those who can use
// another.
const leaderWait = 600 * time.Millisecond

// leaderWatch records whether a leader is known that accepts commands. It is safe
// for concurrent use.
type leaderWatch struct {
	mu sync.Mutex
	// absent is since when there is none; zero while there is.
	absent time.Time
	// last is the name of the last one that was known.
	last    string
	changed broadcast
}

// update records the leader that a function returns; empty when there is none. It
// is called with the lock held, so that of two calls the later one sees what is
// recorded last.
func (w *leaderWatch) update(leader func() string) {
	w.mu.Lock()
	switch name := leader(); {
	case name != "":
		w.absent, w.last = time.Time{}, name
	case w.absent.IsZero():
		w.absent = time.Now()
	}
	w.mu.Unlock()
	w.changed.send()
}

func (w *leaderWatch) get() (absent time.Time, last string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.absent, w.last
}

// watchLeaders keeps leaders up to date.
func (n *Node) watchLeaders() {
	// The library drops what does not fit. What is read here is the present state.
	seen := make(chan raft.Observation, 1)
	observer := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	n.raft.RegisterObserver(observer)
	defer n.raft.DeregisterObserver(observer)
	for {
		n.leaders.update(n.leaderName)
		select {
		case <-seen:
		case <-n.stopped:
			return
		}
	}
}

func (n *Node) leaderName() string {
	name, _ := n.Leader()
	return name
}

// held returns for how much longer a request may be held that this member cannot
// execute; at most 0 when it must be refused: a leader is known, or was absent for
// too long, or there is not enough time left to send the request again.
func (n *Node) held(ctx context.Context) time.Duration {
	name, _ := n.Leader()
	absent, _ := n.leaders.get()
	if n.failed.Load() || name != "" && name != n.config.Name {
		return 0
	}
	left := commitTimeout // this member is about to gain or lose leadership
	if !absent.IsZero() {
		left = time.Until(absent.Add(cmp.Or(n.config.hooks.leaderWait, leaderWait)))
	} else if n.raft.State() == raft.Leader {
		return 0
	}
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline)-leaderWait/4)
	}
	return left
}

// elsewhere returns the NotLeaderError of a request that was not executed because
// this member is not, or will not be, the leader. It blocks until the name of
// another one is known, within the limits of held.
func (n *Node) elsewhere(ctx context.Context) error {
	for {
		changed := n.leaders.changed.wait()
		left := n.held(ctx)
		if left <= 0 {
			return n.notLeader()
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		case <-n.stopped:
			timer.Stop()
			return n.notLeader()
		}
		timer.Stop()
	}
}
