package consensus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"

	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
)

func TestMain(m *testing.M) {
	// These tests wait for timeouts, not for processors.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// waitTimeout is how long a test waits for a condition.
const waitTimeout = 60 * time.Second

// journal is a state machine that holds the commands in their order.
type journal struct {
	mu       sync.Mutex
	commands []string
	index    uint64
	restored int
	// old is set for a state machine that does not know newer commands.
	old bool
}

// newer is the first word of a command that old state machines do not know.
const newer = "newer"

func (j *journal) Apply(index uint64, command []byte) any {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.old && strings.HasPrefix(string(command), newer) {
		return fmt.Errorf("command %q: %w", command, ErrNewerFormat)
	}
	j.commands = append(j.commands, string(command))
	j.index = index
	return len(j.commands)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.commands)
}

func (j *journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.commands)
}

func (j *journal) Snapshot() Snapshot { return journalSnapshot(j.all()) }

func (j *journal) Restore(r io.Reader) error {
	in := bufio.NewReader(r)
	var commands []string
	for {
		var length [4]byte
		if _, err := io.ReadFull(in, length[:]); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		command := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(in, command); err != nil {
			return err
		}
		commands = append(commands, string(command))
		if j.old && strings.HasPrefix(string(command), newer) {
			return fmt.Errorf("command %q: %w", command, ErrNewerFormat)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.commands = commands
	j.restored++
	return nil
}

func (j *journal) BeginEpoch(index uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.index = index
	return nil
}

type journalSnapshot []string

func (s journalSnapshot) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for _, command := range s {
		n, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(command))), command...))
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (s journalSnapshot) Release() {}

// member is a running master of a test cluster.
type member struct {
	node   *Node
	state  *journal
	fatal  chan error
	cancel context.CancelFunc
	ran    chan error
}

// idle stops a member's Run, but not the member.
func (m *member) idle() {
	m.cancel()
	m.ran <- <-m.ran
}

// cluster is a cluster of masters in this process, over TLS on loopback.
type cluster struct {
	*consensustest.Fixture
	t       testing.TB
	configs []func(*Config)
	members []*member
	logger  *slog.Logger
	// old holds the members whose state machines are old.
	old map[int]bool
}

// newCluster returns a cluster that is not started. configure may change the
// configuration of each member.
func newCluster(t testing.TB, size int, configure ...func(*Config)) *cluster {
	t.Helper()
	c := &cluster{Fixture: consensustest.New(t, size), t: t, configs: configure, members: make([]*member, size), old: map[int]bool{}}
	level := slog.Level(100)
	if os.Getenv("JINDO_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	c.logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	t.Cleanup(func() {
		for i := range c.members {
			c.kill(i)
		}
	})
	return c
}

func (c *cluster) config(i int) Config {
	config := Config{
		Name: c.Name(i), DataDir: c.DataDir(i), ClusterID: consensustest.ClusterID,
		Topology: c.Topology, Identity: c.Identity(i), RaftListen: c.Topology.Masters[i].RaftAddress(),
		Heartbeat: time.Second, Election: time.Second, Lease: 800 * time.Millisecond, Stabilization: 50 * time.Millisecond,
		Peers: c.Fixture, Logger: c.logger.With("member", c.Name(i)),
	}
	for _, configure := range c.configs {
		configure(&config)
	}
	return config
}

// start starts a master and fails the test when it cannot.
func (c *cluster) start(i int) *member {
	c.t.Helper()
	m, err := c.tryStart(i)
	if err != nil {
		c.t.Fatalf("start %s: %v", c.Name(i), err)
	}
	return m
}

func (c *cluster) tryStart(i int) (*member, error) {
	m := &member{state: &journal{old: c.old[i]}, fatal: make(chan error, 1), ran: make(chan error, 1)}
	config := c.config(i)
	config.Fatal = func(err error) { m.fatal <- err }
	config.NewState = func() (StateMachine, error) { return &journal{old: c.old[i]}, nil }
	node, err := Open(config, m.state)
	if err != nil {
		return nil, err
	}
	m.node = node
	var ctx context.Context
	ctx, m.cancel = context.WithCancel(context.Background())
	go func() { m.ran <- node.Run(ctx) }()
	c.members[i] = m
	c.Up(i, node)
	return m, nil
}

