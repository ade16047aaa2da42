package consensus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// gate is open while this member may serve as the leader of a term: an entry
// of its own in that term is committed and applied, so that its state has
// everything that any earlier leader acknowledged.
type leaderReady struct {
	mu      sync.Mutex
	term    uint64 // 0: shut
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

// serving is the term in which this member serves as leader; 0 when it does
// not.
func (n *Node) readyTerm() uint64 {
	term, _ := n.ready.get()
	if term == 0 || n.failed.Load() || n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
		return 0
	}
	return term
}

// serve waits until this member serves as leader. It answers NotLeaderError as
// soon as it does not lead, and when ctx ends first: either way nothing was
// executed.
func (n *Node) awaitReady(ctx context.Context) (uint64, error) {
	for {
		changed := n.ready.changed.wait()
		if term := n.readyTerm(); term != 0 {
			return term, nil
		}
		if n.raft.State() != raft.Leader || n.failed.Load() {
			return 0, n.notLeader()
		}
		timer := time.NewTimer(n.config.Heartbeat / 5)
		select {
		case <-changed:
		case <-timer.C: // the library's state changes before it tells
		case <-ctx.Done():
			timer.Stop()
			return 0, fmt.Errorf("waiting to serve as leader (%w): %w", ctx.Err(), n.notLeader())
		case <-n.stopped:
			timer.Stop()
			return 0, n.notLeader()
		}
		timer.Stop()
	}
}

// lead opens and shuts the gate as leadership comes and goes.
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

// takeOffice commits an entry of the new term, and opens the gate once it is
// applied here. The term is the entry's own, as it comes back from the log.
func (n *Node) establishLeadership() {
	for n.raft.State() == raft.Leader {
		result, _, err := n.commit(context.Background(), nil)
		term, ok := result.(uint64)
		if err == nil && ok && n.awaitVoters(term) {
			n.acks.retain(n.servers())
			n.ready.set(term)
			n.logger.Info("serving as leader", "term", term)
			return
		}
		if err != nil && !refused(err) {
			return // another change of leadership has been told, or will be
		}
		if !n.pause(commitTimeout) {
			return
		}
	}
}

// awaitVoters waits until a majority of the roster votes, if no command was
// ever executed: until then, what the first member alone acknowledged would be
// lost with its disk. A cluster in use goes on while members are added to it.
// It answers false when the term is over.
func (n *Node) awaitVoters(term uint64) bool {
	for n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term {
		if n.fsm.used.Load() || countVoters(n.servers()) >= len(n.config.Topology.Masters)/2+1 {
			return true
		}
		if !n.pause(4 * commitTimeout) {
			return false
		}
	}
	return false
}

// pause answers false when the node stopped meanwhile.
func (n *Node) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
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
