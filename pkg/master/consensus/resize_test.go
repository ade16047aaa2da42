package consensus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/topology"
)

// resizable is a cluster whose topology lists its first masters only.
type resizable struct {
	*cluster
	// listed is how many the topology lists.
	listed int
	// nodes are those of the running members, for goroutines of a test.
	nodes []atomic.Pointer[Node]
}

func newResizable(t testing.TB, size, listed int, configure ...func(*Config)) *resizable {
	t.Helper()
	r := &resizable{listed: listed, nodes: make([]atomic.Pointer[Node], size)}
	r.cluster = newCluster(t, size, append([]func(*Config){func(c *Config) {
		c.Topology = r.topology()
		c.Stabilization = 20 * time.Millisecond
	}}, configure...)...)
	return r
}

func (r *resizable) topology() topology.Topology {
	t := r.Topology
	t.Masters = slices.Clone(t.Masters[:r.listed])
	return t
}

// up starts masters.
func (r *resizable) up(masters ...int) {
	r.t.Helper()
	for _, i := range masters {
		r.nodes[i].Store(r.start(i).node)
	}
}

// down stops masters.
func (r *resizable) down(masters ...int) {
	r.t.Helper()
	for _, i := range masters {
		r.nodes[i].Store(nil)
		r.stop(i)
	}
}

// list changes the topology of the running masters.
func (r *resizable) list(masters int) {
	r.t.Helper()
	r.listed = masters
	for _, m := range r.members {
		if m == nil {
			continue
		}
		if err := m.node.SetTopology(r.topology()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// grow lists all masters, starts those that do not run, and waits until all are
// voters.
func (r *resizable) grow() {
	r.t.Helper()
	r.list(len(r.members))
	for i, m := range r.members {
		if m == nil {
			r.up(i)
		}
	}
	r.whole()
}

// shrink lists the first master only, waits until it is alone and the others may be
// stopped, and stops them.
func (r *resizable) shrink() {
	r.t.Helper()
	r.list(1)
	r.alone()
	for i := 1; i < len(r.members); i++ {
		r.eventually("wait until a master may be stopped", func() error {
			if reason := r.members[i].node.Reason(); !strings.Contains(reason, "may be stopped") {
				return fmt.Errorf("%s: %q", r.Name(i), reason)
			}
			return nil
		})
		r.down(i)
	}
}

// alone waits until the first master is the leader and the only member.
func (r *resizable) alone() {
	r.t.Helper()
	r.eventually("wait until the first master is alone", func() error {
		node := r.members[0].node
		if servers := node.servers(); node.readyTerm() == 0 || len(servers) != 1 || servers[0].ID != node.id {
			return fmt.Errorf("status %v", node.Status())
		}
		return nil
	})
}

// leading returns the member that leads, or else any that runs.
func (r *resizable) leading() *Node {
	var last *Node
	for i := range r.nodes {
		node := r.nodes[i].Load()
		if node == nil {
			continue
		}
		last = node
		if node.readyTerm() != 0 {
			return node
		}
	}
	return last
}

// think is the time of a client between two requests: without one, the requests of a
// test leave members of the same process little processor time.
const think = time.Millisecond

// load proposes commands and reads at the member that leads. What was refused is
// tried again; a command with an unknown outcome is not.
type load struct {
	resizable *resizable
	stop      context.CancelFunc
	wait      sync.WaitGroup
	done      atomic.Int64

	mu           sync.Mutex
	acknowledged []string
	unknown      []error
}

func (r *resizable) load(writers, readers int) *load {
	ctx, cancel := context.WithCancel(r.t.Context())
	l := &load{resizable: r, stop: cancel}
	for w := range writers {
		l.wait.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				l.propose(ctx, fmt.Sprintf("w%d-%d", w, i))
				time.Sleep(think)
			}
		})
	}
	for range readers {
		l.wait.Go(func() {
			for ctx.Err() == nil {
				l.read(ctx)
				time.Sleep(think)
			}
		})
	}
	return l
}

// retry calls an operation at the leader until it is not refused.
func (l *load) retry(ctx context.Context, operation func(context.Context, *Node) error) error {
	for {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), waitTimeout)
		err := operation(limited, l.resizable.leading())
		cancel()
		var follower *NotLeaderError
		if !errors.As(err, &follower) || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Millisecond) // between two attempts
	}
}

func (l *load) propose(ctx context.Context, command string) {
	err := l.retry(ctx, func(ctx context.Context, n *Node) error {
		_, _, err := n.Propose(ctx, []byte(command))
		return err
	})
	var follower *NotLeaderError
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.acknowledged = append(l.acknowledged, command)
		l.done.Add(1)
	case !errors.As(err, &follower):
		l.unknown = append(l.unknown, err)
	}
}

