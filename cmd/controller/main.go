// Command controller runs the controllers of Datasets and JindoRuntimes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/kube/controller/manager"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/topology"
)

func main() {
	var profiling daemon.Profiling
	profiling.AddFlag(flag.CommandLine)
	o, paths, debug := parse()
	daemon.Main(func(ctx context.Context) error {
		var err error
		if o.HostPaths, err = hostpath.Parse(paths.allowed, paths.kubelet); err != nil {
			return err
		}
		o.Logger = daemon.Logger("controller", debug)
		config, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("load cluster configuration: %w", err)
		}
		config.UserAgent = "jindo-controller"
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return profiling.Serve(ctx) })
		group.Go(func() error { return manager.Run(ctx, config, o) })
		return group.Wait()
	})
}

// parse parses the flags. controller-runtime registers --kubeconfig.
func parse() (manager.Options, hostPaths, bool) {
	var o manager.Options
	var paths hostPaths
	controllers := flag.String("controllers", manager.Dataset+","+manager.JindoRuntime, "comma-separated list of controllers to run")
	flag.StringVar(&o.Namespace, "namespace", namespace(), "system namespace (environment variable POD_NAMESPACE)")
	flag.StringVar(&o.Image, "image", os.Getenv("JINDO_IMAGE"), "default image of data pods (environment variable JINDO_IMAGE)")
	flag.StringVar(&o.PriorityClass, "priority-class", os.Getenv("PRIORITY_CLASS"), "priority class of masters and fuse pods (environment variable PRIORITY_CLASS); none if empty")
	flag.StringVar(&o.FusePriorityClass, "fuse-priority-class", os.Getenv("FUSE_PRIORITY_CLASS"), "another priority class of fuse pods, such as system-node-critical")
	flag.StringVar(&o.HealthListen, "health-listen", fmt.Sprintf(":%d", topology.HealthPort), "address of health checks and metrics")
	flag.BoolVar(&o.LeaderElect, "leader-elect", true, "use leader election, so that only one replica is active")
	flag.StringVar(&paths.allowed, "host-paths", os.Getenv(hostpath.Setting), "comma-separated directories of nodes that tiers may use, or "+hostpath.None+" (environment variable "+hostpath.Setting+"; default "+hostpath.Default+")")
	flag.StringVar(&paths.kubelet, "kubelet-dir", os.Getenv(hostpath.KubeletSetting), "root directory of the kubelets, which tiers never use (environment variable "+hostpath.KubeletSetting+")")
	debug := flag.Bool("debug", false, "log debug messages")
	flag.Parse()
	for _, name := range strings.Split(*controllers, ",") {
		if name = strings.TrimSpace(name); name != "" {
			o.Controllers = append(o.Controllers, name)
		}
	}
	return o, paths, *debug
}

// hostPaths are the settings of the allowed directories of nodes.
type hostPaths struct{ allowed, kubelet string }

func namespace() string {
	if n := os.Getenv("POD_NAMESPACE"); n != "" {
		return n
	}
	return names.SystemNamespace
}
