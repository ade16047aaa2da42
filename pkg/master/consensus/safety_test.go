package consensus

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// longLease makes the first member keep its leadership for a long time without
// contact to others, as a process does that was paused meanwhile.
func longLease(c *Config) {
	if c.Name == "m-0" {
		c.Heartbeat, c.Election, c.Lease = 12*time.Second, 12*time.Second, 12*time.Second
	}
}

// leadFirst makes the first member the leader.
func (c *cluster) leadFirst() *member {
	c.t.Helper()
	c.eventually("make "+c.Name(0)+" the leader", func() error {
		leader := c.whole()
		if leader == 0 {
			return nil
		}
		_, err := c.members[leader].node.Transfer(c.context(), c.Name(0))
		return fmt.Errorf("%s is the leader: %w", c.Name(leader), err)
	})
	return c.members[0]
}

// startWithLongLease forms a cluster with ordinary durations, and restarts it
// with a first member that has a long lease and leads.
func startWithLongLease(t *testing.T, w *links) (*cluster, *member) {
	t.Helper()
	c := newCluster(t, 3, w.configure)
	c.startAll()
	c.whole()
	for i := range c.members {
		c.stop(i)
	}
	c.configs = append(c.configs, longLease)
	c.startAll()
	return c, c.leadFirst()
}

// succeed cuts the first member off and waits until another is ready as leader.
func (c *cluster) succeed(w *links) *member {
	c.t.Helper()
	w.part(true, c.Name(0), c.Name(1))
	w.part(true, c.Name(0), c.Name(2))
	var next *member
	c.eventually("wait for a successor", func() error {
		for _, m := range c.members[1:] {
			if m.node.readyTerm() != 0 {
				next = m
				return nil
			}
		}
		return errors.New("no other leader is ready")
	})
	return next
}

// TestReadConfirmedByAcksOlderThanItself: a leader sends heartbeats and does
// not receive the responses; it is cut off; another is elected and commits;
// then a read begins at the old leader, and then the responses arrive. They
// prove that it was the leader once, not that it was when the read began.
func TestReadConfirmedByAcksOlderThanItself(t *testing.T) {
	t.Parallel()
	w := newLinks()
	c, old := startWithLongLease(t, w)
	c.propose("before")
	release := w.hold(c.Name(0))
	defer release()
	c.eventually("wait for responses to be held back", func() error {
		if w.heldBack(c.Name(0)) < 2 {
			return errors.New("too few responses are held")
		}
		return nil
	})
	next := c.succeed(w)
	_, committed, err := next.node.Propose(c.context(), []byte("after"))
	if err != nil {
		t.Fatal(err)
	}
	if old.node.readyTerm() == 0 {
		t.Fatal("the old leader stepped down: the test proves nothing")
	}

	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	type response struct {
		index uint64
		err   error
	}
	results := make(chan response, 1)
	go func() {
		index, err := old.node.ReadIndex(ctx)
		results <- response{index, err}
	}()
	time.Sleep(300 * time.Millisecond) // for the library to process the read
	release()
	if got := <-results; got.err == nil && got.index < committed {
		t.Fatalf("a read that began after %d was acknowledged saw %d", committed, got.index)
	}
}

// TestNothingIsAcknowledgedBeforeItIsCommitted checks that a leader that
// reaches no other member acknowledges nothing.
func TestNothingIsAcknowledgedBeforeItIsCommitted(t *testing.T) {
	t.Parallel()
	w := newLinks()
	c, old := startWithLongLease(t, w)
	c.propose("before")
	c.succeed(w)
	if old.node.readyTerm() == 0 {
		t.Fatal("the old leader stepped down: the test proves nothing")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	_, index, err := old.node.Propose(ctx, []byte("lost"))
	if err == nil {
		t.Fatalf("acknowledged at %d by one disk of three", index)
	}
	if !errors.Is(err, ErrUnknownOutcome) {
		t.Fatalf("got %v, want an unknown outcome: the command may still be committed", err)
	}
	c.propose("kept")
	w.part(false, c.Name(0), c.Name(1))
	w.part(false, c.Name(0), c.Name(2))
	c.agree("before", "kept")
}

// TestMembersWithoutVoteConfirmNoRead checks that a leader that reaches only a
// member without a vote confirms no read.
func TestMembersWithoutVoteConfirmNoRead(t *testing.T) {
	servers := []raft.Server{
		{ID: "a", Suffrage: raft.Voter},
		{ID: "b", Suffrage: raft.Voter},
		{ID: "c", Suffrage: raft.Voter},
		{ID: "n1", Suffrage: raft.Nonvoter},
		{ID: "n2", Suffrage: raft.Nonvoter},
	}
	for name, test := range map[string]struct {
		from map[raft.ServerID]ack
		self raft.ServerID
		want bool
	}{
		"no configuration":         {self: "a"},
		"members without a vote":   {map[raft.ServerID]ack{"n1": {term: 5, stamp: 7}, "n2": {term: 5, stamp: 7}}, "a", false},
		"one voter":                {map[raft.ServerID]ack{"b": {term: 5, stamp: 7}}, "a", true},
		"sent later":               {map[raft.ServerID]ack{"b": {term: 5, stamp: 8}}, "a", true},
		"sent before the read":     {map[raft.ServerID]ack{"b": {term: 5, stamp: 6}, "c": {term: 5, stamp: 6}}, "a", false},
		"of another term":          {map[raft.ServerID]ack{"b": {term: 4, stamp: 9}, "c": {term: 6, stamp: 9}}, "a", false},
		"a leader without a vote":  {map[raft.ServerID]ack{"b": {term: 5, stamp: 7}}, "n1", false},
		"two voters without it":    {map[raft.ServerID]ack{"b": {term: 5, stamp: 7}, "c": {term: 5, stamp: 7}}, "n1", true},
		"not in the configuration": {map[raft.ServerID]ack{"z": {term: 5, stamp: 7}}, "a", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAckTracker()
			for id, p := range test.from {
				w.record(id, p)
			}
			if got := w.ackedByMajority(servers, test.self, 5, 7); got != test.want {
				t.Fatalf("acknowledged by a majority: %v", got)
			}
		})
	}
	if newAckTracker().ackedByMajority(nil, "a", 5, 7) {
		t.Fatal("acknowledged by a majority of no configuration")
	}
}

// TestReadsReturnAcknowledgedWrites checks also that only the leader serves
// reads.
func TestReadsReturnAcknowledgedWrites(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.members[c.whole()]
	errs := make(chan error, 8)
	for i := range cap(errs) {
		go func() {
			errs <- func() error {
				for j := range 20 {
					_, index, err := leader.node.Propose(c.context(), fmt.Appendf(nil, "%d.%d", i, j))
					if err != nil {
						return err
					}
					read, err := leader.node.ReadIndex(c.context())
					if err != nil {
						return err
					}
					if read < index || leader.node.fsm.applied.get() < read {
						return fmt.Errorf("read %d after %d was acknowledged, applied %d", read, index, leader.node.fsm.applied.get())
					}
				}
				return nil
			}()
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range c.members {
		var follower *NotLeaderError
		if m == leader {
			continue
		}
		if _, err := m.node.ReadIndex(c.context()); !errors.As(err, &follower) {
			t.Errorf("%s is a follower, and ReadIndex returned %v", c.Name(i), err)
		}
		if _, _, err := m.node.Propose(c.context(), []byte("x")); !errors.As(err, &follower) || errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%s is a follower, and Propose returned %v", c.Name(i), err)
		}
	}
}
