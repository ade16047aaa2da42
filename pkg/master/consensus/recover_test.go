package consensus

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// recoverFrom recovers from a master whose others are lost, and starts it again.
func (c *cluster) recoverFrom(i int) *masterv1.RecoverResponse {
	c.t.Helper()
	m := c.members[i]
	var plan *masterv1.RecoverResponse
	c.eventually("recover", func() error {
		var err error
		plan, err = m.node.Recover(c.context(), true, 0)
		return err
	})
	// The process ends by itself.
	if err := <-m.ran; err != nil {
		c.t.Fatal(err)
	}
	m.ran <- nil
	c.kill(i)
	c.start(i)
	return plan
}

// loseOthers kills all members, starts one of them again, and wipes the disks of the
// others.
func (c *cluster) loseOthers(survivor int, wipe bool) {
	c.t.Helper()
	for i := range c.members {
		c.kill(i)
		if wipe && i != survivor {
			c.Wipe(i)
		}
	}
	c.configs = append(c.configs, func(c *Config) { c.Formed = true })
	c.start(survivor)
}

// TestRecoverWithLostDisks: two of three disks are lost, and the cluster continues with
// what the third has. The others join as new members.
func TestRecoverWithLostDisks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	survivor := (c.whole() + 1) % 3 // a follower
	c.propose("before")
	c.agree("before")
	if err := c.members[survivor].node.snapshot(); err != nil {
		t.Fatal(err)
	}
	c.propose("after the snapshot")
	c.agree("before", "after the snapshot")
	old := c.id(survivor)
	c.loseOthers(survivor, true)
	c.eventually("describe the recovery", func() error {
		plan, err := c.members[survivor].node.Recover(c.context(), false, 0)
		if err == nil && (plan.GetMemberId() != string(old) || plan.GetEpoch() != 1 || len(plan.GetLost()) != 2 || plan.GetLastIndex() == 0) {
			t.Fatalf("the plan is %v", plan)
		}
		return err
	})
	c.recoverFrom(survivor)
	if c.id(survivor) == old {
		t.Fatal("the recovered member has its old id")
	}
	if index := c.propose("alone"); epochOf(index) != 1 {
		t.Fatalf("a command of epoch 1 has index %d", index)
	}
	for i := range c.members {
		if i != survivor {
			c.start(i)
		}
	}
	c.whole()
	c.propose("last")
	c.agree("before", "after the snapshot", "alone", "last")
	// All of it survives a restart, and the epoch grows with the next recovery.
	for i := range c.members {
		c.kill(i)
	}
	c.startAll()
	c.whole()
	c.agree("before", "after the snapshot", "alone", "last")
	for i, m := range c.members {
		if m.node.epoch() != 1 {
			t.Errorf("%s is in epoch %d", c.Name(i), m.node.epoch())
		}
		if i != survivor {
			c.kill(i)
		}
	}
	if plan := c.recoverFrom(survivor); plan.GetEpoch() != 2 {
		t.Errorf("the second recovery leads to epoch %d", plan.GetEpoch())
	}
	c.propose("again")
}

// TestLostMembersDoNotReturnAsVoters: the disks were not lost. Two old members are a
// majority of the old configuration, and have an acknowledged change, and later terms,
// that the recovered one lacks.
func TestLostMembersDoNotReturnAsVoters(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	survivor := (c.whole() + 1) % 3
	c.propose("before")
	c.agree("before")
	c.kill(survivor)
	c.propose("lost")
	old := map[int]string{}
	for i, m := range c.members {
		if m != nil {
			old[i] = string(c.id(i))
		}
	}
	c.loseOthers(survivor, false)
	c.recoverFrom(survivor)
	c.propose("alone")
	// Both at once: they could elect one of them.
	returned := map[int]*member{}
	for i := range old {
		returned[i] = c.start(i)
	}
	for i, m := range returned {
		select {
		case err := <-m.fatal:
			if !strings.Contains(err.Error(), "recovered without this member") {
				t.Fatalf("%s stopped with %v", c.Name(i), err)
			}
		case <-time.After(waitTimeout):
			t.Fatalf("%s did not stop: %v", c.Name(i), m.node.Status())
		}
		if passed, _ := m.node.proof.state(); passed || m.node.readyTerm() != 0 {
			t.Fatalf("%s votes or leads", c.Name(i))
		}
	}
	for i := range old {
		c.kill(i)
		c.start(i)
	}
	c.whole()
	for i, id := range old {
		if string(c.id(i)) == id {
			t.Errorf("%s has its old id", c.Name(i))
		}
		if _, err := os.Stat(filepath.Join(c.DataDir(i), "aside-"+id)); err != nil {
			t.Errorf("its directory was not kept: %v", err)
		}
	}
	c.propose("after")
	c.agree("before", "alone", "after")
	if slices.Contains(c.members[survivor].state.all(), "lost") {
		t.Error("a command that only lost members had is there")
	}
}

