package raftlog

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// masters is the log of the masters. It implements consensus.Peers.
type masters struct {
	dir      string
	topology topology.Topology
	stop     context.CancelFunc
	running  sync.WaitGroup
	leader   atomic.Pointer[consensus.Node]

	mu    sync.Mutex
	nodes map[string]*consensus.Node
	// failed is the error with which a member stopped.
	failed error
}

func openMasters(ctx context.Context, dir string) (Log, error) {
	m := &masters{dir: dir, nodes: map[string]*consensus.Node{}}
	m.topology = topology.Topology{Namespace: "default", Name: "bench", ClusterID: "bench"}
	address := host()
	for i := range members {
		m.topology.Masters = append(m.topology.Masters, topology.Member{
			Name: fmt.Sprintf("m-%d", i), Host: address, Port: 10_000 + i, RaftPort: 11_000 + i,
		})
	}
	running, stop := context.WithCancel(context.Background())
	m.stop = stop
	if err := m.start(running); err != nil {
		m.Close()
		return nil, err
	}
	if err := until(ctx, m.whole); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *masters) start(ctx context.Context) error {
	authority, err := mtls.NewAuthority("bench")
	if err != nil {
		return err
	}
	for _, member := range m.topology.Masters {
		identity, err := m.identity(authority, member)
		if err != nil {
			return err
		}
		node, err := consensus.Open(consensus.Config{
			Name: member.Name, DataDir: filepath.Join(m.dir, member.Name), ClusterID: m.topology.ClusterID,
			Topology: m.topology, Identity: identity, RaftListen: net.JoinHostPort(member.Host, strconv.Itoa(member.RaftPort)),
			Peers: m, Fatal: m.fail,
		}, &masterState{})
		if err != nil {
			return err
		}
		m.mu.Lock()
		m.nodes[member.Name] = node
		m.mu.Unlock()
		m.running.Go(func() {
			if err := node.Run(ctx); err != nil {
				m.fail(err)
			}
		})
	}
	return nil
}

func (m *masters) identity(authority *mtls.Authority, member topology.Member) (*mtls.Identity, error) {
	pair, err := authority.Issue(mtls.Peer{Role: mtls.Master, Name: member.Name}, []string{member.Host}, 24*time.Hour)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(m.dir, "tls", member.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := pair.Save(dir); err != nil {
		return nil, err
	}
	return mtls.LoadIdentity(dir)
}

func (m *masters) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed == nil {
		m.failed = err
	}
}

// whole reports whether every member votes, and finds the leader.
func (m *masters) whole() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	var leader *consensus.Node
	for _, node := range m.nodes {
		status := node.Status()
		if !status.GetReady() || !status.GetVoter() {
			return false
		}
		if status.GetState() == "LEADER" {
			leader = node
		}
	}
	m.leader.Store(leader)
	return leader != nil
}

// Propose implements Log.
func (m *masters) Propose(ctx context.Context, command []byte) error {
	_, _, err := m.leader.Load().Propose(ctx, command)
	if err == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed != nil {
		return m.failed
	}
	return err
}

// Close implements Log.
func (m *masters) Close() {
	m.stop()
	m.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), formTimeout)
	defer cancel()
	m.mu.Lock()
	nodes := m.nodes
	m.nodes = nil
	m.mu.Unlock()
	for _, node := range nodes {
		_ = node.Shutdown(ctx) // the process ends
	}
}

func (m *masters) node(name string) (*consensus.Node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, ok := m.nodes[name]
	if !ok {
		return nil, fmt.Errorf("%s does not run", name)
	}
	return node, nil
}

// Describe implements consensus.Peers.
func (m *masters) Describe(ctx context.Context, to topology.Member, request *masterv1.DescribeRequest) (*masterv1.DescribeResponse, error) {
	node, err := m.node(to.Name)
	if err != nil {
		return nil, err
	}
	return node.Describe(request), ctx.Err()
}

// Join implements consensus.Peers.
func (m *masters) Join(ctx context.Context, to topology.Member, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error) {
	node, err := m.node(to.Name)
	if err != nil {
		return nil, err
	}
	return node.AddMember(ctx, request)
}

var _ consensus.Peers = (*masters)(nil)

// masterState is a counter as consensus.StateMachine.
type masterState struct{ counter }

func (s *masterState) Apply(uint64, []byte) any { return s.n.Add(1) }

func (s *masterState) Snapshot() consensus.Snapshot {
	frozen := &masterSnapshot{}
	frozen.n.Store(s.n.Load())
	return frozen
}

func (s *masterState) Restore(r io.Reader) error { return s.readFrom(r) }

func (*masterState) BeginEpoch(uint64) error { return nil }

type masterSnapshot struct{ counter }

func (s *masterSnapshot) WriteTo(w io.Writer) (int64, error) { return s.writeTo(w) }

func (*masterSnapshot) Release() {}
