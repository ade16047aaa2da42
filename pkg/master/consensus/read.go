package consensus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// reads holds the reads that wait for the next round. One round runs at a time;
// the next serves all reads that arrived meanwhile.
type reads struct {
	mu     sync.Mutex
	queued []*pendingRead
	kick   chan struct{}
}

type pendingRead struct {
	done chan struct{}
	// index and err are set before done is closed.
	index uint64
	err   error
}

func (r *reads) add() *pendingRead {
	p := &pendingRead{done: make(chan struct{})}
	r.mu.Lock()
	r.queued = append(r.queued, p)
	r.mu.Unlock()
	select {
	case r.kick <- struct{}{}:
	default:
	}
	return p
}

func (r *reads) take() []*pendingRead {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.queued
	r.queued = nil
	return taken
}

// ReadIndex returns an index that the state machine here has reached, and that
// is not below any command acknowledged, by any leader, before the call: what
// is read from the state afterwards is linearizable. It returns NotLeaderError
// when this member is not the leader. ReadIndex is safe for concurrent use.
func (n *Node) ReadIndex(ctx context.Context) (uint64, error) {
	term, err := n.awaitReady(ctx)
	if err != nil {
		return 0, err
	}
	read := n.reads.add()
	select {
	case <-read.done:
	case <-ctx.Done():
		return 0, fmt.Errorf("confirm leadership: %w", ctx.Err())
	case <-n.stopped:
		return 0, n.notLeader()
	}
	if read.err != nil {
		return 0, n.elsewhere(ctx)
	}
	if err := n.fsm.applied.wait(ctx, read.index, n.stopped); err != nil {
		return 0, err
	}
	if n.raft.CurrentTerm() != term {
		return 0, n.elsewhere(ctx)
	}
	return read.index, nil
}

// readLoop runs the rounds one after the other.
func (n *Node) readLoop() {
	for {
		select {
		case <-n.reads.kick:
		case <-n.stopped:
			return
		}
		taken := n.reads.take()
		if len(taken) == 0 {
			continue
		}
		index, err := n.round()
		n.metrics.rounds.Inc()
		n.metrics.reads.Add(float64(len(taken)))
		for _, read := range taken {
			read.index, read.err = index, err
			close(read.done)
		}
	}
}

// round confirms that this member was the leader, in one term, at some moment
// after the call. The library's VerifyLeader does not: a response to a
// heartbeat that was sent before satisfies it, and so do members without a
// vote. Here it only makes heartbeats leave immediately. What counts is that a
// majority of the voters responded, in the same term, to requests that were
// sent after the round began.
func (n *Node) round() (uint64, error) {
	term := n.readyTerm()
	if term == 0 {
		return 0, n.notLeader()
	}
	index := n.raft.CommitIndex()
	sequence := n.acks.begin()
	if mutantVerifyLeader {
		if err := n.raft.VerifyLeader().Error(); err != nil {
			return 0, n.notLeader()
		}
		return index, nil
	}
	for trigger := true; ; {
		acked, ready := n.acks.changed.wait(), n.ready.changed.wait()
		if n.acks.ackedByMajority(n.servers(), n.id, term, sequence) {
			break
		}
		if n.readyTerm() != term {
			return 0, n.notLeader()
		}
		if trigger {
			n.triggerHeartbeats()
		}
		trigger = false
		timer := time.NewTimer(n.config.Heartbeat / 5)
		select {
		case <-acked:
		case <-ready:
		case <-timer.C:
			trigger = true
		case <-n.stopped:
			timer.Stop()
			return 0, n.notLeader()
		}
		timer.Stop()
	}
	if n.readyTerm() != term {
		return 0, n.notLeader()
	}
	return index, nil
}

// triggerHeartbeats makes heartbeats leave now instead of at their next time.
// The call blocks on the library's main goroutine, which may be waiting for a
// disk; the round then continues with the regular heartbeats.
func (n *Node) triggerHeartbeats() {
	if n.triggering.Swap(true) {
		return
	}
	n.background.Go(func() {
		defer n.triggering.Store(false)
		n.raft.VerifyLeader()
	})
}

// servers returns the newest configuration, committed or not, as Raft requires.
func (n *Node) servers() []raft.Server {
	return n.raft.GetConfiguration().Configuration().Servers
}
