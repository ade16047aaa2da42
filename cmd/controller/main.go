// Command controller carries out Datasets and JindoRuntimes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/kube/controller/manager"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/topology"
)

func main() {
	o, debug := parse()
	daemon.Main(func(ctx context.Context) error {
		o.Logger = daemon.Logger("controller", debug)
		config, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("finding the cluster: %w", err)
		}
		config.UserAgent = "jindo-controller"
		return manager.Run(ctx, config, o)
	})
}

// parse reads the flags; --kubeconfig is one of controller-runtime's.
func parse() (manager.Options, bool) {
	var o manager.Options
	controllers := flag.String("controllers", manager.Dataset+","+manager.JindoRuntime, "controllers to run, with commas between them")
	flag.StringVar(&o.Namespace, "namespace", namespace(), "namespace that the product runs in (environment POD_NAMESPACE)")
	flag.StringVar(&o.Image, "image", os.Getenv("JINDO_IMAGE"), "image of data pods that ask for none (environment JINDO_IMAGE)")
	flag.StringVar(&o.FusePriorityClass, "fuse-priority-class", os.Getenv("FUSE_PRIORITY_CLASS"), "priority class of the pods that serve mounts, such as system-node-critical; none when empty")
	flag.StringVar(&o.HealthListen, "health-listen", fmt.Sprintf(":%d", topology.HealthPort), "address for health checks and metrics")
	flag.BoolVar(&o.LeaderElect, "leader-elect", true, "run only where the lease is held, so that two replicas do not work at once")
	debug := flag.Bool("debug", false, "log more")
	flag.Parse()
	for _, name := range strings.Split(*controllers, ",") {
		if name = strings.TrimSpace(name); name != "" {
			o.Controllers = append(o.Controllers, name)
		}
	}
	return o, *debug
}

func namespace() string {
	if n := os.Getenv("POD_NAMESPACE"); n != "" {
		return n
	}
	return names.SystemNamespace
}
