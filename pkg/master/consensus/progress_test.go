package consensus

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

func TestCaughtUpNeedsTheLeadersCommitIndexAndReplication(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := &progress{limit: time.Minute}
	check := func(step string, applied uint64, want bool) {
		t.Helper()
		if got := p.caughtUp(applied, now); got != want {
			t.Errorf("%s: caught up: %v, want %v", step, got, want)
		}
	}
	check("after a start", 100, false)
	p.accept(100, 100, now)
	check("replicated to, and without an index of the leader", 100, false)
	p.observe(200, now)
	check("before the leader's index", 199, false)
	check("past the leader's index", 200, true)
	p.observe(300, now)
	check("the first index counts", 200, true)
	now = now.Add(50 * time.Second)
	check("a slow write", 200, true)
	p.accept(1000, 200, now)
	now = now.Add(20 * time.Second)
	check("replicated to, and too far behind for too long", 200, false)
	p.accept(1000, 1000-joinLag, now)
	check("behind by little", 1000-joinLag, true)
	now = now.Add(2 * time.Minute)
	check("not replicated to for too long", 1000, false)
	p.accept(1000, 1000, now)
	check("replicated to again", 1000, false)
	if !p.unknown(now) {
		t.Error("the leader is not asked for its index again")
	}
	p.observe(1000, now)
	check("with a new index", 1000, true)
	if p.unknown(now) || p.commitIndex() != 1000 {
		t.Errorf("the commit index is %d", p.commitIndex())
	}
}

// A follower that receives heartbeats and nothing else is not ready: were it
// counted on, commands would stall once another member stops.
func TestAFollowerThatReceivesOnlyHeartbeatsIsNotReady(t *testing.T) {
	t.Parallel()
	w := newLinks()
	c := newCluster(t, 3, w.configure)
	c.startAll()
	leader := c.whole()
	a, b := (leader+1)%3, (leader+2)%3
	c.kill(a)
	w.silence(true, c.Name(leader), c.Name(a))
	index := c.propose("while it was away")
	follower := c.start(a)
	c.eventually("the follower knows the leader, and what it lacks", func() error {
		if s := follower.node.Status(); s.GetLeader() != c.Name(leader) || s.GetCommitIndex() < index || s.GetAppliedIndex() >= index {
			return fmt.Errorf("its status is %v", s)
		}
		return nil
	})
	if s := follower.node.Status(); s.GetReady() || s.GetReason() == "" {
		t.Fatalf("it receives no entries, and its status is %v", s)
	}
	w.silence(false, c.Name(leader), c.Name(a))
	c.eventually("the follower is ready", func() error {
		if s := follower.node.Status(); !s.GetReady() {
			return errors.New(s.GetReason())
		}
		return nil
	})
	c.kill(b)
	c.propose("with two of three")
	c.agree("while it was away", "with two of three")
}

// Also after contact was lost.
func TestAFollowerIsNotReadyWithoutReplication(t *testing.T) {
	t.Parallel()
	w := newLinks()
	c := newCluster(t, 3, w.configure, func(c *Config) {
		c.Heartbeat, c.Election, c.Lease = 250*time.Millisecond, time.Second, 200*time.Millisecond
	})
	c.startAll()
	leader := c.whole()
	a := (leader + 1) % 3
	w.silence(true, c.Name(leader), c.Name(a))
	c.eventually("the follower is not ready", func() error {
		if s := c.members[a].node.Status(); s.GetReady() {
			return fmt.Errorf("its status is %v", s)
		}
		return nil
	})
	w.silence(false, c.Name(leader), c.Name(a))
	c.whole()
}

// older is a member of a version whose Describe returns an identity only.
type older struct{ *Node }

func (o older) Describe(*masterv1.DescribeRequest) *masterv1.DescribeResponse {
	d := o.Node.Describe(&masterv1.DescribeRequest{})
	return &masterv1.DescribeResponse{Name: d.GetName(), MemberId: d.GetMemberId(), HasState: d.GetHasState(), ClusterId: d.GetClusterId(), Formed: d.GetFormed()}
}

// Members are updated one after the other, the leader last.
func TestAFollowerIsReadyUnderAnOlderLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	a := (leader + 1) % 3
	c.kill(a)
	c.propose("while it was away")
	for i, m := range c.members {
		if m != nil {
			c.Up(i, older{m.node})
		}
	}
	c.start(a)
	c.whole()
	c.agree("while it was away")
}
