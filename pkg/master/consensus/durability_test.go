package consensus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// small compacts the log early, and keeps few entries.
func small(c *Config) {
	c.sizes = sizes{trailing: 10, threshold: 50, interval: 50 * time.Millisecond}
}

// TestNothingAcknowledgedIsLost stops and kills leaders under load, and then
// all members together.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, small)
	c.startAll()
	c.whole()
	var mu sync.Mutex
	var acknowledged []string
	round := func(number int, end func(int)) {
		leader := c.leader()
		node := c.members[leader].node
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := 0; ; i++ {
					command := fmt.Sprintf("%d.%d.%d", number, w, i)
					ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
					_, _, err := node.Propose(ctx, []byte(command))
					cancel()
					if err != nil {
						return
					}
					mu.Lock()
					acknowledged = append(acknowledged, command)
					mu.Unlock()
				}
			})
		}
		time.Sleep(300 * time.Millisecond)
		end(leader)
		writers.Wait()
		c.start(leader)
	}
	round(1, c.kill)
	round(2, c.stop)
	round(3, c.kill)
	for i := range c.members {
		c.kill(i)
	}
	c.startAll()
	c.whole()
	c.propose("end")
	if len(acknowledged) == 0 {
		t.Fatal("nothing was acknowledged: the test proves nothing")
	}
	c.agree(append(acknowledged, "end")...)
	all := c.members[0].state.all()
	slices.Sort(all)
	if len(slices.Compact(all)) != len(c.members[0].state.all()) {
		t.Fatal("a command that was proposed once was applied twice")
	}
}

func TestSnapshotsReplaceTheLog(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, small)
	c.startAll()
	leader := c.whole()
	absent := (leader + 1) % 3
	c.kill(absent)
	var want []string
	for i := range 200 {
		want = append(want, fmt.Sprint(i))
		c.propose(want[i])
	}
	c.eventually("wait for the log to be compacted", func() error {
		if s := c.members[leader].node.Status(); s.GetLastSnapshotIndex() < 50 || s.GetLogEntries() > 150 || s.GetLastSnapshotTime() == nil {
			return fmt.Errorf("snapshot at %d, %d entries", s.GetLastSnapshotIndex(), s.GetLogEntries())
		}
		return nil
	})
	// A member that was unreachable, and one with an empty disk, receive the
	// snapshot.
	c.start(absent)
	c.whole()
	c.agree(want...)
	if c.members[absent].state.restored == 0 {
		t.Error("the member that was unreachable received no snapshot")
	}
	other := (leader + 2) % 3
	c.kill(other)
	c.Wipe(other)
	c.start(other)
	c.whole()
	c.agree(want...)
	// A member that restarts restores it, too.
	c.stop(leader)
	m := c.start(leader)
	c.whole()
	c.agree(want...)
	if m.state.restored == 0 {
		t.Error("the restarted member replayed a log that was compacted")
	}
	c.propose("end")
	c.agree("end")
	if got := m.node.Status(); got.GetConfigurationIndex() == 0 {
		t.Errorf("the index of the configuration is lost: %v", got)
	}
}

func TestSnapshotByBytes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, func(c *Config) {
		c.sizes = sizes{trailing: 10, threshold: 1 << 40, bytes: 1 << 16, interval: 20 * time.Millisecond}
	})
	m := c.start(0)
	c.whole()
	for range 20 {
		c.propose(strings.Repeat("x", 1<<12))
	}
	c.eventually("wait for a snapshot", func() error {
		if m.node.Status().GetLastSnapshotIndex() == 0 {
			return errors.New("no snapshot was taken")
		}
		return nil
	})
}

