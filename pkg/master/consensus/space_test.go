package consensus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// volumes are the file systems of members, whose free space a test sets.
type volumes struct {
	mu   sync.Mutex
	free map[string]uint64
}

const volumeSize = 100 << 20

func newVolumes() *volumes { return &volumes{free: map[string]uint64{}} }

func (v *volumes) configure(c *Config) {
	name := c.Name
	c.hooks.measure = func(string) (size, free uint64, err error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if free, ok := v.free[name]; ok {
			return volumeSize, free, nil
		}
		return volumeSize, volumeSize / 2, nil
	}
}

// set sets the free space of members' volumes.
func (v *volumes) set(free uint64, names ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, name := range names {
		v.free[name] = free
	}
}

// refuses waits until the i-th member, which leads, refuses commands with words
// in the reason.
func (c *cluster) refuses(i int, words string) {
	c.t.Helper()
	c.eventually("commands are refused", func() error {
		_, _, err := c.members[i].node.Propose(c.context(), []byte("refused"))
		if !errors.Is(err, ErrDiskFull) || errors.Is(err, ErrUnknownOutcome) || !strings.Contains(err.Error(), words) {
			return fmt.Errorf("a command: %w", err)
		}
		return nil
	})
}

func TestAMasterWithAFullDiskIsReadOnly(t *testing.T) {
	t.Parallel()
	v := newVolumes()
	c := newCluster(t, 1, v.configure)
	c.start(0)
	c.whole()
	c.propose("before")
	v.set(0, c.Name(0))
	c.refuses(0, c.DataDir(0))
	for range 3 {
		c.kill(0)
		m := c.start(0)
		c.whole()
		c.refuses(0, "full")
		if _, err := m.node.ReadIndex(c.context()); err != nil {
			t.Errorf("a read: %v", err)
		}
		if s := m.node.Status(); !s.GetReadOnly() || !strings.Contains(s.GetReason(), "full") || m.node.Reason() != s.GetReason() {
			t.Errorf("the status is %v", s)
		}
		select {
		case err := <-m.fatal:
			t.Fatalf("the member ended: %v", err)
		default:
		}
	}
	if err := c.members[0].node.snapshot(); err != nil {
		t.Errorf("a snapshot: %v", err)
	}
	v.set(volumeSize/2, c.Name(0))
	c.eventually("a command is accepted", func() error {
		_, _, err := c.members[0].node.Propose(c.context(), []byte("after"))
		return err
	})
	if s := c.members[0].node.Status(); s.GetReadOnly() {
		t.Errorf("with space, the status is %v", s)
	}
	if got := fmt.Sprint(c.members[0].state.all()); strings.Contains(got, "refused") {
		t.Errorf("a refused command was executed: %s", got)
	}
}

// A leader without space makes way for a member that has it, and a follower
// without it neither ends nor prevents commands.
func TestALeaderWithAFullDiskHandsOver(t *testing.T) {
	t.Parallel()
	v := newVolumes()
	c := newCluster(t, 3, v.configure)
	c.startAll()
	first := c.whole()
	c.propose("before")
	v.set(0, c.Name(first))
	c.eventually("another member leads", func() error {
		if leader := c.leader(); leader == first {
			return errors.New("the leader is still the one without space")
		}
		return nil
	})
	c.propose("with two of three")
	second := c.leader()
	v.set(0, c.Name((first+1)%3), c.Name((first+2)%3))
	c.refuses(second, "full")
	v.set(volumeSize/2, c.Name(0), c.Name(1), c.Name(2))
	c.propose("after")
	c.whole()
	c.agree("before", "with two of three", "after")
}

// A leader with space refuses commands that no majority could store.
func TestCommandsNeedAMajorityWithSpace(t *testing.T) {
	t.Parallel()
	v := newVolumes()
	c := newCluster(t, 3, v.configure)
	c.startAll()
	leader := c.whole()
	a, b := (leader+1)%3, (leader+2)%3
	// They have space for what is being committed.
	v.set(floorOf(volumeSize)/2, c.Name(a), c.Name(b))
	c.refuses(leader, c.Name(a))
	v.set(volumeSize/2, c.Name(a))
	c.propose("with two of three")
	v.set(volumeSize/2, c.Name(b))
	c.whole()
	c.agree("with two of three")
}

func TestTheReserveIsReleasedAndRestored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	free := uint64(50 << 20)
	s := newSpace(dir, newCluster(t, 1).logger)
	s.measure = func(string) (uint64, uint64, error) { return volumeSize, free, nil }
	floor := floorOf(volumeSize)
	reserved := func(want int64) {
		t.Helper()
		size := int64(0)
		if info, err := os.Stat(filepath.Join(dir, "reserve")); err == nil {
			size = info.Size()
		}
		if size != want || s.reserved.Load() != want {
			t.Errorf("the reserve has %d bytes (%d), want %d", size, s.reserved.Load(), want)
		}
	}
	s.open()
	reserved(int64(floor / 2))
	free = floor - 1
	s.update()
	reserved(int64(floor / 2))
	if s.reason() == "" {
		t.Error("below the floor, it is not read-only")
	}
	free = floor/4 - 1
	s.update()
	reserved(0)
	free = floor
	s.update()
	if s.reason() == "" {
		t.Error("at the floor, it is not read-only any more")
	}
	free = 2 * floor
	s.update()
	reserved(int64(floor / 2))
	if s.reason() != "" {
		t.Errorf("with space, it is read-only: %s", s.reason())
	}
	s.needed = func() uint64 { return 2 * floor }
	s.update()
	if s.reason() == "" {
		t.Error("the next snapshot does not fit, and it is not read-only")
	}
	again := newSpace(dir, s.logger)
	again.measure = s.measure
	again.open()
	if again.reserved.Load() != int64(floor/2) {
		t.Errorf("a restart adopts a reserve of %d bytes", again.reserved.Load())
	}
}

// A leader is cut off with an entry that is not committed. When it is back, its
// disk is full, and the entries of the next leader conflict with its own. It
// follows again once it has space.
func TestAConflictOnAFullDiskIsResolved(t *testing.T) {
	t.Parallel()
	v, w := newVolumes(), newLinks()
	c := newCluster(t, 3, v.configure, w.configure)
	c.startAll()
	old := c.whole()
	c.propose("before")
	c.agree("before")
	for i := range c.members {
		if i != old {
			w.part(true, c.Name(old), c.Name(i))
		}
	}
	n := c.members[old].node
	from := n.store.last.Load()
	term := n.raft.CurrentTerm()
	short, cancel := context.WithTimeout(c.context(), time.Second)
	defer cancel()
	for range 5 {
		if _, _, err := n.Propose(short, []byte("lost")); err == nil {
			t.Fatal("a command was acknowledged without a majority")
		}
	}
	if n.store.last.Load() == from {
		t.Fatal("the leader has no entry that is not committed")
	}
	c.eventually("another leads", func() error {
		for i, m := range c.members {
			if i != old && m.node.readyTerm() > term {
				return nil
			}
		}
		return errors.New("no other leader is ready")
	})
	c.propose("meanwhile")
	v.set(0, c.Name(old))
	for i := range c.members {
		w.part(false, c.Name(old), c.Name(i))
	}
	c.eventually("the entry is deleted", func() error {
		var l raft.Log
		if err := n.store.GetLog(from+1, &l); err == nil && l.Term <= term {
			return errors.New("it is there")
		}
		return nil
	})
	v.set(volumeSize/2, c.Name(old))
	c.propose("after")
	c.agree("before", "meanwhile", "after")
}
