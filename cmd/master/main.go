// Command master is one member of the masters of a runtime: it takes part in
// Raft and answers gRPC.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/server"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/owner"
	"github.com/jindo-io/jindo/pkg/topology"
)

// shutdownTimeout of handing leadership over and closing the log; what is left
// of ten seconds is for calls to end.
const shutdownTimeout = 8 * time.Second

type options struct {
	name, roster, tlsDir, dataDir      string
	listen, raftListen, healthListen   string
	formed, debug                      bool
	heartbeat, election, lease, absent time.Duration
}

func main() {
	o := parse()
	daemon.Main(func(ctx context.Context) error { return run(ctx, o) })
}

func parse() options {
	var o options
	flag.StringVar(&o.name, "name", "", "name of this master in the roster")
	flag.StringVar(&o.roster, "roster", "/etc/jindo/roster.json", "file that says who belongs to the runtime")
	flag.StringVar(&o.tlsDir, "tls-dir", "/etc/jindo/tls", "directory of ca.crt, tls.crt and tls.key")
	flag.StringVar(&o.dataDir, "data-dir", "", "directory of the log and its snapshots, of this master alone")
	flag.StringVar(&o.listen, "listen", fmt.Sprintf(":%d", topology.MasterPort), "address for gRPC")
	flag.StringVar(&o.raftListen, "raft-listen", fmt.Sprintf(":%d", topology.RaftPort), "address for Raft")
	flag.StringVar(&o.healthListen, "health-listen", fmt.Sprintf(":%d", topology.HealthPort), "address for health checks and metrics")
	flag.BoolVar(&o.formed, "formed", false, "the cluster has been formed before: never form it again")
	flag.DurationVar(&o.heartbeat, "heartbeat-timeout", consensus.DefaultHeartbeat, "how long a follower waits for its leader")
	flag.DurationVar(&o.election, "election-timeout", consensus.DefaultElection, "how long a candidate waits for votes")
	flag.DurationVar(&o.lease, "lease-timeout", consensus.DefaultLease, "how long a leader goes on without a majority")
	flag.DurationVar(&o.absent, "worker-absence", server.DefaultWorkerAbsence, "after how long without a heartbeat a worker leaves the ring")
	flag.BoolVar(&o.debug, "debug", false, "log more")
	flag.Parse()
	return o
}

// run serves until ctx ends, then hands leadership over and stops.
func run(ctx context.Context, o options) error {
	who, err := topology.Load(o.roster)
	if err != nil {
		return err
	}
	if err := owner.Claim(o.dataDir); err != nil {
		return err
	}
	identity, err := mtls.LoadIdentityOf(o.tlsDir, o.name)
	if err != nil {
		return err
	}
	logger := daemon.Logger(o.name, o.debug)
	health := daemon.NewHealth()
	machine, err := state.New(fatal)
	if err != nil {
		return err
	}
	// The port is taken before the disk is: a second process of this member
	// ends here.
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listening for calls: %w", err)
	}
	defer listener.Close()
	peers := server.NewPeers(identity)
	defer peers.Close()
	node, err := consensus.Open(consensus.Config{
		Name: o.name, DataDir: o.dataDir, ClusterID: who.ClusterID, Formed: o.formed,
		Topology: who, Identity: identity, RaftListen: o.raftListen,
		Heartbeat: o.heartbeat, Election: o.election, Lease: o.lease,
		Peers: peers, Logger: logger, Registry: health.Registry, Fatal: fatal,
	}, server.StateMachine(machine))
	if err != nil {
		return err
	}
	rpcServer, err := server.New(server.Config{
		Name: o.name, Topology: who, Identity: identity, Consensus: node, State: machine,
		WorkerAbsence: o.absent, Logger: logger, Registry: health.Registry, Fatal: fatal,
	})
	if err != nil {
		return errors.Join(err, shutdown(node))
	}
	health.AddCheck("master", rpcServer.Ready)
	return serve(ctx, o, node, rpcServer, health, listener)
}

// serve runs everything until ctx ends or one part fails. Calls are answered
// until leadership has been handed over, so that they learn who leads.
func serve(ctx context.Context, o options, node *consensus.Node, rpcServer *server.Server, health *daemon.Health, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	answering, stopAnswering := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return health.Serve(answering, o.healthListen) })
	group.Go(func() error { return rpcServer.Serve(answering, listener) })
	group.Go(func() error {
		defer stopAnswering()
		err := node.Run(ctx)
		return errors.Join(err, shutdown(node))
	})
	return group.Wait()
}

func shutdown(node *consensus.Node) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return node.Shutdown(ctx)
}

// fatal ends the process at once: this member must not go on.
func fatal(err error) {
	fmt.Fprintln(os.Stderr, "error: this master cannot go on:", err)
	os.Exit(3)
}
