package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// longLease makes the first member keep its leadership for a long time without
// contact to others, as a process does that was paused meanwhile.
func longLease(c *Config) {
	if c.Name == "m-0" {
		c.Heartbeat, c.Election, c.Lease = waitTimeout/2, waitTimeout/2, waitTimeout/2
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
func (c *cluster) succeed(w *links) {
	c.t.Helper()
	w.part(true, c.Name(0), c.Name(1))
	w.part(true, c.Name(0), c.Name(2))
	c.eventually("wait for a successor", func() error {
		for _, m := range c.members[1:] {
			if m.node.readyTerm() != 0 {
				return nil
			}
		}
		return errors.New("no other leader is ready")
	})
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
	c.succeed(w)
	committed := c.proposeTo(c.members[1:], "after")
	if old.node.readyTerm() == 0 {
		t.Fatal("the old leader stepped down: the test proves nothing")
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type response struct {
		index uint64
		err   error
	}
	results := make(chan response, 1)
	round := old.node.acks.stamp()
	go func() {
		index, err := old.node.ReadIndex(ctx)
		results <- response{index, err}
	}()
	c.eventually("the read begins", func() error {
		if old.node.acks.stamp() == round {
			return errors.New("no round began")
		}
		return nil
	})
	// The library chooses among what it has to process at random: after many later
	// commands, it has processed the read.
	for range 20 {
		last := old.node.raft.LastIndex()
		old.node.raft.ApplyLog(raft.Log{Data: []byte("later")}, 0)
		c.eventually("a command is in the log", func() error {
			if old.node.raft.LastIndex() == last {
				return errors.New("it is not")
			}
			return nil
		})
	}
	release()
	// A correct read ends with its context.
	defer time.AfterFunc(4*time.Second, cancel).Stop()
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
	c.proposeTo(c.members[1:], "kept")
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
	c.whole()
	ctx := c.context()
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := 0; j < 20; {
				switch err := c.readBack(ctx, fmt.Appendf(nil, "%d.%d", i, j)); {
				case err == nil:
					j++
				case ctx.Err() != nil || !refusedByLeader(err):
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	c.eventually("followers refuse under one leader", func() error {
		leader := c.whole()
		term := c.members[leader].node.readyTerm()
		var served error
		for i, m := range c.members {
			if i == leader {
				continue
			}
			var follower *NotLeaderError
			if _, err := m.node.ReadIndex(ctx); !errors.As(err, &follower) {
				served = fmt.Errorf("%s is a follower, and ReadIndex returned %w", c.Name(i), err)
			}
			if _, _, err := m.node.Propose(ctx, []byte("x")); !errors.As(err, &follower) || errors.Is(err, ErrUnknownOutcome) {
				served = fmt.Errorf("%s is a follower, and Propose returned %w", c.Name(i), err)
			}
		}
		if c.members[leader].node.readyTerm() != term || term == 0 {
			return errors.New("the leader has changed")
		}
		if served != nil {
			t.Error(served)
		}
		return nil
	})
}

// readBack proposes a command to the leader, and reads there once it is
// acknowledged.
func (c *cluster) readBack(ctx context.Context, command []byte) error {
	for _, m := range c.members {
		if m.node.readyTerm() == 0 {
			continue
		}
		_, index, err := m.node.Propose(ctx, command)
		if err != nil {
			return err
		}
		read, err := m.node.ReadIndex(ctx)
		if err == nil && (read < index || m.node.fsm.applied.get() < read) {
			err = fmt.Errorf("read %d after %d was acknowledged, applied %d", read, index, m.node.fsm.applied.get())
		}
		return err
	}
	return &NotLeaderError{}
}

// refusedByLeader reports whether an error may be that of a leader that has lost
// its leadership.
func refusedByLeader(err error) bool {
	var follower *NotLeaderError
	return errors.As(err, &follower) || errors.Is(err, ErrUnknownOutcome)
}