// TestTestimonyOfAnEarlierEpoch: what a member of an earlier epoch reports does not count,
// and a member that learns of a later epoch ends.
func TestTestimonyOfAnEarlierEpoch(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.start(0)
	c.whole()
	c.propose("before")
	node := c.members[0].node
	term := func(epoch uint64) uint64 { return beginning(epoch).Term + 7 }
	if !node.sameEpoch("m-1", term(0), true) || !node.sameEpoch("m-1", 0, false) || !node.sameEpoch("m-1", term(3), false) {
		t.Error("a member of the same epoch, or without state, does not count")
	}
	c.kill(0)
	if _, err := c.offlineAt(0).Recover(); err != nil {
		t.Fatal(err)
	}
	m := c.start(0)
	c.whole()
	if m.node.sameEpoch("m-1", term(0), true) {
		t.Error("a member of an earlier epoch counts")
	}
	request := &masterv1.DescribeRequest{MemberId: "m-1-ff", Record: true, Caller: &masterv1.MemberRecord{Start: 1, StartId: "a", LastTerm: 3, LastIndex: 9}}
	m.node.Describe(request)
	if _, known := m.node.memory.of("m-1-ff"); known {
		t.Error("a member of an earlier epoch was recorded")
	}
	request.Caller.LastTerm = term(2)
	m.node.Describe(request)
	select {
	case err := <-m.fatal:
		if !strings.Contains(err.Error(), "of epoch 2") {
			t.Error(err)
		}
	case <-time.After(waitTimeout):
		t.Error("a member that learned of a later epoch continues")
	}
}

// TestRecoverRefuses while it would do harm.
func TestRecoverRefuses(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	for i, m := range c.members {
		if _, err := m.node.Recover(c.context(), true, 0); err == nil || !strings.Contains(err.Error(), "leads") {
			t.Errorf("%s: with a leader: %v", c.Name(i), err)
		}
	}
	// An unfinished recovery has no effect.
	at := (leader + 1) % 3
	c.kill(at)
	dir := memberDir{c.DataDir(at)}
	if err := os.MkdirAll(dir.unfinished(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir.unfinished(), exchangeFile), []byte(`{"former":"m-1-ff"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	id := c.idOnDisk(at)
	c.start(at)
	c.whole()
	if left, _ := exists(dir.unfinished()); left || string(c.id(at)) != id {
		t.Errorf("the member is %s, and was %s; unfinished directory: %v", c.id(at), id, left)
	}
}

// TestRecoverWithAnEmptyDisk has nothing to continue with.
func TestRecoverWithAnEmptyDisk(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, func(c *Config) { c.Formed = true })
	m := c.start(0)
	if _, err := m.node.Recover(c.context(), true, 0); !errors.Is(err, errNoState) {
		t.Errorf("got %v", err)
	}
}

// TestRecoverNeedsAKnownFormat: a command of a newer version must not be skipped.
func TestRecoverNeedsAKnownFormat(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.start(0)
	c.whole()
	c.propose(newer)
	c.kill(0)
	id := c.idOnDisk(0)
	o := c.offlineAt(0)
	o.State = &journal{old: true}
	if _, err := o.Recover(); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("got %v", err)
	}
	if now := c.idOnDisk(0); now != id {
		t.Errorf("the member is %s, and was %s", now, id)
	}
}
