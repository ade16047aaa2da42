package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patient makes members hold requests for as long as tests wait.
func patient(c *Config) { c.hooks.leaderWait = waitTimeout }

// writers propose commands at one member without pause, until stop is called, which
// returns how many were refused with the member's own name. Each refusal must name
// a leader.
func (c *cluster) writers(at int) (stop func() int64) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*waitTimeout)
	node, name := c.members[at].node, c.Name(at)
	var own atomic.Int64
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			for j := 0; ; j++ {
				_, _, err := node.Propose(ctx, fmt.Appendf(nil, "%s-%d-%d", name, i, j))
				if ctx.Err() != nil {
					return
				}
				var follower *NotLeaderError
				if errors.As(err, &follower) && follower.Leader == "" {
					c.t.Errorf("%s refused a command and named no leader", name)
				}
				if errors.As(err, &follower) && follower.Leader == name {
					own.Add(1)
				}
				if err != nil {
					return
				}
			}
		})
	}
	return func() int64 {
		cancel()
		wait.Wait()
		return own.Load()
	}
}

// TestARefusalNamesTheSuccessor checks that a leader that hands leadership over
// holds commands until it can name its successor, and names it also when it ends.
func TestARefusalNamesTheSuccessor(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, patient)
	c.startAll()
	for range 3 {
		leader := c.whole()
		stop := c.writers(leader)
		tries := 0
		c.eventually("transfer leadership", func() error {
			tries++
			_, err := c.members[leader].node.Transfer(c.context(), "")
			return err
		})
		c.eventually("wait for the successor", func() error {
			if c.leader() == leader {
				return errors.New("the leader is still the old one")
			}
			return nil
		})
		// An attempt that fails leaves the old leader in office.
		if own := stop(); own > 0 && tries == 1 {
			t.Errorf("%s named itself as the leader %d times while it handed leadership over", c.Name(leader), own)
		}
	}
	leader := c.whole()
	node := c.members[leader].node
	c.eventually("hand leadership over", func() error {
		if !node.handOver(c.context()) && c.leader() == leader {
			return errors.New("it could not be handed over")
		}
		return nil
	})
	c.stop(leader)
	var follower *NotLeaderError
	if _, _, err := node.Propose(t.Context(), []byte("x")); !errors.As(err, &follower) || follower.Leader == "" || follower.Leader == c.Name(leader) {
		t.Errorf("a master that has ended returned %v", err)
	}
}

// TestAFollowerHoldsRequestsDuringAnElection checks that a request at a member that
// knows no leader is executed by it or refused with the name of the leader, once
// there is one.
func TestAFollowerHoldsRequestsDuringAnElection(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, patient)
	c.startAll()
	leader := c.whole()
	c.kill(leader)
	for i, m := range c.members {
		if m == nil {
			continue
		}
		c.eventually("wait until the leader is missed", func() error {
			if name, _ := m.node.Leader(); name == c.Name(leader) {
				return errors.New("the leader that has ended is known")
			}
			return nil
		})
		_, err := m.node.ReadIndex(c.context())
		var follower *NotLeaderError
		if errors.As(err, &follower) && (follower.Leader == "" || follower.Leader == c.Name(i)) {
			t.Errorf("%s refused a read and named %q as the leader", c.Name(i), follower.Leader)
		}
	}
}

// TestAMemberWithoutALeaderRefusesInTheEnd checks that a member that has been
// without a leader for long holds nothing, and that no request is held beyond its
// deadline.
func TestAMemberWithoutALeaderRefusesInTheEnd(t *testing.T) {
	t.Parallel()
	w := newLinks()
	c := newCluster(t, 3, w.configure)
	c.startAll()
	alone := (c.whole() + 1) % 3
	for i := range c.members {
		if i != alone {
			w.part(true, c.Name(alone), c.Name(i))
		}
	}
	node := c.members[alone].node
	c.eventually("wait until the leader is missed", func() error {
		if name, _ := node.Leader(); name != "" {
			return fmt.Errorf("%s is known", name)
		}
		return nil
	})
	absent, _ := node.leaders.get()
	var follower *NotLeaderError
	if _, _, err := node.Propose(c.context(), []byte("x")); !errors.As(err, &follower) || follower.Leader != "" {
		t.Errorf("without a leader: %v", err)
	}
	if held := time.Since(absent); held < leaderWait {
		t.Errorf("a command was refused after %s, before an election could end", held)
	}
	if left := node.held(c.context()); left > 0 {
		t.Errorf("requests are held for %s more", left)
	}
	node.leaders.update(func() string { return "another" })
	node.leaders.update(func() string { return "" })
	ctx, cancel := context.WithTimeout(t.Context(), leaderWait/8)
	defer cancel()
	if left := node.held(ctx); left > 0 {
		t.Errorf("a request is held for %s, to within %s of its deadline", left, leaderWait/8-left)
	}
}
