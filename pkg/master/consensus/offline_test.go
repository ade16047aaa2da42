package consensus

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
)

// offlineAt returns the directory of a master that does not run.
func (c *cluster) offlineAt(i int) *Offline {
	return &Offline{
		Name: c.Name(i), DataDir: c.DataDir(i), ClusterID: consensustest.ClusterID, Topology: c.Topology, State: &journal{}, Logger: c.logger,
	}
}

// idOnDisk returns the id of a member that does not run.
func (c *cluster) idOnDisk(i int) string {
	c.t.Helper()
	found, err := memberDir{c.DataDir(i)}.readIdentity(c.Name(i), consensustest.ClusterID)
	if err != nil {
		c.t.Fatal(err)
	}
	return found.ID
}

// survivors returns a cluster of three of which no member runs, and one of the followers,
// which has two commands, one of them in a snapshot.
func survivors(t *testing.T) (*cluster, int) {
	t.Helper()
	c := newCluster(t, 3)
	c.startAll()
	survivor := (c.whole() + 1) % 3
	c.propose("one")
	c.agree("one")
	if err := c.members[survivor].node.snapshot(); err != nil {
		t.Fatal(err)
	}
	c.propose("two")
	c.agree("one", "two")
	for i := range c.members {
		c.kill(i)
	}
	return c, survivor
}

// TestARunningMastersDirectoryIsRefused: the directory is locked.
func TestARunningMastersDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.start(0)
	c.whole()
	c.propose("one")
	if _, err := c.offlineAt(0).Recover(); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("got %v", err)
	}
	c.propose("two")
	c.kill(0)
	if _, err := c.offlineAt(0).Recover(); err != nil {
		t.Error(err)
	}
	c.start(0)
	c.whole()
	c.agree("one", "two")
}

// TestOfflineRecoveryIsDescribedFirst and changes nothing then.
func TestOfflineRecoveryIsDescribedFirst(t *testing.T) {
	t.Parallel()
	c, survivor := survivors(t)
	id := c.idOnDisk(survivor)
	plan, err := c.offlineAt(survivor).Describe()
	if err != nil {
		t.Fatal(err)
	}
	if plan.GetMemberId() != id || plan.GetEpoch() != 1 || len(plan.GetLost()) != 2 {
		t.Errorf("the plan is %v", plan)
	}
	seen := c.offlineAt(survivor)
	seen.Seen = beginning(2).Index + 9
	if later, err := seen.Describe(); err != nil || later.GetEpoch() != 3 {
		t.Errorf("when clients have seen epoch 2: epoch %d, %v", later.GetEpoch(), err)
	}
	for _, lost := range plan.GetLost() {
		if !lost.GetVoter() || lost.GetName() == c.Name(survivor) {
			t.Errorf("lost: %v", lost)
		}
	}
	if now := c.idOnDisk(survivor); now != id {
		t.Errorf("the member is %s, and was %s", now, id)
	}
	missing := c.offlineAt(survivor)
	missing.DataDir += "-missing"
	if _, err := missing.Describe(); err == nil {
		t.Error("a missing directory was described")
	} else if made, _ := exists(missing.DataDir); made {
		t.Error("a missing directory was created")
	}
}

// TestExchangeIsInterrupted after each of its steps, and before the first: the next start
// uses the replacement if and only if the former directory was moved, and the recovery
// may be run again.
func TestExchangeIsInterrupted(t *testing.T) {
	t.Parallel()
	const moved = 2 // the steps after which the former directory is moved
	c, survivor := survivors(t)
	before := t.TempDir()
	if err := os.CopyFS(before, os.DirFS(c.DataDir(survivor))); err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		for steps := range 6 {
			c.Wipe(survivor)
			if err := os.CopyFS(c.DataDir(survivor), os.DirFS(before)); err != nil {
				t.Fatal(err)
			}
			former := c.idOnDisk(survivor)
			dir := memberDir{c.DataDir(survivor)}
			o := c.offlineAt(survivor)
			at := beginning(1)
			if _, err := o.load(dir, o.State); err != nil {
				t.Fatal(err)
			}
			next := identity{Format: identityFormat, ID: c.Name(survivor) + "-0011223344556677", Name: o.Name, ClusterID: o.ClusterID}
			if err := o.prepare(dir, next, at); err != nil {
				t.Fatal(err)
			}
			all := dir.exchangeSteps(exchangeRecord{Former: former, Reason: "test"})
			for _, step := range all[:min(steps, len(all))] {
				if err := step(); err != nil {
					t.Fatal(err)
				}
			}
			if again {
				plan, err := c.offlineAt(survivor).Recover()
				want := uint64(1)
				if steps >= moved {
					want = 2
				}
				if err != nil || plan.GetEpoch() != want {
					t.Fatalf("after %d steps: run again: epoch %d, want %d: %v", steps, plan.GetEpoch(), want, err)
				}
			}
			c.start(survivor)
			replaced := string(c.id(survivor)) != former
			if want := again || steps >= moved; replaced != want {
				t.Fatalf("after %d steps: replaced: %v, want %v", steps, replaced, want)
			}
			if !replaced {
				c.recoverFrom(survivor)
			}
			c.leader()
			c.propose("three")
			if got := c.members[survivor].state.all(); !slices.Equal(got, []string{"one", "two", "three"}) {
				t.Errorf("after %d steps: %q", steps, got)
			}
			c.kill(survivor)
			left, err := os.ReadDir(c.DataDir(survivor))
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range left {
				switch name := entry.Name(); {
				case name == "member", name == "lock", name == "reserve", strings.HasPrefix(name, asidePrefix):
				default:
					t.Errorf("after %d steps: %s is left", steps, name)
				}
			}
			if kept, _ := exists(filepath.Join(c.DataDir(survivor), asidePrefix+former)); !kept {
				t.Errorf("after %d steps: the former directory was not kept", steps)
			}
			if left, _ := exists(filepath.Join(dir.member(), exchangeFile)); left {
				t.Errorf("after %d steps: the record of the exchange is left", steps)
			}
		}
	}
}

// TestRestoreIntoEmptyDisks: a cluster that lost every disk continues with a saved state.
func TestRestoreIntoEmptyDisks(t *testing.T) {
	t.Parallel()
	saved := func() StateMachine { return &journal{commands: []string{"one", "two"}} }
	c := newCluster(t, 3, func(c *Config) { c.Formed = true })
	c.start(0)
	c.start(1)
	if _, err := c.members[0].node.Restore(c.context(), saved(), 40, 0); err == nil || !strings.Contains(err.Error(), "every master must report") {
		t.Errorf("while a master does not respond: %v", err)
	}
	c.start(2)
	epoch, err := c.members[0].node.Restore(c.context(), saved(), beginning(4).Index+40, beginning(7).Index+3)
	if err != nil || epoch != 8 {
		t.Fatalf("epoch %d, %v", epoch, err)
	}
	c.kill(0)
	c.start(0)
	c.whole()
	c.propose("three")
	c.agree("one", "two", "three")
	for i, m := range c.members {
		if _, err := m.node.Restore(c.context(), saved(), 40, 0); err == nil || !strings.Contains(err.Error(), "holds a state") {
			t.Errorf("%s: with state: %v", c.Name(i), err)
		}
	}
	for i := range c.members {
		c.kill(i)
	}
	if _, err := c.offlineAt(1).Restore(40); err == nil || !strings.Contains(err.Error(), "holds a state") {
		t.Errorf("offline, with state: %v", err)
	}
}
