package client_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
	"github.com/jindo-io/jindo/pkg/master/server"
	"github.com/jindo-io/jindo/pkg/master/server/servertest"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// waitTimeout bounds waits. Tests assert nothing about time.
const waitTimeout = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testbed runs masters on loopback ports over a log without Raft.
type testbed struct {
	*consensustest.Fixture
	t     *testing.T
	log   *servertest.Log
	stops []func()
}

// newTestbed returns masters that are down.
func newTestbed(t *testing.T, masters int) *testbed {
	t.Helper()
	s := &testbed{Fixture: consensustest.New(t, masters), t: t, stops: make([]func(), masters)}
	var names []string
	for i := range masters {
		names = append(names, s.Name(i))
	}
	log, err := servertest.New(names...)
	if err != nil {
		t.Fatal(err)
	}
	s.log = log
	t.Cleanup(func() {
		for i := range masters {
			s.down(i)
		}
	})
	return s
}

// running starts all masters, and waits until the cluster is formed.
func running(t *testing.T, masters int) *testbed {
	t.Helper()
	s := newTestbed(t, masters)
	for i := range masters {
		s.up(i)
	}
	s.eventually("the cluster is formed", func() error {
		if s.log.Member(0).State.View().ClusterID() == "" {
			return errors.New("it has no id")
		}
		return nil
	})
	return s
}

// eventually waits until check returns nil.
func (s *testbed) eventually(what string, check func() error) {
	s.t.Helper()
	for deadline := time.Now().Add(waitTimeout); ; time.Sleep(5 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("wait until %s: %v", what, err)
		}
	}
}

func (s *testbed) up(i int) {
	s.t.Helper()
	member := s.log.Member(i)
	made, err := server.New(server.Config{
		Name: s.Name(i), Topology: s.Topology, Identity: s.Identity(i), Consensus: member, State: member.State, Fatal: member.Fatal,
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
	s.stops[i] = func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

func (s *testbed) down(i int) {
	if s.stops[i] != nil {
		s.stops[i]()
		s.stops[i] = nil
	}
}

func (s *testbed) client(as mtls.Peer) *client.Client {
	s.t.Helper()
	c, err := client.New(client.Config{Topology: s.Topology, Identity: s.Issue(as), Holder: as.String()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

func (s *testbed) admin() *client.Client { return s.client(mtls.Peer{Role: mtls.Admin, Name: "ann"}) }

func data() *commonv1.Mount {
	return &commonv1.Mount{Name: "data", Path: "/data", Uri: "oss://bucket/"}
}

// epoch returns the epoch of the mount at /data in the state.
func (s *testbed) epoch() uint64 {
	for _, m := range s.log.Member(0).State.View().Cluster().GetMounts() {
		if m.GetPath() == "/data" {
			return m.GetEpoch()
		}
	}
	return 0
}
