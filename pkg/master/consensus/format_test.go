package consensus

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// halted waits until a member gives the reason that a newer version is needed.
func (c *cluster) halted(i int) {
	c.t.Helper()
	c.eventually("the old member is halted", func() error {
		s := c.members[i].node.Status()
		if s.GetReady() || !strings.Contains(s.GetReason(), "newer version") {
			return fmt.Errorf("its status is %v", s)
		}
		return nil
	})
	select {
	case err := <-c.members[i].fatal:
		c.t.Fatalf("the old member ended: %v", err)
	default:
	}
}

// A member of an older version meets a command that it does not know. It must
// not end, because its next start would meet the command again, and must not
// skip it, because its state would differ.
func TestAnOldMemberWaitsAtANewerCommand(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	old, other := (leader+1)%3, (leader+2)%3
	c.kill(old)
	c.old[old] = true
	c.start(old)
	c.whole()
	c.propose("known")
	c.agree("known")
	c.propose(newer + " command")
	c.propose("known, too")
	c.halted(old)

	// It stores entries, so that commands commit with it, and votes.
	c.kill(other)
	c.propose("with the old member")
	c.start(other)
	c.eventually("the other member has everything", func() error {
		if !slices.Contains(c.members[other].state.all(), "with the old member") {
			return errors.New("it has not")
		}
		return nil
	})
	c.kill(leader)
	if elected := c.leader(); elected != other {
		t.Fatalf("%s leads", c.Name(elected))
	}
	c.propose("elected with its vote")
	c.start(leader)

	if got := c.members[old].state.all(); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, newer) }) || slices.Contains(got, "known, too") {
		t.Errorf("the old member has applied %q", got)
	}
	if err := c.members[old].node.snapshot(); err == nil {
		t.Error("the old member took a snapshot of a state that lacks a command")
	}
	c.kill(old)
	c.start(old)
	c.halted(old)

	c.kill(old)
	c.old[old] = false
	c.start(old)
	c.whole()
	c.agree("known", newer+" command", "known, too", "with the old member", "elected with its vote")
}

// The command arrives within a snapshot.
func TestAnOldMemberWaitsAtANewerSnapshot(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, func(c *Config) {
		c.sizes = sizes{trailing: 1, threshold: 1 << 40, interval: time.Hour}
	})
	c.startAll()
	leader := c.whole()
	old := (leader + 1) % 3
	c.kill(old)
	c.propose(newer + " command")
	for i := range 10 {
		c.propose(fmt.Sprint("known ", i))
	}
	leader = c.leader()
	if err := c.members[leader].node.snapshot(); err != nil {
		t.Fatal(err)
	}
	c.old[old] = true
	c.start(old)
	c.halted(old)
	c.propose("after")
	c.kill(old)
	c.start(old)
	c.halted(old)
	c.kill(old)
	c.old[old] = false
	c.start(old)
	c.whole()
	c.agree(newer+" command", "after")
}

// New members of an older version meet a command that they do not know. They get no
// vote before they are upgraded: the loss of the only member that can lead would stop
// the cluster.
func TestAnOldNewcomerGetsNoVote(t *testing.T) {
	t.Parallel()
	r := newResizable(t, 3, 1)
	r.up(0)
	r.alone()
	r.propose("known")
	r.propose(newer + " command")
	r.old[1], r.old[2] = true, true
	r.list(3)
	r.up(1, 2)
	r.halted(1)
	r.halted(2)
	leader := r.members[0].node
	r.eventually("the newcomers have been caught up for long enough", func() error {
		for _, i := range []int{1, 2} {
			if !leader.health.stable(r.id(i), leader.config.Stabilization) {
				return fmt.Errorf("%s is not stable", r.Name(i))
			}
		}
		return nil
	})
	for range 20 {
		r.propose("commands continue")
	}
	if voters := countVoters(leader.servers()); voters != 1 {
		t.Fatalf("%d voters, of which one can apply the log", voters)
	}
	r.down(1, 2)
	r.old[1], r.old[2] = false, false
	r.up(1, 2)
	r.whole()
	r.agree("known", newer+" command", "commands continue")
}

// What may be proposed is what the oldest member of the configuration knows.
func TestFormatOfAMixedCluster(t *testing.T) {
	t.Parallel()
	formats := map[string]uint32{"m-0": 3, "m-1": 3, "m-2": 2}
	c := newCluster(t, 3, func(c *Config) { c.Format = formats[c.Name] })
	want := func(format uint32) {
		t.Helper()
		c.whole()
		c.eventually("the members know the format", func() error {
			for i, m := range c.members {
				if got := m.node.Format(); got != format {
					return fmt.Errorf("%s has format %d, want %d", c.Name(i), got, format)
				}
			}
			return nil
		})
	}
	c.startAll()
	want(2)
	c.kill(2)
	formats["m-2"] = 3
	c.start(2)
	want(3)
	c.kill(1)
	formats["m-1"] = 1
	c.start(1)
	want(1)
}
