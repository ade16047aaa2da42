//go:build linux

// Command csi is the node plugin. "csi node" serves the kubelet and mounts; "csi
// keep" stores the descriptors of the mounts, so that they survive a restart of the
// plugin.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/kube/csi/cluster"
	"github.com/jindo-io/jindo/pkg/kube/csi/fdstore"
	"github.com/jindo-io/jindo/pkg/kube/csi/node"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/pkg/version"
)

func main() {
	daemon.Main(func(ctx context.Context) error { return run(ctx, os.Args[1:]) })
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("no command: run csi node or csi keep")
	}
	switch args[0] {
	case "node":
		return runNode(ctx, args[1:])
	case "keep":
		return runFDStore(ctx, args[1:])
	}
	return fmt.Errorf("unknown command %q: run csi node or csi keep", args[0])
}

type options struct {
	endpoint, registrationDir, driverPath string
	kubeletDir, nodeName                  string
	nodeRoot, hostPaths                   string
	fdStoreSocket, healthListen           string
	serverUIDs                            []uint32
	publishTimeout, idleTimeout           time.Duration
	debug                                 bool
	profiling                             daemon.Profiling
}

func parse(args []string) (options, error) {
	o := options{serverUIDs: []uint32{names.User}}
	flags := flag.NewFlagSet("csi node", flag.ContinueOnError)
	flags.StringVar(&o.endpoint, "endpoint", "unix:///csi/csi.sock", "CSI endpoint of the driver")
	flags.StringVar(&o.registrationDir, "registration-dir", "/registration", "the kubelet's plugin registration directory")
	flags.StringVar(&o.driverPath, "driver-path", "/var/lib/kubelet/csi-plugins/"+names.Driver+"/csi.sock", "path of the endpoint's socket on the node")
	flags.StringVar(&o.kubeletDir, "kubelet-dir", "/var/lib/kubelet", "the kubelet's root directory; the path must be the same in this container")
	flags.StringVar(&o.nodeName, "node-name", os.Getenv("NODE_NAME"), "name of this node")
	flags.StringVar(&o.nodeRoot, "node-root", "/", "directory below which those of --host-paths are mounted at their paths on the node, so that cached files there can be checked that the kernel is to read itself; empty for none")
	flags.StringVar(&o.hostPaths, "host-paths", os.Getenv(hostpath.Setting), "comma-separated directories of the node that tiers may use (default $"+hostpath.Setting+")")
	flags.StringVar(&o.fdStoreSocket, "keeper-socket", "/keeper/keeper.sock", "socket of the descriptor store (csi keep)")
	flags.StringVar(&o.healthListen, "health-listen", fmt.Sprintf(":%d", topology.HealthPort), "address for health checks and metrics")
	flags.DurationVar(&o.publishTimeout, "publish-wait", node.DefaultPublishTimeout, "how long a publish call waits for a FUSE server")
	flags.DurationVar(&o.idleTimeout, "linger", node.DefaultIdleTimeout, "how long the mount and files of a runtime without volumes are kept")
	o.profiling.AddFlag(flags)
	flags.BoolVar(&o.debug, "debug", false, "log debug messages")
	flags.Func("server-uids", fmt.Sprintf("comma-separated ids of the users, besides root, that FUSE servers may run as (default %d)", names.User), func(s string) error {
		o.serverUIDs = nil
		for part := range strings.SplitSeq(s, ",") {
			uid, err := strconv.ParseUint(part, 10, 32)
			if err != nil {
				return fmt.Errorf("invalid user id %q", part)
			}
			o.serverUIDs = append(o.serverUIDs, uint32(uid))
		}
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.nodeName == "" {
		return o, errors.New("the node name is missing: set --node-name or NODE_NAME")
	}
	return o, nil
}

func runNode(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	endpoint, err := url.Parse(o.endpoint)
	if err != nil || endpoint.Scheme != "unix" || endpoint.Path == "" {
		return fmt.Errorf("invalid --endpoint %q: it must be unix:///PATH", o.endpoint)
	}
	logger, health := daemon.Logger("csi", o.debug), daemon.NewHealth()
	var hostPaths []string
	if policy, err := hostpath.Parse(o.hostPaths, o.kubeletDir); err == nil {
		hostPaths = policy.Roots()
	} else {
		// Mounts do not depend on it.
		logger.Error("cached files in directories of the node are read through FUSE servers", "error", err)
	}
	kube, err := cluster.InCluster(o.nodeName, logger)
	if err != nil {
		return err
	}
	store := fdstore.NewClient(o.fdStoreSocket, logger)
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return health.Serve(running, o.healthListen) })
	group.Go(func() error { return o.profiling.Serve(running) })
	group.Go(func() error { kube.Run(running); return nil })
	plugin, err := node.New(running, node.Config{
		Name: o.nodeName, Version: version.String(), KubeletDir: o.kubeletDir, Cluster: kube, FDStore: store,
		NodeRoot: o.nodeRoot, HostPaths: hostPaths, ServerUIDs: o.serverUIDs, PublishTimeout: o.publishTimeout, IdleTimeout: o.idleTimeout, Logger: logger,
	})
	if err != nil {
		group.Go(func() error { return err })
		return group.Wait()
	}
	health.AddCheck("keeper", func() error {
		if !store.Connected() {
			return errors.New("the descriptor store is not connected")
		}
		return nil
	})
	group.Go(func() error { store.Run(running); return nil })
	group.Go(func() error { plugin.Run(running); return nil })
	group.Go(func() error { return plugin.Serve(running, endpoint.Path) })
	group.Go(func() error { return plugin.Register(running, o.registrationDir, o.driverPath) })
	return errors.Join(group.Wait(), plugin.Close())
}

func runFDStore(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("csi keep", flag.ContinueOnError)
	socket := flags.String("socket", "/keeper/keeper.sock", "socket of the descriptor store")
	var profiling daemon.Profiling
	profiling.AddFlag(flags)
	debug := flags.Bool("debug", false, "log debug messages")
	if err := flags.Parse(args); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return profiling.Serve(ctx) })
	group.Go(func() error { return fdstore.NewServer(daemon.Logger("keeper", *debug)).Serve(ctx, *socket) })
	return group.Wait()
}
