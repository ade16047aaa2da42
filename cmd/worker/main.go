// Command worker runs one member of the cache: it caches bytes and listings of
// the mounted stores and serves them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/dirstore"
	"github.com/jindo-io/jindo/pkg/cache/server"
	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/netlimit"
	"github.com/jindo-io/jindo/pkg/owner"
	"github.com/jindo-io/jindo/pkg/tmpfs"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/pkg/ufs/drivers"
	"github.com/jindo-io/jindo/pkg/ufs/storecheck"
)

// closeTimeout bounds the time to close the block store. Together with the grace
// period for requests it is below the ten seconds that a stop may take.
const closeTimeout = 4 * time.Second

type options struct {
	name, roster, tlsDir, dataDir string
	credentialsDir, socketDir     string
	directories                   []string
	listen, healthListen          string
	tiers                         []blockstore.Tier
	memory                        int64
	share                         float64
	scrub                         time.Duration
	socketGroup                   int
	debug                         bool
	profiling                     daemon.Profiling
}

func main() {
	if slices.Equal(os.Args[1:], []string{storecheck.Flag}) {
		daemon.Main(func(ctx context.Context) error { return drivers.ServeCheck(ctx, os.Stdin, os.Stdout) })
		return
	}
	o := parse()
	daemon.Main(func(ctx context.Context) error { return run(ctx, o) })
}

func parse() options {
	var o options
	flag.StringVar(&o.name, "name", "", "name of this worker in the topology")
	flag.StringVar(&o.roster, "roster", "/etc/jindo/roster.json", "topology file: the members of the runtime")
	flag.StringVar(&o.tlsDir, "tls-dir", "/etc/jindo/tls", "directory of ca.crt, tls.crt and tls.key")
	flag.StringVar(&o.dataDir, "data-dir", "", "directory of this worker's id, view and listings")
	flag.StringVar(&o.credentialsDir, "credentials-dir", "", "directory with one subdirectory of credential files per secret")
	flag.Func("directory", "mounted volume from which mounts of file:// and local:// are served, or / for any directory of this host; may be repeated, and without it none are served", func(s string) error {
		o.directories = append(o.directories, s)
		return nil
	})
	flag.StringVar(&o.socketDir, "socket-dir", "", "directory of the sockets for processes on this host: one lends sealed files, one serves bytes; there are none if empty")
	flag.IntVar(&o.socketGroup, "socket-group", 0, "id of a group of this process that may connect to the sockets too; 0 is none")
	flag.StringVar(&o.listen, "listen", fmt.Sprintf(":%d", topology.WorkerPort), "address for bytes and gRPC")
	flag.StringVar(&o.healthListen, "health-listen", fmt.Sprintf(":%d", topology.HealthPort), "address for health checks and metrics")
	flag.Int64Var(&o.memory, "memory", 256<<20, "bound of the blocks in memory, in bytes")
	flag.Float64Var(&o.share, "share", blockstore.DefaultShare, "share of each tier for objects that were not read again; no object or scan evicts more")
	flag.DurationVar(&o.scrub, "scrub", blockstore.DefaultScrub, "time in which every complete cached file is read against its checksums, at up to 16 MiB a second for each tier; negative for never")
	o.profiling.AddFlag(flag.CommandLine)
	flag.BoolVar(&o.debug, "debug", false, "log more")
	flag.Func("tier", "MEDIUM:PATH:QUOTA[:HIGH:LOW], quota in bytes; may be repeated", func(s string) error {
		tier, err := blockstore.ParseTier(s)
		o.tiers = append(o.tiers, tier)
		return err
	})
	flag.Parse()
	return o
}