// read checks that a linearizable read has all that was acknowledged before it.
func (l *load) read(ctx context.Context) {
	l.mu.Lock()
	before := len(l.acknowledged)
	l.mu.Unlock()
	has := 0
	err := l.retry(ctx, func(ctx context.Context, n *Node) error {
		_, err := n.ReadIndex(ctx)
		if err == nil {
			has = n.fsm.state.(*journal).count()
		}
		return err
	})
	switch {
	case err == nil && has < before:
		l.resizable.t.Errorf("a read has %d commands, after %d had been acknowledged", has, before)
	case err == nil:
		l.done.Add(1)
	}
}

// awaitProgress waits until more commands and reads have succeeded.
func (l *load) awaitProgress() {
	l.resizable.t.Helper()
	before := l.done.Load()
	l.resizable.eventually("commands and reads continue", func() error {
		if done := l.done.Load(); done < before+20 {
			return fmt.Errorf("%d have succeeded since", done-before)
		}
		return nil
	})
}

// end stops the load and returns what was acknowledged.
func (l *load) end() []string {
	l.stop()
	l.wait.Wait()
	return l.acknowledged
}

// rounds returns how often the number of masters changes: a few times by default,
// often on request.
func rounds() int {
	if os.Getenv("JINDO_LONG") != "" {
		return 100
	}
	return 2
}

// TestOneToThreeAndBack changes the number of masters under load. Leadership is moved
// away from the first master, so that 3 → 1 has to move it back.
func TestOneToThreeAndBack(t *testing.T) {
	t.Parallel()
	r := newResizable(t, 3, 1)
	r.up(0)
	r.alone()
	l := r.load(3, 2)
	for round := range rounds() {
		l.awaitProgress()
		r.grow()
		l.awaitProgress()
		if to := round % 3; to != r.leader() {
			if _, err := r.members[r.leader()].node.Transfer(r.context(), r.Name(to)); err != nil {
				t.Logf("round %d: %v", round, err) // the load went on meanwhile
			}
		}
		l.awaitProgress()
		r.shrink()
	}
	l.awaitProgress()
	acknowledged := l.end()
	r.agree(acknowledged...)
	// A command in flight while leadership moves has an unknown outcome. Clients repeat
	// it under its request id; this load does not.
	if got, least := len(r.members[0].state.all()), len(acknowledged); got < least || got > least+len(l.unknown) {
		t.Errorf("%d commands were executed, %d acknowledged, and %d have an unknown outcome", got, least, len(l.unknown))
	}
}

// TestANewMemberWaitsForAnother: with two voters, the loss of either would stop a
// cluster that one of them had kept alive.
func TestANewMemberWaitsForAnother(t *testing.T) {
	t.Parallel()
	r := newResizable(t, 3, 1)
	r.up(0)
	r.alone()
	r.propose("before")
	r.list(3)
	r.up(1)
	r.eventually("wait until the new member is stable", func() error {
		node := r.members[0].node
		if !node.health.stable(r.id(1), node.config.Stabilization) {
			return fmt.Errorf("members %v", node.servers())
		}
		return nil
	})
	partner, needed := r.members[0].node.partner(r.id(1))
	if !needed || partner.ID != "" {
		t.Fatalf("partner %v, needed %v", partner, needed)
	}
	r.propose("alone")
	if voters := countVoters(r.members[0].node.servers()); voters != 1 {
		t.Fatalf("%d voters while the other new master is missing", voters)
	}
	// Its loss does not stop the cluster.
	r.kill(1)
	r.nodes[1].Store(nil)
	r.propose("lost")
	r.grow()
	r.propose("after")
	r.agree("before", "alone", "lost", "after")
}

// TestThreeToOneWithoutTheOthers: the topology is cut to one while nothing runs. The
// one that is left cannot continue alone, and says so; with one more, it can.
func TestThreeToOneWithoutTheOthers(t *testing.T) {
	t.Parallel()
	r := newResizable(t, 3, 3)
	r.up(0, 1, 2)
	r.whole()
	r.propose("before")
	r.down(0, 1, 2)
	r.listed = 1
	r.up(0)
	r.eventually("wait for the reason", func() error {
		reason := r.members[0].node.Reason()
		if !strings.Contains(reason, "m-1 and m-2") || !strings.Contains(reason, "majority of the 3 voters") {
			return fmt.Errorf("the reason is %q", reason)
		}
		return nil
	})
	if r.members[0].node.Status().GetReady() {
		t.Fatal("it is ready alone")
	}
	r.up(2) // not listed, but needed
	r.alone()
	r.down(2)
	r.propose("after")
	r.agree("before", "after")
}

