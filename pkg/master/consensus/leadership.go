package consensus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// leaderReady holds the term in which this member may serve as leader. It is
// set when an entry of this member in that term is committed and applied, so
// that its state includes everything that any earlier leader acknowledged.
type leaderReady struct {
	mu      sync.Mutex
	term    uint64 // 0: not ready
	since   time.Time
	changed broadcast
}

func (r *leaderReady) set(term uint64) {
	r.mu.Lock()
	r.term, r.since = term, time.Time{}
	if term != 0 {
		r.since = time.Now()
	}
	r.mu.Unlock()
	r.changed.send()
}

func (r *leaderReady) get() (uint64, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.term, r.since
}

// readyTerm returns the term in which this member serves as leader; 0 when it
// does not.
func (n *Node) readyTerm() uint64 {
	term, _ := n.ready.get()
	if term == 0 || n.failed.Load() || n.fsm.haltedBy() != nil || n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
		return 0
	}
	return term
}

// awaitReady blocks until this member serves as leader and returns the term. It
// returns NotLeaderError as soon as another member is known to be the leader, when
// none is known for too long (see held), and when ctx is done: in any case nothing
// was executed.
func (n *Node) awaitReady(ctx context.Context) (uint64, error) {
	for {
		changed, leader := n.ready.changed.wait(), n.leaders.changed.wait()
		if term := n.readyTerm(); term != 0 {
			return term, nil
		}
		wait := n.config.Heartbeat / 5
		if n.raft.State() != raft.Leader || n.failed.Load() {
			wait = min(wait, n.held(ctx))
		}
		if wait <= 0 {
			return 0, n.notLeader()
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-leader:
		case <-timer.C: // the library changes its state before it notifies
		case <-ctx.Done():
			timer.Stop()
			return 0, fmt.Errorf("wait to serve as leader (%w): %w", ctx.Err(), n.notLeader())
		case <-n.stopped:
			timer.Stop()
			return 0, n.notLeader()
		}
		timer.Stop()
	}
}

// watchLeadership sets and resets ready as this member gains and loses
// leadership.
func (n *Node) watchLeadership() {
	for {
		select {
		case leading := <-n.raft.LeaderCh():
			n.ready.set(0)
			if leading {
				n.establishLeadership()
			}
		case <-n.stopped:
			return
		}
	}
}

// establishLeadership commits an entry of the new term, and sets ready once it
// is applied here. The term is that of the entry as it is read back from the
// log.
func (n *Node) establishLeadership() {
	if n.resignIfHalted() {
		return
	}
	// A cluster of one voter elects its leader without a request to a peer.
	if !n.awaitProof() {
		return
	}
	for n.raft.State() == raft.Leader {
		result, _, err := n.commit(context.Background(), nil)
		term, ok := result.(uint64)
		if err == nil && ok && n.awaitVoters(term) {
			n.acks.retain(n.servers())
			n.ready.set(term)
			n.logger.Info("serving as leader", "term", term)
			return
		}
		if n.resignIfHalted() || err != nil && !refused(err) {
			return // the next change of leadership is or will be notified
		}
		if !n.pause(commitTimeout) {
			return
		}
	}
}

// resignIfHalted hands leadership over if this member cannot apply the log.
func (n *Node) resignIfHalted() bool {
	halted := n.fsm.haltedBy()
	if halted == nil {
		return false
	}
	n.logger.Error("this master cannot lead", "error", halted)
	if countVoters(n.servers()) > 1 {
		n.handOver(n.running)
	}
	return true
}

// awaitVoters blocks until a majority of the topology's masters are voters, if
// no command was ever executed: until then, what the first member alone
// acknowledged would be lost with its disk. A cluster in use continues while
// members are added to it. It returns false when the term is over.
func (n *Node) awaitVoters(term uint64) bool {
	for n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term {
		if n.fsm.used.Load() || countVoters(n.servers()) >= len(n.Topology().Masters)/2+1 {
			return true
		}
		if !n.pause(4 * commitTimeout) {
			return false
		}
	}
	return false
}

// pause sleeps for d. It returns false when the node stops meanwhile.
func (n *Node) pause(d time.Duration) bool { return n.pauseUntil(nil, d) }

// pauseUntil sleeps until a channel is closed, for d at most. It returns false when
// the node stops meanwhile.
func (n *Node) pauseUntil(woken <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-woken:
		return true
	case <-timer.C:
		return true
	case <-n.stopped:
		return false
	}
}

func countVoters(servers []raft.Server) int {
	voters := 0
	for _, s := range servers {
		if s.Suffrage == raft.Voter {
			voters++
		}
	}
	return voters
}