// run serves until ctx ends, then lets requests finish and writes the blocks that
// are not on disk yet.
func run(ctx context.Context, o options) error {
	members, err := topology.Load(o.roster)
	if err != nil {
		return err
	}
	self, ok := members.Worker(o.name)
	if !ok {
		return fmt.Errorf("topology %s has no worker %q", o.roster, o.name)
	}
	if err := claim(o); err != nil {
		return err
	}
	identity, err := mtls.LoadIdentityOf(o.tlsDir, o.name)
	if err != nil {
		return err
	}
	logger, health := daemon.Logger(o.name, o.debug), daemon.NewHealth()
	limits, local, err := fit(health)
	if err != nil {
		return err
	}
	addresses := netlimit.NewAddresses(members.Hosts()...)
	masters, err := client.New(client.Config{Topology: members, Identity: identity, Holder: "worker " + o.name, Logger: logger})
	if err != nil {
		return err
	}
	defer masters.Close()
	names, err := dirstore.Open(dirstore.Config{Dir: filepath.Join(o.dataDir, "listings"), Logger: logger})
	if err != nil {
		return err
	}
	warnOfDisks(o.tiers, logger)
	blocks, err := blockstore.Open(blockstore.Config{Tiers: o.tiers, Memory: o.memory, Share: o.share, Scrub: o.scrub, Logger: logger})
	if err != nil {
		return errors.Join(err, names.Close())
	}
	var schedule atomic.Pointer[topology.SnapshotSchedule]
	schedule.Store(members.Snapshots)
	worker, err := server.New(server.Config{
		Name: o.name, Host: self.Host, Port: self.Port, ClusterID: members.ClusterID, Listen: o.listen, Identity: identity,
		Connections: limits, LocalConnections: local, Addresses: addresses, DataDir: o.dataDir, SocketDir: o.socketDir, SocketGroup: o.socketGroup, Masters: server.MastersOf(masters), Directory: names,
		OpenStore: server.StoresWith(o.credentialsDir, o.directories...), CredentialsRevision: server.RevisionOf(o.credentialsDir), Blocks: blocks, Snapshots: schedule.Load, Logger: logger, Registry: health.Registry,
	})
	if err == nil {
		health.AddCheck("worker", worker.Ready)
		group, running := errgroup.WithContext(ctx)
		group.Go(func() error { return health.Serve(running, o.healthListen) })
		group.Go(func() error { return o.profiling.Serve(running) })
		group.Go(func() error { return worker.Run(running) })
		group.Go(func() error { addresses.Run(running); return nil })
		group.Go(func() error {
			masters.Follow(running, o.roster, func(next topology.Topology) { schedule.Store(next.Snapshots) })
			return nil
		})
		err = group.Wait()
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(err, blocks.Close(closing), names.Close())
}

// warnOfDisks warns of tiers of the medium MEM that are not in memory: they are placed
// before those of disks, and are not faster.
func warnOfDisks(tiers []blockstore.Tier, logger *slog.Logger) {
	for _, t := range tiers {
		if t.Medium != "MEM" {
			continue
		}
		if is, err := tmpfs.Contains(t.Path); err == nil && !is {
			logger.Warn("a tier of the medium MEM is not in memory", "path", t.Path)
		}
	}
}

// ownFiles is the number of files that a worker needs besides its ports: its
// blocks and listings, and its connections to stores and other workers. With few
// files it gets by with a third of them.
const ownFiles = 4096

// fit returns the limits of the worker's port and of its socket for bytes, and sets
// those of the health port, so that all fit into the files that this process may
// open.
func fit(health *daemon.Health) (port, socket netlimit.Limits, err error) {
	port, socket = server.Limits(), server.LocalLimits()
	files, err := daemon.Files()
	if err == nil {
		err = netlimit.Fit(files, min(ownFiles, files/3), &port, &socket, &health.Connections)
	}
	return port, socket, err
}

// claim marks the directories that outlive this process as the runtime's, so that
// they are removed with it and not with another runtime.
func claim(o options) error {
	dirs := []string{o.dataDir}
	for _, tier := range o.tiers {
		dirs = append(dirs, tier.Path)
	}
	return owner.Claim(dirs...)
}
