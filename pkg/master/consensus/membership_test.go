package consensus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

func TestAWipedMemberComesBackAsANewOne(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	c.propose("before")
	lost := (leader + 1) % 3
	old := c.id(lost)
	c.kill(lost)
	c.propose("meanwhile")
	c.Wipe(lost)
	c.start(lost)
	c.eventually("waiting for the old id to be replaced", func() error {
		for i, m := range c.members {
			if _, there := find(m.node.servers(), old); there {
				return fmt.Errorf("%s still has %s", c.Name(i), old)
			}
		}
		return nil
	})
	c.whole()
	if c.id(lost) == old {
		t.Fatal("it has its old id")
	}
	c.propose("after")
	c.agree("before", "meanwhile", "after")
}

// TestTwoLostDisksEndInRefusal: one member is no majority of the three that
// promised, whatever the two new ones say.
func TestTwoLostDisksEndInRefusal(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, func(c *Config) { c.Formed = true })
	c.configs = nil
	c.startAll()
	leader := c.whole()
	c.propose("before")
	for i := range c.members {
		c.kill(i)
		if i != leader {
			c.Wipe(i)
		}
	}
	c.configs = []func(*Config){func(c *Config) { c.Formed = true }}
	c.startAll()
	c.eventually("waiting for all to say why", func() error {
		for i, m := range c.members {
			if i != leader && m.node.Reason() == "" {
				return fmt.Errorf("%s does not", c.Name(i))
			}
		}
		return nil
	})
	time.Sleep(3 * time.Second)
	for i, m := range c.members {
		if m.node.Status().GetReady() || m.node.readyTerm() != 0 {
			t.Errorf("%s says it is ready", c.Name(i))
		}
		if i != leader && m.node.voter() {
			t.Errorf("%s votes with an empty disk", c.Name(i))
		}
	}
}

func TestFormedNeverFormsAgain(t *testing.T) {
	t.Parallel()
	for name, formed := range map[string]func(string) bool{
		"all were told":           func(string) bool { return true },
		"only the first was told": func(name string) bool { return name == "m-0" },
		"only another was told":   func(name string) bool { return name == "m-2" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3, func(c *Config) { c.Formed = formed(c.Name) })
			c.startAll()
			c.eventually("waiting for a refusal", func() error {
				for i, m := range c.members {
					if reason := m.node.Reason(); reason == "" {
						return fmt.Errorf("%s says nothing", c.Name(i))
					}
				}
				if !strings.Contains(c.members[0].node.Reason(), NoStateLeft) {
					return fmt.Errorf("the first says %q", c.members[0].node.Reason())
				}
				return nil
			})
			time.Sleep(time.Second)
			for i, m := range c.members {
				if m.node.hasState() || len(m.node.servers()) > 0 {
					t.Errorf("%s has a cluster", c.Name(i))
				}
			}
		})
	}
}

func TestFormationWaitsForEveryMember(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.start(0)
	c.start(1)
	c.eventually("waiting for the first to wait", func() error {
		if !strings.Contains(c.members[0].node.Reason(), "m-2 does not answer") {
			return fmt.Errorf("it says %q", c.members[0].node.Reason())
		}
		return nil
	})
	if c.members[0].node.hasState() {
		t.Fatal("it did not wait")
	}
	c.start(2)
	c.whole()
}

// TestAForeignMemberStopsFormation: whoever answers where the roster has a
// member must be that member, of this cluster.
func TestAForeignMemberStopsFormation(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer *masterv1.DescribeResponse
		want   string
	}{
		"of another cluster": {&masterv1.DescribeResponse{Name: "m-1", ClusterId: "another"}, "belongs to cluster"},
		"of another name":    {&masterv1.DescribeResponse{Name: "m-9", ClusterId: consensustest.ClusterID}, "m-9 answers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			c.Up(1, stranger{test.answer})
			c.start(0)
			c.eventually("waiting for a refusal", func() error {
				if !strings.Contains(c.members[0].node.Reason(), test.want) {
					return fmt.Errorf("it says %q", c.members[0].node.Reason())
				}
				return nil
			})
			if c.members[0].node.hasState() {
				t.Fatal("a cluster was formed")
			}
		})
	}
}

// TestAMemberThatWasReplacedRetires: it comes back with its old disk, learns
// that its place is taken, ends, and starts again as a new member.
func TestAMemberThatWasReplacedRetires(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	lost := (c.whole() + 1) % 3
	old := c.id(lost)
	c.kill(lost)
	kept := c.DataDir(lost) + ".kept"
	if err := os.Rename(c.DataDir(lost), kept); err != nil {
		t.Fatal(err)
	}
	c.start(lost)
	c.whole()
	c.kill(lost)
	c.Wipe(lost)
	if err := os.Rename(kept, c.DataDir(lost)); err != nil {
		t.Fatal(err)
	}
	m := c.start(lost)
	if m.node.id != old {
		t.Fatal("the old disk has another id")
	}
	select {
	case err := <-m.fatal:
		if !strings.Contains(err.Error(), "was replaced") {
			t.Fatalf("it ended with %v", err)
		}
	case <-time.After(waitTimeout):
		t.Fatal("it never noticed")
	}
	c.kill(lost)
	c.start(lost)
	c.whole()
	if c.id(lost) == old {
		t.Fatal("it came back under its old id")
	}
	if _, err := os.Stat(filepath.Join(c.DataDir(lost), "aside-"+string(old))); err != nil {
		t.Fatalf("its old directory is gone: %v", err)
	}
}

