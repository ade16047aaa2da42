// Package manager runs the controllers. Each controller has a manager with its own
// lease, so that controllers can run in one process or in several, each of them at
// most once.
//
// The managers' caches hold nodes, Datasets, JindoRuntimes and the objects with the
// label fluid.io/managed-by of this product. All other objects, such as Secrets, are
// read from the API server.
package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Names of the controllers, for --controllers.
const (
	Dataset      = "dataset"
	JindoRuntime = "jindoruntime"
)

// Leader election. A successor takes over at most leaseDuration after a leader was
// killed.
const (
	leaseDuration = 20 * time.Second
	renewDeadline = 15 * time.Second
	retryPeriod   = 3 * time.Second
)

// Options are the options of Run.
type Options struct {
	// Controllers are the names of the controllers to run.
	Controllers []string
	// Namespace is the system namespace; the default is names.SystemNamespace.
	Namespace string
	// Image is the default image of data pods.
	Image string
	// PriorityClass is the priority class of masters, and of fuse pods unless
	// FusePriorityClass is another one; empty for none.
	PriorityClass     string
	FusePriorityClass string
	// HostPaths are the directories of nodes that runtimes may use.
	HostPaths hostpath.Policy
	// HealthListen is the address of /healthz, /readyz and /metrics; empty to
	// disable them.
	HealthListen string
	// LeaderElect enables leader election.
	LeaderElect bool
	Logger      *slog.Logger
}

// Scheme returns a scheme with the kinds that the controllers use.
func Scheme() (*kruntime.Scheme, error) {
	scheme := kruntime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	return scheme, nil
}

// setup registers one controller with its manager.
type setup func(mgr ctrl.Manager, o Options) error

// controller describes a controller.
type controller struct {
	lease string
	setup setup
}

func controllers() map[string]controller {
	return map[string]controller{
		Dataset:      {"dataset.data.fluid.io", setupDataset},
		JindoRuntime: {"jindo.data.fluid.io", setupRuntime},
	}
}

// Run runs the controllers until ctx ends. It returns an error if the options are
// invalid or a controller fails.
func Run(ctx context.Context, config *rest.Config, o Options) error {
	if err := validate(&o); err != nil {
		return err
	}
	logger := logr.FromSlogHandler(o.Logger.Handler())
	ctrl.SetLogger(logger)
	// Log each warning of the API server once, not for every object. Fluid's
	// finalizer names cause warnings.
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = log.NewKubeAPIWarningLogger(log.KubeAPIWarningLoggerOptions{Deduplicate: true})
	health := daemon.NewHealthFor(metrics.Registry)
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range o.Controllers {
		mgr, err := NewControllerManager(config, name, o)
		if err != nil {
			return err
		}
		caches := &cacheSync{}
		health.AddCheck(name, caches.check)
		if err := mgr.Add(caches); err != nil {
			return fmt.Errorf("start controller %s: %w", name, err)
		}
		group.Go(func() error {
			if err := mgr.Start(ctx); err != nil {
				return fmt.Errorf("run controller %s: %w", name, err)
			}
			return nil
		})
	}
	if o.HealthListen != "" {
		group.Go(func() error { return health.Serve(ctx, o.HealthListen) })
	}
	o.Logger.Info("starting", "controllers", strings.Join(o.Controllers, ","), "namespace", o.Namespace, "image", o.Image, "hostPaths", o.HostPaths.String())
	return group.Wait()
}

// validate validates the options and sets defaults.
func validate(o *Options) error {
	if len(o.Controllers) == 0 {
		return errors.New("no controllers: set --controllers=dataset,jindoruntime")
	}
	for i, name := range o.Controllers {
		if _, ok := controllers()[name]; !ok {
			return fmt.Errorf("unknown controller %q: set --controllers to dataset, jindoruntime or both", name)
		}
		if slices.Contains(o.Controllers[:i], name) {
			return fmt.Errorf("duplicate controller %q in --controllers", name)
		}
	}
	if o.Namespace == "" {
		o.Namespace = names.SystemNamespace
	}
	if o.Image == "" && slices.Contains(o.Controllers, JindoRuntime) {
		return errors.New("no default image of data pods: set JINDO_IMAGE or --image")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// NewControllerManager returns a manager with one controller.
func NewControllerManager(config *rest.Config, name string, o Options) (ctrl.Manager, error) {
	mgr, err := NewManager(config, controllers()[name].lease, o)
	if err != nil {
		return nil, fmt.Errorf("create manager of controller %s: %w", name, err)
	}
	if err := controllers()[name].setup(mgr, o); err != nil {
		return nil, err
	}
	return mgr, nil
}

// NewManager returns a manager without controllers, with the caches that the
// controllers need.
func NewManager(config *rest.Config, leaseName string, o Options) (ctrl.Manager, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	lease, renew, retry := leaseDuration, renewDeadline, retryPeriod
	return ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Cache: cacheOptions(), Client: clientOptions(),
		Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		LeaderElection: o.LeaderElect, LeaderElectionID: leaseName, LeaderElectionNamespace: o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &lease, RenewDeadline: &renew, RetryPeriod: &retry,
	})
}

func cacheOptions() cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{names.LabelManagedBy: names.ManagedBy})}
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}: ours, &corev1.ConfigMap{}: ours, &corev1.Service{}: ours, &corev1.ServiceAccount{}: ours,
			&corev1.PersistentVolume{}: ours, &corev1.PersistentVolumeClaim{}: ours,
			&appsv1.StatefulSet{}: ours, &appsv1.DaemonSet{}: ours, &policyv1.PodDisruptionBudget{}: ours,
			&networkingv1.NetworkPolicy{}: ours,
		},
	}
}

func clientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{
		&corev1.Secret{}, &corev1.Event{}, &corev1.Namespace{},
	}}}
}
