package consensus

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// errSuperseded ends a request for a pre-vote of a member that is not a
// candidate any more.
var errSuperseded = errors.New("this member is not a candidate any more")

// early is an election that begins before the heartbeat timeout, because every
// connection of the leader to this member was closed: a process that ends closes
// its connections, and cannot send heartbeats without one.
//
// It changes only when the library notices that heartbeats are absent. Not before
// the lease has passed since the last contact, by which time a leader that is not
// in contact with a majority has stepped down; and what follows is the ordinary
// election, with pre-votes that members in contact with a leader refuse. A leader
// that is alive connects again, and its next heartbeat within the lease ends the
// attempt.
type early struct {
	// term is that of the lost leader, until when the delay applies.
	term  uint64
	until time.Time
	// delay is before this member requests pre-votes. The survivors notice the
	// loss together, and each would vote for itself: they have different delays, of
	// which the shortest is as long as two of their last contacts may differ.
	delay time.Duration
}

// watchConnections starts an election early when the connections of the leader
// are closed.
func (n *Node) watchConnections() {
	for {
		select {
		case id := <-n.stream.lost:
			n.electEarly(raft.ServerID(id))
		case <-n.stopped:
			return
		}
	}
}

// electEarly starts an election unless the leader returns within the lease.
func (n *Node) electEarly(lost raft.ServerID) {
	contact, term := n.raft.LastContact(), n.raft.CurrentTerm()
	if n.config.Lease >= n.config.Heartbeat || !n.follows(lost) {
		return
	}
	if !n.pause(time.Until(contact.Add(n.config.Lease))) {
		return
	}
	if n.stream.connected(string(lost)) || n.raft.LastContact() != contact || n.raft.CurrentTerm() != term || !n.follows(lost) {
		return
	}
	n.logger.Info("the leader has closed its connections: starting an election", "leader", nameOf(string(lost)))
	n.early.Store(&early{term: term, until: time.Now().Add(2 * n.config.Heartbeat), delay: n.electionDelay(lost)})
	n.noticeAbsence(contact)
}

// follows reports whether this member follows a leader.
func (n *Node) follows(leader raft.ServerID) bool {
	_, id := n.raft.LeaderWithID()
	return id == leader && n.raft.State() == raft.Follower
}

// noticeAbsence makes the library compare the last contact with the lease now,
// instead of with the heartbeat timeout at its next time. It waits until the library
// has, or the leader is back.
func (n *Node) noticeAbsence(contact time.Time) {
	before := n.raft.ReloadableConfig()
	shorter := before
	shorter.HeartbeatTimeout = n.config.Lease
	if err := n.raft.ReloadConfig(shorter); err != nil {
		n.logger.Debug("cannot start an election early", "error", err)
		return
	}
	limit := time.Now().Add(n.config.Heartbeat) // by then it would notice anyway
	for n.raft.State() == raft.Follower && n.raft.LastContact().Equal(contact) && time.Now().Before(limit) {
		if !n.pause(2 * time.Millisecond) {
			break
		}
	}
	if err := n.raft.ReloadConfig(before); err != nil {
		n.fail(err)
	}
}

// electionDelay returns the delay of this member: by its place among the voters
// that remain without the lost leader.
func (n *Node) electionDelay(lost raft.ServerID) time.Duration {
	servers := slices.Clone(n.servers())
	slices.SortFunc(servers, func(a, b raft.Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
	place := time.Duration(0)
	for _, s := range servers {
		if s.ID == n.id {
			break
		}
		if s.Suffrage == raft.Voter && s.ID != lost {
			place++
		}
	}
	step := n.config.Heartbeat / 5
	return min(step+2*step*place, n.config.Election*9/10)
}

// awaitTurn blocks a request for a pre-vote for as long as this member has to
// wait.
func (n *Node) awaitTurn(term uint64) error {
	e := n.early.Load()
	if e == nil || term != e.term+1 || time.Now().After(e.until) {
		return nil
	}
	if !n.pause(e.delay) {
		return errStopped
	}
	if n.raft.State() != raft.Candidate {
		return errSuperseded
	}
	return nil
}
