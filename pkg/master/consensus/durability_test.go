package consensus

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
)

// small logs are compacted early, and keep little behind.
func small(c *Config) {
	c.sizes = sizes{trailing: 10, threshold: 50, interval: 50 * time.Millisecond}
}

// TestNothingAcknowledgedIsLost: through planned and unplanned ends of leaders
// under load, and through an end of all at once.
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
					ctx, cancel := context.WithTimeout(context.Background(), patience)
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
		t.Fatal("nothing was acknowledged: this test tests nothing")
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
	away := (leader + 1) % 3
	c.kill(away)
	var want []string
	for i := range 200 {
		want = append(want, fmt.Sprint(i))
		c.propose(want[i])
	}
	c.eventually("waiting for the log to be compacted", func() error {
		if s := c.members[leader].node.Status(); s.GetLastSnapshotIndex() < 50 || s.GetLogEntries() > 150 || s.GetLastSnapshotTime() == nil {
			return fmt.Errorf("snapshot at %d, %d entries", s.GetLastSnapshotIndex(), s.GetLogEntries())
		}
		return nil
	})
	// One that was away, and one with an empty disk, get the snapshot.
	c.start(away)
	c.whole()
	c.agree(want...)
	if c.members[away].state.restored == 0 {
		t.Error("the member that was away got no snapshot")
	}
	other := (leader + 2) % 3
	c.kill(other)
	c.Wipe(other)
	c.start(other)
	c.whole()
	c.agree(want...)
	// So does one that starts again.
	c.stop(leader)
	m := c.start(leader)
	c.whole()
	c.agree(want...)
	if m.state.restored == 0 {
		t.Error("the restarted member replayed a log that is not there")
	}
	c.propose("end")
	c.agree("end")
	if got := m.node.Status(); got.GetConfigurationIndex() == 0 {
		t.Errorf("nobody remembers the configuration's index: %v", got)
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
	c.eventually("waiting for a snapshot", func() error {
		if m.node.Status().GetLastSnapshotIndex() == 0 {
			return errors.New("none was taken")
		}
		return nil
	})
}

// sicken gives one member a disk that can be made sick.
func sicken(name string) (func(*Config), func() *sickDisk) {
	var mu sync.Mutex
	var sick *sickDisk
	return func(c *Config) {
			if c.Name != name {
				return
			}
			c.DiskTimeout = time.Second
			c.hooks.disk = func(d disk) disk {
				mu.Lock()
				defer mu.Unlock()
				sick = &sickDisk{disk: d}
				return sick
			}
		}, func() *sickDisk {
			mu.Lock()
			defer mu.Unlock()
			return sick
		}
}

// TestALeaderWithASickDiskEnds, and another takes over: the library alone
// would go on leading for ever with a disk that hangs.
func TestALeaderWithASickDiskEnds(t *testing.T) {
	t.Parallel()
	for name, ail := range map[string]func(*sickDisk) func(){
		"hangs": func(d *sickDisk) func() {
			hang := make(chan struct{})
			d.sicken(nil, hang)
			return func() { d.sicken(nil, nil); close(hang) }
		},
		"fails": func(d *sickDisk) func() {
			d.sicken(errors.New("input/output error"), nil)
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			configure, disk := sicken("m-0")
			c := newCluster(t, 3, configure)
			c.startAll()
			m := c.leadFirst()
			c.propose("before")
			heal := ail(disk())
			_, _, err := m.node.Propose(c.context(), []byte("during"))
			if !errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("a proposal at the sick leader: %v", err)
			}
			if err := <-m.fatal; !strings.Contains(err.Error(), "log") {
				t.Errorf("it ended with %v", err)
			}
			if got := m.node.Status(); got.GetState() != "SHUTDOWN" || got.GetReady() {
				t.Errorf("its status is %v", got)
			}
			heal()
			c.kill(0)
			c.propose("after")
			c.agree("before", "after")
		})
	}
}

// TestADamagedMemberDoesNotStart, and the others go on; with its directory
// moved away it joins as a new one.
func TestADamagedMemberDoesNotStart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	c.whole()
	index := c.propose("precious")
	c.agree("precious")
	damaged := (c.leader() + 1) % 3
	c.stop(damaged)
	store, err := openDisk(filepath.Join(c.DataDir(damaged), "member", "raft.db"))
	if err != nil {
		t.Fatal(err)
	}
	var l raft.Log
	if err := store.GetLog(index, &l); err != nil {
		t.Fatal(err)
	}
	l.Data[0] ^= 1
	if err := errors.Join(store.StoreLog(&l), store.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.tryStart(damaged); !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), "move ") {
		t.Fatalf("started with %v", err)
	}
	c.propose("meanwhile")
	c.Wipe(damaged)
	c.start(damaged)
	c.whole()
	c.agree("precious", "meanwhile")
}

// TestDamageIsNotApplied: an entry that went bad in memory.
func TestDamageIsNotApplied(t *testing.T) {
	state := &journal{}
	failed := make(chan error, 1)
	m := &machine{state: state, fail: func(err error) { failed <- err }}
	good, bad := entries(1, 1)[0], entries(2, 2)[0]
	seal(good)
	seal(bad)
	bad.Data[0] ^= 1
	if returns(func() { m.ApplyBatch([]*raft.Log{good, bad}) }) {
		t.Error("the log goes on")
	}
	if err := <-failed; !errors.Is(err, errDamaged) {
		t.Errorf("failed with %v", err)
	}
	if got := state.all(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("applied %q", got)
	}
}

