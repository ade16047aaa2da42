// Package manager starts the controllers: one manager with a lease of its own
// for each, so that they run in one process or in several and never twice.
//
// Its caches hold what the product made, found by the label
// fluid.io/managed-by, beside nodes, Datasets and JindoRuntimes. Everything
// else, Secrets above all, is read live, one object at a time.
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
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// The controllers there are, as --controllers names them.
const (
	Dataset      = "dataset"
	JindoRuntime = "jindoruntime"
)

// Times of leader election. A controller that is killed is followed within the
// first.
const (
	leaseDuration = 20 * time.Second
	renewDeadline = 15 * time.Second
	retryPeriod   = 3 * time.Second
)

// Options of a process.
type Options struct {
	// Controllers to run.
	Controllers []string
	// Namespace that the product runs in.
	Namespace string
	// Image of data pods that ask for none.
	Image string
	// FusePriorityClass of fuse pods; empty for none.
	FusePriorityClass string
	// HealthListen is where /healthz, /readyz and /metrics are; empty is
	// nowhere.
	HealthListen string
	// LeaderElect is left out in tests.
	LeaderElect bool
	Logger      *slog.Logger
}

// Scheme has the kinds that controllers use.
func Scheme() (*kruntime.Scheme, error) {
	scheme := kruntime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering kinds: %w", err)
	}
	return scheme, nil
}

// setup registers one controller with its manager.
type setup func(mgr ctrl.Manager, o Options) error

// controller is what there is to know of one.
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

// Run runs the controllers until the context ends.
func Run(ctx context.Context, config *rest.Config, o Options) error {
	if err := validate(&o); err != nil {
		return err
	}
	logger := logr.FromSlogHandler(o.Logger.Handler())
	ctrl.SetLogger(logger)
	// What the API server warns of, Fluid's names of finalizers among it, is said
	// once, not with every object.
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = log.NewKubeAPIWarningLogger(log.KubeAPIWarningLoggerOptions{Deduplicate: true})
	health := newHealth(len(o.Controllers))
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range o.Controllers {
		mgr, err := NewControllerManager(config, name, o)
		if err != nil {
			return err
		}
		if err := mgr.Add(health.started()); err != nil {
			return fmt.Errorf("starting controller %s: %w", name, err)
		}
		group.Go(func() error {
			if err := mgr.Start(ctx); err != nil {
				return fmt.Errorf("running controller %s: %w", name, err)
			}
			return nil
		})
	}
	if o.HealthListen != "" {
		group.Go(func() error { return health.serve(ctx, o.HealthListen) })
	}
	o.Logger.Info("running", "controllers", strings.Join(o.Controllers, ","), "namespace", o.Namespace, "image", o.Image)
	return group.Wait()
}

func validate(o *Options) error {
	if len(o.Controllers) == 0 {
		return errors.New("no controller is named: write --controllers=dataset,jindoruntime")
	}
	for i, name := range o.Controllers {
		if _, ok := controllers()[name]; !ok {
			return fmt.Errorf("there is no controller %q: write --controllers=dataset,jindoruntime, or one of them", name)
		}
		if slices.Contains(o.Controllers[:i], name) {
			return fmt.Errorf("controller %q is named twice in --controllers", name)
		}
	}
	if o.Namespace == "" {
		o.Namespace = names.SystemNamespace
	}
	if o.Image == "" && slices.Contains(o.Controllers, JindoRuntime) {
		return errors.New("no image of data pods is given: set JINDO_IMAGE, or --image")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// New makes the manager of one controller, with the controller in it.
func NewControllerManager(config *rest.Config, name string, o Options) (ctrl.Manager, error) {
	mgr, err := NewManager(config, controllers()[name].lease, o)
	if err != nil {
		return nil, fmt.Errorf("making the manager of controller %s: %w", name, err)
	}
	if err := controllers()[name].setup(mgr, o); err != nil {
		return nil, err
	}
	return mgr, nil
}

// Bare makes a manager with the caches that controllers are used to.
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
		},
	}
}

func clientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{
		&corev1.Secret{}, &corev1.Event{}, &corev1.Namespace{},
	}}}
}

var _ manager.Runnable = (*started)(nil)
