// Command webhook is the admission webhook, which injects sidecars into pods and
// validates Datasets, JindoRuntimes and DataLoads.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/kube/admission"
	"github.com/jindo-io/jindo/pkg/kube/admission/certs"
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
		o.Logger = daemon.Logger("webhook", debug)
		config, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("load the Kubernetes configuration: %w", err)
		}
		config.UserAgent = "jindo-webhook"
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return profiling.Serve(ctx) })
		group.Go(func() error { return admission.Run(ctx, config, o) })
		return group.Wait()
	})
}

// parse parses the flags. The flag --kubeconfig is defined by controller-runtime.
func parse() (admission.Options, hostPaths, bool) {
	var o admission.Options
	var paths hostPaths
	flag.StringVar(&o.Listen, "listen", fmt.Sprintf(":%d", names.WebhookPort), "address for API servers")
	flag.StringVar(&o.HealthListen, "health-listen", fmt.Sprintf(":%d", topology.HealthPort), "address for health checks and metrics")
	flag.StringVar(&o.Namespace, "namespace", namespace(), "namespace of the installation (environment POD_NAMESPACE)")
	flag.StringVar(&o.Image, "image", os.Getenv("JINDO_IMAGE"), "image of sidecars whose runtime does not specify one (environment JINDO_IMAGE)")
	flag.StringVar(&o.PullPolicy, "image-pull-policy", "IfNotPresent", "pull policy of that image")
	flag.DurationVar(&o.AuthorityLife, "ca-life", certs.DefaultAuthorityLife, "lifetime of certificate authorities; they are renewed when a third of it remains")
	flag.DurationVar(&o.LeafLife, "certificate-life", certs.DefaultLeafLife, "lifetime of certificates; they are renewed when a third of it remains")
	flag.DurationVar(&o.Drain, "drain", 5*time.Second, "how long requests are accepted after SIGTERM")
	flag.StringVar(&paths.allowed, "host-paths", os.Getenv(hostpath.Setting), "comma-separated directories of nodes that tiers may use, or "+hostpath.None+" (environment variable "+hostpath.Setting+"; default "+hostpath.Default+")")
	flag.StringVar(&paths.kubelet, "kubelet-dir", os.Getenv(hostpath.KubeletSetting), "root directory of the kubelets, which tiers never use (environment variable "+hostpath.KubeletSetting+")")
	debug := flag.Bool("debug", false, "log debug messages")
	flag.Parse()
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
