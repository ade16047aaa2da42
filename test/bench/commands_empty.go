package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/test/testbed"
)

// emptyCalls is the contender that calls the leader without a command: what is left
// of the time of a command is that of the log and the state.
const emptyCalls = "gRPC without the log"

// leaderCalls are connections to the leader of a runtime, which another contender
// stops. They are secured as those of its clients.
type leaderCalls struct {
	conns   []*grpc.ClientConn
	members []int
}

// connectEmpty opens the connections, and calls over each once.
func connectEmpty(ctx context.Context, m *runtimeMasters) (*leaderCalls, error) {
	c := &leaderCalls{members: m.members}
	if err := c.connect(ctx, m.testbed); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *leaderCalls) connect(ctx context.Context, s *testbed.Testbed) error {
	name, err := s.Leader(ctx)
	if err != nil {
		return err
	}
	members, err := topology.Load(s.Layout.Roster())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(members.Masters, func(m topology.Member) bool { return m.Name == name })
	if i < 0 {
		return fmt.Errorf("the leader %s is not in the topology", name)
	}
	for n := range slices.Max(commandClients) {
		identity, err := s.Issue(mtls.Peer{Role: mtls.Admin, Name: fmt.Sprintf("empty-%d", n)})
		if err != nil {
			return err
		}
		conn, err := identity.Dial(members.Masters[i].Address(), mtls.Master, name)
		if err != nil {
			return err
		}
		c.conns = append(c.conns, conn)
		if err := c.call(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (c *leaderCalls) call(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, loadLimit)
	defer cancel()
	_, err := grpc_health_v1.NewHealthClient(c.conns[i]).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}

func (c *leaderCalls) send(ctx context.Context, clients int, duration time.Duration) (work, error) {
	return sendAll(ctx, clients, duration, c.call)
}

func (c *leaderCalls) pids() []int { return c.members }

func (c *leaderCalls) close() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}
