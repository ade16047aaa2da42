package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/netlimit"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

const (
	// maxRequest bounds the size of a request, in bytes.
	maxRequest = 1 << 20
	// stopGrace is how long running calls may take to end when a server stops.
	stopGrace = time.Second
	// healthEvery is how often the health service is updated from Ready.
	healthEvery = 500 * time.Millisecond
)

// Server implements the services of one master. It is safe for concurrent use.
type Server struct {
	masterv1.UnimplementedCoordinationServer
	masterv1.UnimplementedReportsServer
	masterv1.UnimplementedMemberServer

	config     Config
	awake      *awakeClock
	reports    *reports
	leases     *leases
	proposer   *proposer
	quotas     *quotas
	leaderLoop *leaderLoop
	schedule   *schedule
	metrics    *metrics
	health     *health.Server
	// restoring is held while a snapshot is received and verified.
	restoring sync.Mutex
}

var (
	_ masterv1.CoordinationServer = (*Server)(nil)
	_ masterv1.ReportsServer      = (*Server)(nil)
	_ masterv1.MemberServer       = (*Server)(nil)
)

// New returns a server. Serve starts it.
func New(config Config) (*Server, error) {
	if err := config.normalize(); err != nil {
		return nil, fmt.Errorf("configure the server of a master: %w", err)
	}
	s := &Server{config: config, awake: newAwakeClock(), leases: newLeases(), quotas: newQuotas(), health: health.NewServer()}
	s.reports = newReports(s.awake)
	s.metrics = newMetrics(s)
	s.proposer = newProposer(config.Consensus, config.State, s.metrics)
	s.proposer.clock.wall = config.Now
	s.leaderLoop = newLeaderLoop(s)
	s.schedule = newSchedule(s)
	if config.Registry != nil {
		if err := config.Registry.Register(s.metrics); err != nil {
			return nil, fmt.Errorf("register the metrics of a master: %w", err)
		}
	}
	return s, nil
}

// Serve serves on a listener, within the limits of its connections, until ctx is
// done. It then waits for running calls, for stopGrace at most, and closes the
// listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	listener = netlimit.Listen(listener, netlimit.Config{
		Port: "grpc", Limits: s.config.Connections, Handshake: s.config.Identity.Handshake(),
		Addresses: s.config.Addresses, Logger: s.config.Logger, Registry: s.config.Registry,
	})
	options := append(s.config.Identity.ServerOptions(Rights()), grpc.MaxRecvMsgSize(maxRequest))
	server := grpc.NewServer(options...)
	masterv1.RegisterCoordinationServer(server, s)
	masterv1.RegisterReportsServer(server, s)
	masterv1.RegisterMemberServer(server, s)
	grpc_health_v1.RegisterHealthServer(server, s.health)
	reflection.Register(server)

	var background sync.WaitGroup
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	background.Go(func() { s.proposer.run(working) })
	background.Go(func() { s.leaderLoop.run(working) })
	background.Go(func() { s.schedule.run(working) })
	background.Go(func() { s.publishHealth(working) })
	stopped := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(stopped)
		s.health.Shutdown()
		hard := time.AfterFunc(stopGrace, server.Stop)
		server.GracefulStop()
		hard.Stop()
	})
	err := server.Serve(listener)
	if unhook() {
		server.Stop()
	} else {
		<-stopped
	}
	stopWorking()
	background.Wait()
	if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve master %s: %w", s.config.Name, err)
	}
	return nil
}

// Ready returns an error while this master is not ready to serve.
func (s *Server) Ready() error {
	status := s.config.Consensus.Status()
	reason := s.config.Consensus.Reason()
	switch {
	case status.GetReady():
		return nil
	case reason != "":
		return errors.New(reason)
	case !status.GetVoter():
		return errors.New("this master is not a voter yet")
	case status.GetLeader() == "":
		return errors.New("no leader is known")
	default:
		return fmt.Errorf("this master has applied the log up to %d of %d", status.GetAppliedIndex(), status.GetCommitIndex())
	}
}

// publishHealth updates the health service from Ready.
func (s *Server) publishHealth(ctx context.Context) {
	ticker := time.NewTicker(healthEvery)
	defer ticker.Stop()
	for {
		serving := grpc_health_v1.HealthCheckResponse_SERVING
		if s.Ready() != nil {
			serving = grpc_health_v1.HealthCheckResponse_NOT_SERVING
		}
		s.health.SetServingStatus("", serving)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// caller returns the peer that makes a call. Rights has verified that there is
// one.
func caller(ctx context.Context) mtls.Peer {
	peer, err := mtls.PeerOfContext(ctx)
	if err != nil {
		return mtls.Peer{}
	}
	return peer
}
