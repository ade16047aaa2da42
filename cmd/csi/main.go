//go:build linux

// Command csi is the node plugin: "csi node" mounts, "csi keep" keeps the
// descriptors of its mounts while it is away.
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
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/pkg/version"
)

func main() {
	daemon.Main(func(ctx context.Context) error { return run(ctx, os.Args[1:]) })
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say what to be: csi node or csi keep")
	}
	switch args[0] {
	case "node":
		return runNode(ctx, args[1:])
	case "keep":
		return runKeeper(ctx, args[1:])
	}
	return fmt.Errorf("nothing is called %q: say csi node or csi keep", args[0])
}

type options struct {
	endpoint, registrationDir, driverPath string
	kubeletDir, nodeName                  string
	keeperSocket, healthListen            string
	serverUIDs                            []uint32
	publishWait, linger                   time.Duration
	debug                                 bool
}

func parse(args []string) (options, error) {
	o := options{serverUIDs: []uint32{names.User}}
	flags := flag.NewFlagSet("csi node", flag.ContinueOnError)
	flags.StringVar(&o.endpoint, "endpoint", "unix:///csi/csi.sock", "where the kubelet calls the driver")
	flags.StringVar(&o.registrationDir, "registration-dir", "/registration", "directory in which the kubelet looks for drivers")
	flags.StringVar(&o.driverPath, "driver-path", "/var/lib/kubelet/csi-plugins/"+names.Driver+"/csi.sock", "the endpoint's path on the node")
	flags.StringVar(&o.kubeletDir, "kubelet-dir", "/var/lib/kubelet", "the kubelet's directory, which must have the same path here")
	flags.StringVar(&o.nodeName, "node-name", os.Getenv("NODE_NAME"), "name of this node")
	flags.StringVar(&o.keeperSocket, "keeper-socket", "/keeper/keeper.sock", "socket of the keeper")
	flags.StringVar(&o.healthListen, "health-listen", fmt.Sprintf(":%d", topology.HealthPort), "address for health checks and metrics")
	flags.DurationVar(&o.publishWait, "publish-wait", node.DefaultPublishTimeout, "how long a publish call waits for a FUSE server")
	flags.DurationVar(&o.linger, "linger", node.DefaultIdleTimeout, "how long what belongs to a runtime without volumes stays")
	flags.BoolVar(&o.debug, "debug", false, "log more")
	flags.Func("server-uids", fmt.Sprintf("users, with commas, that FUSE servers may run as besides root (default %d)", names.User), func(s string) error {
		o.serverUIDs = nil
		for part := range strings.SplitSeq(s, ",") {
			uid, err := strconv.ParseUint(part, 10, 32)
			if err != nil {
				return fmt.Errorf("user %q is not a number", part)
			}
			o.serverUIDs = append(o.serverUIDs, uint32(uid))
		}
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.nodeName == "" {
		return o, errors.New("--node-name or NODE_NAME must be given")
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
		return fmt.Errorf("--endpoint %s: it must be unix:///PATH", o.endpoint)
	}
	logger, health := daemon.Logger("csi", o.debug), daemon.NewHealth()
	kube, err := cluster.InCluster(o.nodeName, logger)
	if err != nil {
		return err
	}
	keep := fdstore.NewClient(o.keeperSocket, logger)
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return health.Serve(running, o.healthListen) })
	group.Go(func() error { kube.Run(running); return nil })
	plugin, err := node.New(running, node.Config{
		Name: o.nodeName, Version: version.String(), KubeletDir: o.kubeletDir, Cluster: kube, FDStore: keep,
		ServerUIDs: o.serverUIDs, PublishTimeout: o.publishWait, IdleTimeout: o.linger, Logger: logger,
	})
	if err != nil {
		group.Go(func() error { return err })
		return group.Wait()
	}
	health.Ready("keeper", func() error {
		if !keep.Connected() {
			return errors.New("the keeper is away")
		}
		return nil
	})
	group.Go(func() error { keep.Run(running); return nil })
	group.Go(func() error { plugin.Run(running); return nil })
	group.Go(func() error { return plugin.Serve(running, endpoint.Path) })
	group.Go(func() error { return plugin.Register(running, o.registrationDir, o.driverPath) })
	return errors.Join(group.Wait(), plugin.Close())
}

func runKeeper(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("csi keep", flag.ContinueOnError)
	socket := flags.String("socket", "/keeper/keeper.sock", "socket of the keeper")
	debug := flags.Bool("debug", false, "log more")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return fdstore.NewServer(daemon.Logger("keeper", *debug)).Serve(ctx, *socket)
}