func TestJoinRefuses(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	other := (leader + 1) % 3
	node := c.members[leader].node
	sound := func() *masterv1.JoinRequest {
		return &masterv1.JoinRequest{
			Name: c.Name(other), MemberId: c.Name(other) + "-ffffffffffffffff",
			Address: c.Topology.Masters[other].RaftAddress(), ClusterId: consensustest.ClusterID,
		}
	}
	for name, test := range map[string]struct {
		change func(*masterv1.JoinRequest)
		want   string
	}{
		"another cluster":  {func(r *masterv1.JoinRequest) { r.ClusterId = "another" }, "belongs to cluster"},
		"not listed":       {func(r *masterv1.JoinRequest) { r.Name, r.MemberId = "m-9", "m-9-ff" }, "not among the masters"},
		"id of another":    {func(r *masterv1.JoinRequest) { r.MemberId = "m-9-ff" }, "not an id"},
		"the leader's own": {func(r *masterv1.JoinRequest) { r.Name, r.MemberId = c.Name(leader), c.Name(leader)+"-ff" }, "own name"},
		"no address":       {func(r *masterv1.JoinRequest) { r.Address = "" }, "no address"},
	} {
		r := sound()
		test.change(r)
		if _, err := node.AddMember(c.context(), r); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want it to say %q", name, err, test.want)
		}
	}
	var follower *NotLeaderError
	if _, err := c.members[other].node.AddMember(c.context(), &masterv1.JoinRequest{
		Name: c.Name(leader), MemberId: string(node.id), Address: "x:1", ClusterId: consensustest.ClusterID,
	}); !errors.As(err, &follower) || follower.Leader != c.Name(leader) {
		t.Errorf("a follower answers %v", err)
	}
	r := sound()
	r.HasState = true
	if answer, err := node.AddMember(c.context(), r); err != nil || !answer.GetRemoved() {
		t.Errorf("a stranger with a log: %v, %v", answer, err)
	}
	if got := len(node.servers()); got != 3 {
		t.Errorf("the configuration has %d members now", got)
	}
}

// TestMayRemove: what is left must have a majority that is alive and caught
// up.
func TestMayRemove(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	a, b := (leader+1)%3, (leader+2)%3
	node := c.members[leader].node
	if err := node.mayRemove(c.id(a)); err != nil {
		t.Errorf("with the other follower alive: %v", err)
	}
	lost := c.id(a)
	c.kill(b)
	c.eventually("waiting for the other follower to be missed", func() error {
		if err := node.mayRemove(lost); err == nil {
			return errors.New("it may be removed")
		}
		return nil
	})
}

func TestHandingLeadershipOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	to := (leader + 1) % 3
	name, err := c.members[leader].node.Transfer(c.context(), c.Name(to))
	if err != nil || name != c.Name(to) {
		t.Fatalf("got %q, %v", name, err)
	}
	c.eventually("waiting for the heir", func() error {
		if got := c.whole(); got != to {
			return fmt.Errorf("%s leads", c.Name(got))
		}
		return nil
	})
	var follower *NotLeaderError
	if _, err := c.members[leader].node.Transfer(c.context(), ""); !errors.As(err, &follower) {
		t.Errorf("a follower hands over: %v", err)
	}
	if name, err := c.members[to].node.Transfer(c.context(), c.Name(to)); err != nil || name != c.Name(to) {
		t.Errorf("to itself: %q, %v", name, err)
	}
	if _, err := c.members[to].node.Transfer(c.context(), "m-9"); err == nil {
		t.Error("to nobody")
	}
	// The library's own choice after an election may be a dead member.
	dead := 3 - leader - to
	c.kill(dead)
	c.eventually("waiting for the dead member to be missed", func() error {
		if successor, err := c.members[to].node.successor(""); err != nil || successor.ID != c.id(leader) {
			return fmt.Errorf("the heir is %s, %w", successor.ID, err)
		}
		return nil
	})
	if name, err := c.members[to].node.Transfer(c.context(), ""); err != nil || name != c.Name(leader) {
		t.Fatalf("got %q, %v", name, err)
	}
}

// TestAMemberWithoutVoteIsNotReady, and gets no leadership.
func TestAMemberWithoutVoteIsNotReady(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	other := (leader + 1) % 3
	node := c.members[leader].node
	c.members[other].idle() // or it would ask for its vote again
	if err := node.change(c.context(), node.raft.DemoteVoter(c.id(other), 0, waitTimeout)); err != nil {
		t.Fatal(err)
	}
	for _, s := range node.servers() {
		if s.ID == c.id(other) && s.Suffrage == raft.Voter {
			t.Fatal("it still votes")
		}
	}
	c.eventually("waiting for it to know", func() error {
		if status := c.members[other].node.Status(); status.GetVoter() || status.GetReady() || status.GetState() != stateJoining {
			return fmt.Errorf("its status is %v", status)
		}
		return nil
	})
	if _, err := node.Transfer(c.context(), c.Name(other)); err == nil {
		t.Fatal("it was made leader")
	}
}

// stranger answers where a member should.
type stranger struct{ answer *masterv1.DescribeResponse }

func (s stranger) Describe() *masterv1.DescribeResponse { return s.answer }

func (s stranger) AddMember(context.Context, *masterv1.JoinRequest) (*masterv1.JoinResponse, error) {
	return nil, errors.New("not here")
}