func TestApplyingABatch(t *testing.T) {
	state := &journal{}
	m := &machine{state: state}
	logs := []*raft.Log{
		{Index: 5, Term: 3, Type: raft.LogCommand, Data: []byte("a")},
		{Index: 6, Term: 3, Type: raft.LogConfiguration, Data: []byte("not a command")},
		{Index: 7, Term: 3, Type: raft.LogCommand},
		{Index: 8, Term: 3, Type: raft.LogCommand, Data: []byte("b")},
	}
	for _, l := range logs {
		seal(l)
	}
	results := m.ApplyBatch(logs)
	if want := []any{1, nil, uint64(3), 2}; !slices.Equal(results, want) {
		t.Errorf("results %v, want %v", results, want)
	}
	if m.applied.get() != 8 || m.configuration.Load() != 6 || !m.used.Load() {
		t.Errorf("applied %d, configuration %d", m.applied.get(), m.configuration.Load())
	}
}

func TestWatermark(t *testing.T) {
	var w watermark
	w.advance(5)
	w.advance(3)
	if w.get() != 5 {
		t.Fatal("it went back")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.wait(ctx, 5, nil); err != nil {
		t.Errorf("what is reached is not waited for: %v", err)
	}
	if err := w.wait(ctx, 6, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	stopped := make(chan struct{})
	close(stopped)
	if err := w.wait(context.Background(), 6, stopped); !errors.Is(err, errStopped) {
		t.Errorf("got %v", err)
	}
	reached := make(chan error)
	go func() { reached <- w.wait(context.Background(), 7, nil) }()
	w.advance(6)
	w.advance(7)
	if err := <-reached; err != nil {
		t.Error(err)
	}
}

func TestStatusAndMetrics(t *testing.T) {
	t.Parallel()
	registries := map[string]*prometheus.Registry{}
	var mu sync.Mutex
	c := newCluster(t, 3, func(c *Config) {
		mu.Lock()
		defer mu.Unlock()
		registries[c.Name] = prometheus.NewRegistry()
		c.Registry = registries[c.Name]
	})
	c.startAll()
	leader := c.whole()
	index := c.propose("x")
	if _, err := c.members[leader].node.ReadIndex(c.context()); err != nil {
		t.Fatal(err)
	}
	c.agree("x")
	c.eventually("waiting for the leader to know", func() error {
		for _, p := range c.members[leader].node.Status().GetPeers() {
			if p.GetMatchIndex() < index || p.GetLastContact() == nil || !p.GetVoter() || p.GetName() == "" {
				return fmt.Errorf("of %v", p)
			}
		}
		return nil
	})
	s := c.members[leader].node.Status()
	if len(s.GetPeers()) != 3 || s.GetAddress() != c.Roster.Masters[leader].RaftAddress() || s.GetFsyncP99().AsDuration() <= 0 ||
		s.GetLeaderSince() == nil || s.GetAppliedIndex() < index || s.GetCommitIndex() < index || s.GetLogBytes() == 0 || s.GetTerm() == 0 {
		t.Errorf("the leader's status is %v", s)
	}
	follower := c.members[(leader+1)%3].node.Status()
	if follower.GetState() != "FOLLOWER" || follower.GetLeader() != c.Name(leader) || follower.GetLeaderSince() != nil {
		t.Errorf("a follower's status is %v", follower)
	}
	families, err := registries[c.Name(leader)].Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, family := range families {
		got[family.GetName()] = len(family.GetMetric())
	}
	for name, want := range map[string]int{"peer_match_index": 2, "term": 1, "leader": 1, "reads_total": 1, "append_seconds": 1, "proposals_total": 3} {
		if got[metricPrefix+name] != want {
			t.Errorf("%s has %d values, want %d", name, got[metricPrefix+name], want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	c := newCluster(t, 1)
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no name":            {func(c *Config) { c.Name = "" }, "no name"},
		"not listed":         {func(c *Config) { c.Name = "m-9" }, "not among the masters"},
		"no directory":       {func(c *Config) { c.DataDir = "" }, "data directory"},
		"no cluster":         {func(c *Config) { c.ClusterID = "" }, "cluster id"},
		"no identity":        {func(c *Config) { c.Identity = nil }, "identity"},
		"nobody to call":     {func(c *Config) { c.Peers = nil }, "Peers"},
		"lease too long":     {func(c *Config) { c.Lease = 2 * c.Heartbeat }, "lease"},
		"election too short": {func(c *Config) { c.Election = c.Heartbeat / 2 }, "election"},
	} {
		config := c.config(0)
		config.Fatal = func(error) {}
		test.change(&config)
		if _, err := Open(config, &journal{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want it to say %q", name, err, test.want)
		}
	}
	other := newCluster(t, 2)
	config := other.config(0)
	config.Fatal = func(error) {}
	config.Identity = other.Identity(1)
	if _, err := Open(config, &journal{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another's certificate: got %v", err)
	}
}

// TestTwoProcessesOnOneDisk: the second is refused.
func TestTwoProcessesOnOneDisk(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.start(0)
	config := c.config(0)
	config.Fatal = func(error) {}
	if _, err := Open(config, &journal{}); err == nil || !strings.Contains(err.Error(), "opening the log") {
		t.Fatalf("got %v", err)
	}
}