// stop shuts a master down, which transfers leadership.
func (c *cluster) stop(i int) { c.end(i, true) }

// kill ends a master without a transfer of leadership.
func (c *cluster) kill(i int) { c.end(i, false) }

func (c *cluster) end(i int, handOver bool) {
	c.t.Helper()
	m := c.members[i]
	if m == nil {
		return
	}
	c.members[i] = nil
	c.Down(i)
	m.cancel()
	if err := <-m.ran; err != nil {
		c.t.Errorf("run %s: %v", c.Name(i), err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	if err := m.node.shutdown(ctx, handOver); err != nil {
		var goroutines strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&goroutines, 1)
		c.t.Errorf("stop %s: %v\n%s", c.Name(i), err, goroutines.String())
	}
}

func (c *cluster) startAll() {
	c.t.Helper()
	for i := range c.members {
		c.start(i)
	}
}

// eventually waits until check returns nil.
func (c *cluster) eventually(what string, check func() error) {
	c.t.Helper()
	deadline := time.Now().Add(waitTimeout)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// whole waits until all members are voters that know the same leader, and
// returns the leader's number.
func (c *cluster) whole() int {
	c.t.Helper()
	leader := -1
	c.eventually("wait for all to be voters", func() error {
		leader = -1
		for i, m := range c.members {
			if m == nil {
				continue
			}
			status := m.node.Status()
			if !status.GetReady() {
				return fmt.Errorf("%s is not ready: %v; %s", c.Name(i), status, m.node.Reason())
			}
			if countVoters(m.node.servers()) != len(c.members) {
				return fmt.Errorf("%s has the configuration %v", c.Name(i), m.node.servers())
			}
			if status.GetState() == "LEADER" {
				leader = i
			}
		}
		if leader < 0 {
			return errors.New("no leader")
		}
		return nil
	})
	return leader
}

// leader waits for a member that is ready as leader, and returns its number.
func (c *cluster) leader() int {
	c.t.Helper()
	leader := -1
	c.eventually("wait for a leader", func() error {
		for i, m := range c.members {
			if m != nil && m.node.readyTerm() != 0 {
				leader = i
				return nil
			}
		}
		return errors.New("no leader is ready")
	})
	return leader
}

func (c *cluster) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	c.t.Cleanup(cancel)
	return ctx
}

// propose proposes a command to the current leader until it is acknowledged,
// and returns the index. The command may be executed more than once.
func (c *cluster) propose(command string) uint64 {
	c.t.Helper()
	return c.proposeTo(c.members, command)
}

// proposeTo is propose, to the leader among some members.
func (c *cluster) proposeTo(members []*member, command string) uint64 {
	c.t.Helper()
	var index uint64
	c.eventually("propose "+command, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, m := range members {
			if m != nil && m.node.readyTerm() != 0 {
				var err error
				_, index, err = m.node.Propose(ctx, []byte(command))
				return err
			}
		}
		return errors.New("no leader is ready")
	})
	return index
}

// agree waits until every running member has the same journal, which holds all
// of want.
func (c *cluster) agree(want ...string) {
	c.t.Helper()
	c.eventually("wait for members to agree", func() error {
		var first []string
		for i, m := range c.members {
			if m == nil {
				continue
			}
			has := m.state.all()
			if first == nil {
				first = has
			}
			if !slices.Equal(first, has) {
				return fmt.Errorf("%s has %d commands, another has %d", c.Name(i), len(has), len(first))
			}
		}
		for _, command := range want {
			if !slices.Contains(first, command) {
				return fmt.Errorf("%q is lost", command)
			}
		}
		return nil
	})
}

func (c *cluster) id(i int) raft.ServerID { return c.members[i].node.id }