// withFaultyDisk gives one member a disk that can fail.
func withFaultyDisk(name string) (func(*Config), func() *faultyDisk) {
	var mu sync.Mutex
	var faulty *faultyDisk
	return func(c *Config) {
			if c.Name != name {
				return
			}
			c.DiskTimeout = 5 * time.Second // A busy machine must not take it for one that hangs.
			c.hooks.disk = func(d disk) disk {
				mu.Lock()
				defer mu.Unlock()
				faulty = &faultyDisk{disk: d}
				return faulty
			}
		}, func() *faultyDisk {
			mu.Lock()
			defer mu.Unlock()
			return faulty
		}
}

// TestALeaderWithAFaultyDiskStops checks that such a leader stops and another
// takes over. The library alone would continue to lead forever with a disk that
// hangs.
func TestALeaderWithAFaultyDiskStops(t *testing.T) {
	t.Parallel()
	for name, ail := range map[string]func(*faultyDisk) func(){
		"hangs": func(d *faultyDisk) func() {
			hang := make(chan struct{})
			d.withFaultyDisk(nil, hang)
			return func() { d.withFaultyDisk(nil, nil); close(hang) }
		},
		"fails": func(d *faultyDisk) func() {
			d.withFaultyDisk(errors.New("input/output error"), nil)
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			configure, disk := withFaultyDisk("m-0")
			c := newCluster(t, 3, configure)
			c.startAll()
			m := c.leadFirst()
			c.propose("before")
			heal := ail(disk())
			_, _, err := m.node.Propose(c.context(), []byte("during"))
			if !errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("propose to the leader with a faulty disk: %v", err)
			}
			if err := <-m.fatal; !strings.Contains(err.Error(), "log") {
				t.Errorf("stopped with %v", err)
			}
			if got := m.node.Status(); got.GetState() != "SHUTDOWN" || got.GetReady() {
				t.Errorf("status: %v", got)
			}
			heal()
			c.kill(0)
			c.propose("after")
			c.agree("before", "after")
		})
	}
}

// TestADamagedMemberJoinsAsANewOne checks that a member whose log has a damaged
// entry is replaced while the others have a majority, and stays down otherwise.
func TestADamagedMemberJoinsAsANewOne(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	c.whole()
	index := c.propose("precious")
	// The tail record restores the last append only, which must not have both.
	c.agree("precious")
	c.propose("later")
	c.agree("precious", "later")
	damaged := (c.leader() + 1) % 3
	id := c.id(damaged)
	c.stop(damaged)
	c.spoilEntry(damaged, index)
	others := []int{(damaged + 1) % 3, (damaged + 2) % 3}
	c.stop(others[0])
	var spoiled *DamageError
	if _, err := c.tryStart(damaged); !errors.As(err, &spoiled) || !strings.Contains(err.Error(), "joins as a new one as soon as") {
		t.Fatalf("without a majority of the others: %v", err)
	}
	if _, err := os.Stat(memberDir{c.DataDir(damaged)}.identity()); err != nil {
		t.Fatalf("the directory was moved without a majority of the others: %v", err)
	}
	c.start(others[0])
	c.propose("meanwhile")
	c.eventually("wait for the replacement", func() error {
		_, err := c.tryStart(damaged)
		return err
	})
	c.whole()
	c.agree("precious", "meanwhile")
	if c.id(damaged) == id {
		t.Fatal("the damaged directory's id is in use")
	}
	if kept, err := exists(filepath.Join(c.DataDir(damaged), "aside-"+string(id))); err != nil || !kept {
		t.Fatalf("the damaged directory is not kept: %v", err)
	}
}

// spoilEntry changes one byte of a log entry of a stopped member.
func (c *cluster) spoilEntry(i int, index uint64) {
	c.t.Helper()
	store, err := openDisk(memberDir{c.DataDir(i)}.log())
	if err != nil {
		c.t.Fatal(err)
	}
	var l raft.Log
	if err := store.GetLog(index, &l); err != nil {
		c.t.Fatal(err)
	}
	l.Data[0] ^= 1
	if err := errors.Join(store.StoreLog(&l), store.Close()); err != nil {
		c.t.Fatal(err)
	}
}
