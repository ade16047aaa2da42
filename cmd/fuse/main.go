//go:build linux

// Command fuse serves a mount whose descriptor somebody else holds: it may be
// killed at any moment, and the next one goes on where it stopped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	cache "github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mount/reader"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/roster"
)

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
	o := parse()
	daemon.Main(func(ctx context.Context) error { return run(ctx, o) })
}

func parse() options {
	var o options
	flag.StringVar(&o.name, "name", "fuse", "name of this server in logs")
	flag.StringVar(&o.roster, "roster", "/etc/jindo/roster.json", "file that says who belongs to the runtime")
	flag.StringVar(&o.tlsDir, "tls-dir", "/etc/jindo/tls", "directory of ca.crt, tls.crt and tls.key")
	flag.StringVar(&o.stateDir, "state-dir", "", "directory of what a successor has to find")
	flag.StringVar(&o.sessionSocket, "session-socket", "", "socket of whoever holds the mount")
	flag.StringVar(&o.socketDir, "socket-dir", "", "directory of the sockets of workers on this host; empty uses none")
	flag.StringVar(&o.credentialsDir, "credentials-dir", "", "directory with one folder of credential files a secret; empty leaves the stores to the workers")
	flag.StringVar(&o.healthListen, "health-listen", fmt.Sprintf(":%d", roster.HealthPort), "address for health checks and metrics")
	flag.DurationVar(&o.attrTTL, "attr-timeout", time.Minute, "how long the kernel may keep attributes")
	flag.DurationVar(&o.entryTTL, "entry-timeout", time.Minute, "how long the kernel may keep names")
	flag.DurationVar(&o.negativeTTL, "negative-timeout", 5*time.Second, "how long the kernel may keep that a name is not there")
	flag.DurationVar(&o.readTimeout, "read-timeout", time.Minute, "how long a read may try before it fails")
	flag.UintVar(&o.uid, "uid", uint(os.Getuid()), "owner of every file") //nolint:gosec // not negative on Linux
	flag.UintVar(&o.gid, "gid", uint(os.Getgid()), "group of every file") //nolint:gosec // not negative on Linux
	flag.Int64Var(&o.memory, "memory", 256<<20, "bytes that may be read ahead, of all files together")
	flag.BoolVar(&o.debug, "debug", false, "log more")
	flag.Parse()
	return o
}

// run serves until ctx ends, which leaves the mount to whoever holds it. A mount
// that is gone is followed by the next.
func run(ctx context.Context, o options) error {
	if o.stateDir == "" || o.sessionSocket == "" {
		return errors.New("--state-dir and --session-socket must be given")
	}
	who, err := roster.Load(o.roster)
	if err != nil {
		return err
	}
	identity, err := mtls.LoadIdentityOf(o.tlsDir, o.name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.stateDir, 0o700); err != nil {
		return fmt.Errorf("making the state directory: %w", err)
	}
	logger, health := daemon.Logger(o.name, o.debug), daemon.NewHealth()
	masters, err := client.New(client.Config{Roster: who, Identity: identity, Holder: "fuse " + o.name, Logger: logger})
	if err != nil {
		return err
	}
	defer masters.Close()
	workers, err := cache.New(cache.Config{
		Roster: who, Identity: identity, Masters: masters, ViewFile: filepath.Join(o.stateDir, "view"), Logger: logger,
	})
	if err != nil {
		return err
	}
	sockets := reader.NewSockets(o.socketDir)
	files, err := reader.New(readerConfig(o, workers, sockets, logger, health))
	if err != nil {
		return errors.Join(err, sockets.Close(), workers.Close())
	}
	m := &mount{options: o, workers: workers, source: source{files}, health: health, log: logger}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return health.Serve(running, o.healthListen) })
	group.Go(func() error { return m.serve(running) })
	err = group.Wait()
	return errors.Join(err, files.Close(), sockets.Close(), workers.Close())
}
