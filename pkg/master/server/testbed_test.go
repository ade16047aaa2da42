package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
	"github.com/jindo-io/jindo/pkg/master/server/servertest"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// waitTimeout bounds waits. Tests assert nothing about time.
const waitTimeout = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ Consensus = (*servertest.Member)(nil)

// testbed runs servers on loopback ports over a log without Raft.
type testbed struct {
	*consensustest.Fixture
	t       *testing.T
	log     *servertest.Log
	servers []*Server
}

// newTestbed starts masters with a formed cluster, of which m-0 is the leader.
func newTestbed(t *testing.T, masters int) *testbed {
	t.Helper()
	s := &testbed{Fixture: consensustest.New(t, masters), t: t}
	var names []string
	for i := range masters {
		names = append(names, s.Name(i))
	}
	log, err := servertest.New(names...)
	if err != nil {
		t.Fatal(err)
	}
	s.log = log
	for i := range masters {
		s.serve(i)
	}
	s.eventually("the cluster is formed", func() error {
		if s.log.Member(0).State.View().ClusterID() == "" {
			return errors.New("the cluster is not formed")
		}
		return nil
	})
	return s
}

func (s *testbed) serve(i int) {
	s.t.Helper()
	member := s.log.Member(i)
	made, err := New(Config{
		Name: s.Name(i), Topology: s.Topology, Identity: s.Identity(i), Consensus: member, State: member.State,
		Fatal: member.Fatal, tick: 10 * time.Millisecond,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", s.Topology.Masters[i].Address())
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- made.Serve(ctx, listener) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	s.servers = append(s.servers, made)
}

// dial connects to the i-th master with the identity of as.
func (s *testbed) dial(i int, as mtls.Peer) *grpc.ClientConn {
	s.t.Helper()
	conn, err := s.Issue(as).Dial(s.Topology.Masters[i].Address(), mtls.Master, s.Name(i))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (s *testbed) coordination(i int, as mtls.Peer) masterv1.CoordinationClient {
	return masterv1.NewCoordinationClient(s.dial(i, as))
}

func (s *testbed) eventually(what string, check func() error) {
	s.t.Helper()
	var err error
	for deadline := time.Now().Add(waitTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	s.t.Fatalf("%s: not within %s: %v", what, waitTimeout, err)
}

var (
	adminPeer  = mtls.Peer{Role: mtls.Admin, Name: "ann"}
	workerPeer = mtls.Peer{Role: mtls.Worker, Name: "w-0"}
	fusePeer   = mtls.Peer{Role: mtls.Fuse, Name: "f-0"}
)

const sessionID = "0123456789abcdef0123456789abcdef"

// open opens a session.
func open(t *testing.T, c masterv1.CoordinationClient, session string) {
	t.Helper()
	if _, err := c.OpenSession(t.Context(), &masterv1.OpenSessionRequest{Session: session, Holder: "a test"}); err != nil {
		t.Fatal(err)
	}
}

func id(sequence uint64) *masterv1.RequestId {
	return &masterv1.RequestId{Session: sessionID, Sequence: sequence, Acknowledged: sequence - 1}
}

func dataMount() *commonv1.Mount {
	return &commonv1.Mount{Name: "data", Path: "/data", Uri: "oss://bucket/", Options: map[string]string{"fs.oss.endpoint": "oss.local"}}
}

func ringMember(name string) *commonv1.RingMember {
	return &commonv1.RingMember{Id: "disk-of-" + name, Name: name, Host: "127.0.0.1", Port: 18005, Weight: 1 << 30}
}

// registered registers a worker through its own session.
func (s *testbed) registered(i int) *commonv1.RingMember {
	s.t.Helper()
	member := ringMember(fmt.Sprintf("w-%d", i))
	c := s.coordination(0, mtls.Peer{Role: mtls.Worker, Name: member.GetName()})
	session := fmt.Sprintf("session-of-worker-%d", i)
	open(s.t, c, session)
	_, err := c.RegisterWorker(s.t.Context(), &masterv1.RegisterWorkerRequest{
		Request: &masterv1.RequestId{Session: session, Sequence: 1}, Member: member,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return member
}
