// Package consensustest provides the environment of masters in one process, for
// tests: a topology on loopback addresses, certificates, directories, and
// requests from one member to another without gRPC. It is independent of Raft.
package consensustest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/test/ports"
)

// ClusterID is the cluster id of every fixture.
const ClusterID = "cluster-of-a-test"

// Member is the part of a master that a fixture uses; *consensus.Node
// implements it.
type Member interface {
	Describe(request *masterv1.DescribeRequest) *masterv1.DescribeResponse
	AddMember(ctx context.Context, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error)
}

// Fixture is the environment of a cluster. It implements consensus.Peers.
type Fixture struct {
	Topology  topology.Topology
	Authority *mtls.Authority

	dir string
	t   testing.TB
	// health are the addresses for health checks of the masters.
	health []string

	mu      sync.Mutex
	members map[string]Member
}

// New returns the environment of a number of masters, named m-0 and so on.
func New(t testing.TB, masters int) *Fixture {
	t.Helper()
	authority, err := mtls.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	f := &Fixture{Authority: authority, dir: directory(t), t: t, members: map[string]Member{}}
	f.Topology = topology.Topology{Namespace: "default", Name: "test", ClusterID: ClusterID}
	address := host()
	for i := range masters {
		f.Topology.Masters = append(f.Topology.Masters, topology.Member{
			Name: fmt.Sprintf("m-%d", i), Host: address, Port: ports.ReserveAt(t, address), RaftPort: ports.ReserveAt(t, address),
		})
		f.health = append(f.health, net.JoinHostPort(address, strconv.Itoa(ports.ReserveAt(t, address))))
	}
	return f
}

// Name returns the name of the i-th master.
func (f *Fixture) Name(i int) string { return f.Topology.Masters[i].Name }

// Health returns the address for health checks of the i-th master: host:port.
func (f *Fixture) Health(i int) string { return f.health[i] }

// DataDir returns the data directory of the i-th master.
func (f *Fixture) DataDir(i int) string { return filepath.Join(f.dir, f.Name(i)) }

// Wipe deletes the data directory of the i-th master.
func (f *Fixture) Wipe(i int) {
	f.t.Helper()
	if err := os.RemoveAll(f.DataDir(i)); err != nil {
		f.t.Fatal(err)
	}
}

// Identity returns the identity of the i-th master.
func (f *Fixture) Identity(i int) *mtls.Identity {
	f.t.Helper()
	return f.Issue(mtls.Peer{Role: mtls.Master, Name: f.Name(i)})
}

// Issue returns an identity that the masters' authority has signed.
func (f *Fixture) Issue(peer mtls.Peer) *mtls.Identity {
	f.t.Helper()
	pair, err := f.Authority.Issue(peer, []string{"127.0.0.1"}, time.Hour)
	if err != nil {
		f.t.Fatal(err)
	}
	dir, err := os.MkdirTemp(f.dir, "tls-")
	if err != nil {
		f.t.Fatal(err)
	}
	if err := pair.Save(dir); err != nil {
		f.t.Fatal(err)
	}
	identity, err := mtls.LoadIdentity(dir)
	if err != nil {
		f.t.Fatal(err)
	}
	return identity
}

// Up makes the i-th master reachable for the others.
func (f *Fixture) Up(i int, member Member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members[f.Name(i)] = member
}

// Down makes the i-th master unreachable.
func (f *Fixture) Down(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.members, f.Name(i))
}

func (f *Fixture) member(name string) (Member, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	member, ok := f.members[name]
	if !ok {
		return nil, fmt.Errorf("call %s: connection refused", name)
	}
	return member, nil
}

// Describe implements consensus.Peers.
func (f *Fixture) Describe(ctx context.Context, to topology.Member, request *masterv1.DescribeRequest) (*masterv1.DescribeResponse, error) {
	member, err := f.member(to.Name)
	if err != nil {
		return nil, err
	}
	return member.Describe(request), ctx.Err()
}

// Join implements consensus.Peers.
func (f *Fixture) Join(ctx context.Context, to topology.Member, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error) {
	member, err := f.member(to.Name)
	if err != nil {
		return nil, err
	}
	return member.AddMember(ctx, request)
}
