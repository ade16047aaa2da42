//go:build linux

// Command fuse serves mounts whose descriptors somebody else holds: it may be
// killed at any moment, and the next one goes on where it stopped. Without a
// subcommand it serves one mount, of the runtime that its flags name; "fuse
// sidecar" serves those of the volumes of the pod that it runs in, and "fuse
// ready" asks it whether it does.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/topology"
)

// options of one mount.
type options struct {
	name, roster, tlsDir, stateDir string
	sessionSocket, socketDir       string
	credentialsDir, healthListen   string
	attrTTL, entryTTL, negativeTTL time.Duration
	readTimeout                    time.Duration
	uid, gid                       uint
	memory                         int64
	debug                          bool
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "sidecar":
			daemon.Main(func(ctx context.Context) error { return runSidecar(ctx, os.Args[2:]) })
			return
		case "ready":
			os.Exit(runReady(os.Args[2:], os.Stdout))
		}
	}
	var o options
	o.places(flag.CommandLine)
	o.behaviour(flag.CommandLine)
	flag.StringVar(&o.healthListen, "health-listen", fmt.Sprintf(":%d", topology.HealthPort), "address for health checks and metrics")
	flag.Parse()
	daemon.Main(func(ctx context.Context) error { return run(ctx, o) })
}

// places are where a server finds things, and what it is called.
func (o *options) places(flags *flag.FlagSet) {
	flags.StringVar(&o.name, "name", "fuse", "name of this server in logs")
	flags.StringVar(&o.roster, "roster", "/etc/jindo/roster.json", "file that says who belongs to the runtime")
	flags.StringVar(&o.tlsDir, "tls-dir", "/etc/jindo/tls", "directory of ca.crt, tls.crt and tls.key")
	flags.StringVar(&o.stateDir, "state-dir", "", "directory of what a successor has to find")
	flags.StringVar(&o.sessionSocket, "session-socket", "", "socket of whoever holds the mount")
	flags.StringVar(&o.socketDir, "socket-dir", "", "directory of the sockets of workers on this host; empty uses none")
	flags.StringVar(&o.credentialsDir, "credentials-dir", "", "directory with one folder of credential files a secret; empty leaves the stores to the workers")
}

// behaviour is what holds wherever a server runs.
func (o *options) behaviour(flags *flag.FlagSet) {
	flags.DurationVar(&o.attrTTL, "attr-timeout", time.Minute, "how long the kernel may keep attributes")
	flags.DurationVar(&o.entryTTL, "entry-timeout", time.Minute, "how long the kernel may keep names")
	flags.DurationVar(&o.negativeTTL, "negative-timeout", 5*time.Second, "how long the kernel may keep that a name is not there")
	flags.DurationVar(&o.readTimeout, "read-timeout", time.Minute, "how long a read or a name lookup may take before it fails; one that the store refuses to serve fails earlier")
	flags.UintVar(&o.uid, "uid", uint(os.Getuid()), "owner of every file")
	flags.UintVar(&o.gid, "gid", uint(os.Getgid()), "group of every file")
	flags.Int64Var(&o.memory, "memory", 256<<20, "bytes that may be read ahead, of all files together")
	flags.BoolVar(&o.debug, "debug", false, "log more")
}

// run serves until ctx ends, which leaves the mount to whoever holds it. A mount
// that is gone is followed by the next.
func run(ctx context.Context, o options) error {
	logger, health := daemon.Logger(o.name, o.debug), daemon.NewHealth()
	s, err := newServer(o, logger, health.Registry)
	if err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return health.Serve(running, o.healthListen) })
	group.Go(func() error {
		health.AddCheck("mount", s.mount.ready)
		health.SetViewCheck(s.mount.reached)
		return s.mount.serve(running)
	})
	return s.close(group.Wait())
}
