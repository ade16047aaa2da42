// Command master is one of the masters of a runtime: it takes part in Raft and
// serves gRPC.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/server"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/netlimit"
	"github.com/jindo-io/jindo/pkg/owner"
	"github.com/jindo-io/jindo/pkg/topology"
)

// shutdownTimeout bounds the transfer of leadership and the closing of the log.
// The rest of ten seconds is for running calls.
const shutdownTimeout = 8 * time.Second

type options struct {
	name, roster, tlsDir, dataDir      string
	listen, raftListen, healthListen   string
	formed, debug                      bool
	heartbeat, election, lease, stable time.Duration
	absent                             time.Duration
	stripe                             int64
	profiling                          daemon.Profiling
}

// stripeVariable is the environment variable with the default of --stripe-size, by
// which a runtime can set it: spec.master.env.
const stripeVariable = "JINDO_STRIPE_SIZE"

// stripeSize returns the default of --stripe-size.
func stripeSize() int64 {
	if n, err := strconv.ParseInt(os.Getenv(stripeVariable), 10, 64); err == nil && n != 0 {
		return n
	}
	return server.DefaultStripeSize
}

// wallClock is the time of commands. Tests replace it by one that jumps.
var wallClock = time.Now

func main() {
	if len(os.Args) > 1 && os.Args[1] == recoverCommand {
		daemon.Main(func(context.Context) error { return recoverOffline(os.Args[2:], os.Stdout) })
		return
	}
	o := parse()
	daemon.Main(func(ctx context.Context) error { return run(ctx, o) })
}

func parse() options {
	var o options
	flag.StringVar(&o.name, "name", "", "name of this master in the topology")
	flag.StringVar(&o.roster, "roster", "/etc/jindo/roster.json", "file with the names and addresses of the runtime's members; it is read again every second, and the leader then brings the members of Raft to the masters that it lists")
	flag.StringVar(&o.tlsDir, "tls-dir", "/etc/jindo/tls", "directory of ca.crt, tls.crt and tls.key")
	flag.StringVar(&o.dataDir, "data-dir", "", "directory of the log and its snapshots, used by this master only")
	flag.StringVar(&o.listen, "listen", fmt.Sprintf(":%d", topology.MasterPort), "address for gRPC")
	flag.StringVar(&o.raftListen, "raft-listen", fmt.Sprintf(":%d", topology.RaftPort), "address for Raft")
	flag.StringVar(&o.healthListen, "health-listen", fmt.Sprintf(":%d", topology.HealthPort), "address for health checks and metrics")
	flag.BoolVar(&o.formed, "formed", false, "the cluster was formed before: never form it again")
	flag.DurationVar(&o.heartbeat, "heartbeat-timeout", consensus.DefaultHeartbeat, "how long a follower waits for its leader")
	flag.DurationVar(&o.election, "election-timeout", consensus.DefaultElection, "how long a candidate waits for votes")
	flag.DurationVar(&o.lease, "lease-timeout", consensus.DefaultLease, "how long a leader continues without a majority")
	flag.DurationVar(&o.stable, "stabilization-time", consensus.DefaultStabilization, "for how long a new member of a cluster in use must have been caught up before it gets a vote")
	flag.DurationVar(&o.absent, "worker-absence", server.DefaultWorkerAbsence, "how long a worker may send no heartbeat before it is removed from the ring")
	flag.Int64Var(&o.stripe, "stripe-size", stripeSize(), "stripe size, in bytes, of a cluster that this master forms: larger objects are spread over the workers in parts of this size; an existing cluster keeps its own. -1 keeps objects whole. $"+stripeVariable+" is the default")
	o.profiling.AddFlag(flag.CommandLine)
	flag.BoolVar(&o.debug, "debug", false, "log debug messages")
	flag.Parse()
	return o
}

// run serves until ctx is done, then transfers leadership and stops. Health
// checks are served from the beginning, also while the disk cannot be used.
func run(ctx context.Context, o options) error {
	health := daemon.NewHealth()
	raftLimits, rpcLimits, err := fit(health)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return health.Serve(serving, o.healthListen) })
	group.Go(func() error { return o.profiling.Serve(serving) })
	group.Go(func() error {
		defer stopServing()
		return runMember(ctx, o, health, raftLimits, rpcLimits)
	})
	return group.Wait()
}

// runMember opens the member and serves calls until ctx is done.
func runMember(ctx context.Context, o options, health *daemon.Health, raftLimits, rpcLimits netlimit.Limits) error {
	members, err := topology.Load(o.roster)
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
	addresses := netlimit.NewAddresses(members.Hosts()...)
	roster := newRoster(o.roster, members, addresses, logger)
	machine, err := state.New(fatal)
	if err != nil {
		return err
	}
	resolving, stop := context.WithCancel(ctx)
	defer stop()
	go addresses.Run(resolving)
	go roster.watch(resolving)
	peers := server.NewPeers(identity)
	defer peers.Close()
	serving := server.Config{
		Name: o.name, Topology: members, Identity: identity, State: machine, Connections: rpcLimits, Addresses: addresses,
		WorkerAbsence: o.absent, StripeSize: o.stripe, Logger: logger, Registry: health.Registry, Now: wallClock, Fatal: fatal,
		Snapshots: func() *topology.SnapshotSchedule { return roster.newest().Snapshots },
	}
	opener := opener{config: consensus.Config{
		Name: o.name, DataDir: o.dataDir, ClusterID: members.ClusterID, Formed: o.formed,
		Topology: members, Identity: identity, RaftListen: o.raftListen,
		Connections: raftLimits, Addresses: addresses,
		Format: state.FormatVersion, NewState: newState, Heartbeat: o.heartbeat, Election: o.election, Lease: o.lease, Stabilization: o.stable,
		Peers: peers, Logger: logger, Registry: health.Registry, Fatal: fatal,
	}, server: serving, listen: o.listen, machine: machine, health: health, topology: roster.newest}
	node, listener, err := opener.open(ctx)
	if err != nil {
		return err
	}
	defer listener.Close()
	serving.Consensus = node
	rpcServer, err := server.New(serving)
	if err != nil {
		return errors.Join(err, shutdown(node))
	}
	roster.follow(node)
	health.AddCheck("master", rpcServer.Ready)
	return serve(ctx, node, rpcServer, listener)
}

// newState returns an empty state machine for a recovery, whose failure does not end the
// process.
func newState() (consensus.StateMachine, error) {
	machine, err := state.New(func(error) {})
	if err != nil {
		return nil, err
	}
	return server.StateMachine(machine), nil
}

// ownFiles is the number of files that a master needs besides its ports: its log
// and snapshots, and its connections to other masters.
const ownFiles = 128

// fit returns the limits of the Raft port and of the gRPC port, and sets those of
// the health port, so that all fit into the files that this process may open.
func fit(health *daemon.Health) (raft, rpc netlimit.Limits, err error) {
	raft, rpc = consensus.Limits(), server.Limits()
	files, err := daemon.Files()
	if err == nil {
		err = netlimit.Fit(files, ownFiles, &raft, &rpc, &health.Connections)
	}
	return raft, rpc, err
}

// serve runs everything until ctx is done or one part fails. Calls are served
// until leadership has been transferred, so that clients learn the new leader.
func serve(ctx context.Context, node *consensus.Node, rpcServer *server.Server, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return rpcServer.Serve(serving, listener) })
	group.Go(func() error {
		defer stopServing()
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

// fatal exits immediately, because this member must not continue.
func fatal(err error) {
	fmt.Fprintln(os.Stderr, "error: this master cannot continue:", err)
	os.Exit(3)
}