// TestOneToThreeByRestart lists two more masters while the only one does not run.
func TestOneToThreeByRestart(t *testing.T) {
	t.Parallel()
	r := newResizable(t, 3, 1)
	r.up(0)
	r.alone()
	r.propose("before")
	r.down(0)
	r.listed = 3
	r.configs = append(r.configs, func(c *Config) { c.Formed = true })
	r.up(0, 1, 2)
	r.whole()
	r.propose("after")
	r.agree("before", "after")
}

// TestADeadMemberIsRemovedFirst: 3 → 1 while one of the others does not respond.
func TestADeadMemberIsRemovedFirst(t *testing.T) {
	t.Parallel()
	r := newResizable(t, 3, 3)
	r.up(0, 1, 2)
	r.whole()
	r.propose("before")
	r.nodes[1].Store(nil)
	r.kill(1)
	r.list(1)
	r.alone()
	r.propose("after")
	r.eventually("wait until the other may be stopped", func() error {
		if reason := r.members[2].node.Reason(); !strings.Contains(reason, "may be stopped") {
			return fmt.Errorf("the reason is %q", reason)
		}
		return nil
	})
	r.down(2)
	// The dead one comes back with its disk. It is not listed, and stays out.
	r.up(1)
	r.eventually("wait until the dead member may be stopped", func() error {
		if reason := r.members[1].node.Reason(); !strings.Contains(reason, "may be stopped") {
			return fmt.Errorf("the reason is %q", reason)
		}
		return nil
	})
	r.down(1)
	if _, err := r.tryStart(1); !errors.Is(err, ErrUnlisted) {
		t.Fatalf("a removed master that is not listed started: %v", err)
	}
	r.propose("last")
	r.agree("before", "after", "last")
}

// TestNothingIsRemovedForALostListedMaster: the only master of the new topology has
// no state, so that removing the others would lose everything.
func TestNothingIsRemovedForALostListedMaster(t *testing.T) {
	t.Parallel()
	r := newResizable(t, 3, 3)
	r.up(0, 1, 2)
	r.whole()
	r.propose("before")
	r.eventually("move leadership away from the first master", func() error {
		if r.leader() != 0 {
			return nil
		}
		_, err := r.members[0].node.Transfer(r.context(), "")
		return err
	})
	r.nodes[0].Store(nil)
	r.kill(0)
	r.Wipe(0)
	r.list(1)
	r.eventually("wait for the obstacle", func() error {
		for _, i := range []int{1, 2} {
			if obstacle := r.members[i].node.obstacle.Load(); obstacle != nil && strings.Contains(*obstacle, "none of those is a voter") {
				return nil
			}
		}
		return errors.New("no leader has an obstacle")
	})
	r.propose("meanwhile")
	// Listed with the others, it joins with its empty disk, and may then be the only one.
	r.configs = append(r.configs, func(c *Config) { c.Formed = true })
	r.grow()
	r.list(1)
	r.alone()
	r.propose("after")
	if got := r.members[0].state.all(); !slices.Contains(got, "before") || !slices.Contains(got, "meanwhile") || !slices.Contains(got, "after") {
		t.Fatalf("the only member has %v", got)
	}
}

// TestSetTopologyRefuses what cannot be meant.
func TestSetTopologyRefuses(t *testing.T) {
	t.Parallel()
	r := newResizable(t, 3, 3)
	r.up(0, 1, 2)
	leader := r.whole()
	empty := r.topology()
	empty.Masters = nil
	foreign := r.topology()
	foreign.ClusterID = "another"
	for name, bad := range map[string]topology.Topology{"without masters": empty, "another cluster": foreign} {
		if err := r.members[leader].node.SetTopology(bad); err == nil {
			t.Errorf("a topology %s was accepted", name)
		}
	}
	if got := len(r.members[leader].node.servers()); got != 3 {
		t.Errorf("%d members remain", got)
	}
}

// TestMastersAreRemembered: former masters are known after a restart, until they are
// no members any more; a damaged file loses nothing else.
func TestMastersAreRemembered(t *testing.T) {
	path := t.TempDir() + "/masters.json"
	all := topology.Topology{Masters: []topology.Member{{Name: "m-0", Host: "a"}, {Name: "m-1", Host: "b"}, {Name: "m-2", Host: "c"}}}
	one := topology.Topology{Masters: all.Masters[:1]}
	everyone := func(string) bool { return true }
	m, err := openMasters(path, all)
	if err == nil {
		err = m.set(one, func(name string) bool { return name == "m-1" })
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err = openMasters(path, one)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.others("m-0", everyone); len(got) != 1 || got[0] != all.Masters[1] {
		t.Fatalf("others: %v", got)
	}
	if got := m.others("m-0", func(string) bool { return false }); len(got) != 0 {
		t.Fatalf("members that were removed: %v", got)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err = openMasters(path, one)
	if err == nil || len(m.others("m-9", everyone)) != 1 {
		t.Fatalf("a damaged file: %v, %v", m.others("m-9", everyone), err)
	}
}
