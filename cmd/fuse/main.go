//go:build linux

// Command fuse serves FUSE mounts whose descriptors another process holds. It may
// be killed at any moment; the next server takes over its requests and open
// files. Without a subcommand it serves one mount, of the runtime that its flags
// name. "fuse sidecar" serves the volumes of the pod that it runs in, and "fuse
// ready" reports whether the sidecar serves all of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/mount/fusefs"
	"github.com/jindo-io/jindo/pkg/topology"
)

// options are the flags of the server of one mount.
type options struct {
	name, roster, tlsDir, stateDir string
	sessionSocket, socketDir       string
	credentialsDir, healthListen   string
	directories                    []string
	attrTTL, entryTTL, negativeTTL time.Duration
	readTimeout                    time.Duration
	holderTimeout                  time.Duration
	uid, gid                       uint
	memory                         int64
	passthrough                    int64
	immutable                      bool
	debug                          bool
	profiling                      daemon.Profiling
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "sidecar":
			daemon.Main(func(ctx context.Context) error { return runSidecar(ctx, os.Args[2:]) })
			return
		case "ready":
			os.Exit(runReady(os.Args[2:], os.Stdout))
		case "metrics":
			os.Exit(runMetrics(os.Args[2:], os.Stdout))
		}
	}
	daemon.Main(func(ctx context.Context) error {
		o, err := parseOptions(os.Args[1:])
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		if err != nil {
			return err
		}
		return run(ctx, o)
	})
}

// parseOptions parses the arguments of the server of one mount. It returns
// flag.ErrHelp after it has printed the usage.
func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("fuse", flag.ContinueOnError)
	o.addPathFlags(flags)
	o.addMountFlags(flags)
	flags.DurationVar(&o.holderTimeout, "holder-timeout", defaultHolderTimeout(), "time for which a server that is terminated serves on while no other process holds the mount, which would end with it; by default 20s in a pod, otherwise 0")
	flags.StringVar(&o.healthListen, "health-listen", fmt.Sprintf(":%d", topology.HealthPort), "address for health checks and metrics")
	o.profiling.AddFlag(flags)
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unknown command %q: run fuse, fuse sidecar or fuse ready", flags.Arg(0))
	}
	return o, nil
}

// defaultHolderTimeout is less than the default grace period of a pod. Outside of pods
// the holder starts and stops its servers.
func defaultHolderTimeout() time.Duration {
	if os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		return 0
	}
	return 20 * time.Second
}

// addPathFlags adds the flags that depend on where the server runs: its name, and
// the paths of its files and sockets.
func (o *options) addPathFlags(flags *flag.FlagSet) {
	flags.StringVar(&o.name, "name", "fuse", "name of this server in logs")
	flags.StringVar(&o.roster, "roster", "/etc/jindo/roster.json", "topology file: the members of the runtime")
	flags.StringVar(&o.tlsDir, "tls-dir", "/etc/jindo/tls", "directory of ca.crt, tls.crt and tls.key")
	flags.StringVar(&o.stateDir, "state-dir", "", "directory of the state that the next server of the mount takes over (required)")
	flags.StringVar(&o.sessionSocket, "session-socket", "", "socket of the process that holds the mount (required)")
	flags.StringVar(&o.socketDir, "socket-dir", "", "directory of the sockets of workers on this host; none are used if empty")
	flags.StringVar(&o.credentialsDir, "credentials-dir", "", "directory with one subdirectory of credential files per secret; stores are read through workers only if empty")
	flags.Func("directory", "mounted volume from which mounts of file:// and local:// are served without workers, or / for any directory of this host; may be repeated", func(s string) error {
		o.directories = append(o.directories, s)
		return nil
	})
}

// addMountFlags adds the flags that a runtime sets, wherever its server runs.
func (o *options) addMountFlags(flags *flag.FlagSet) {
	flags.DurationVar(&o.attrTTL, "attr-timeout", time.Minute, "time for which the kernel may cache attributes")
	flags.DurationVar(&o.entryTTL, "entry-timeout", time.Minute, "time for which the kernel may cache names")
	flags.DurationVar(&o.negativeTTL, "negative-timeout", 5*time.Second, "time for which the kernel may cache that a name does not exist")
	flags.DurationVar(&o.readTimeout, "read-timeout", time.Minute, "time after which a read or a name lookup fails; it fails earlier if the store refuses the request")
	flags.UintVar(&o.uid, "uid", uint(os.Getuid()), "user id of the owner of every file")
	flags.UintVar(&o.gid, "gid", uint(os.Getgid()), "group id of every file")
	flags.Int64Var(&o.memory, "memory", 256<<20, "bound of the bytes read ahead, over all files")
	flags.Int64Var(&o.passthrough, "passthrough-size", fusefs.DefaultPassthrough, "size in bytes from which on the kernel reads complete cached files of this host itself, if it supports FUSE passthrough; -1 for none")
	flags.BoolVar(&o.immutable, "immutable", false, "no file is ever replaced: the kernel opens files that it has cached without a request, and does not read cached files of workers itself; fixed when the mount is made")
	flags.BoolVar(&o.debug, "debug", false, "log more")
}

// run serves until ctx ends, which leaves the mount to its holder. When the mount
// is removed, run waits for the holder's next mount.
func run(ctx context.Context, o options) error {
	logger, health := daemon.Logger(o.name, o.debug), daemon.NewHealth()
	s, err := newServer(o, logger, health.Registry)
	if err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return health.Serve(running, o.healthListen) })
	group.Go(func() error { return o.profiling.Serve(running) })
	group.Go(func() error { s.masters.Follow(running, o.roster, nil); return nil })
	group.Go(func() error {
		health.AddCheck("mount", s.mount.ready)
		health.SetViewCheck(s.mount.viewReached)
		return s.mount.serve(running)
	})
	return s.close(group.Wait())
}
