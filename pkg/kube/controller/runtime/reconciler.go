package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/authority"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

const (
	// maxConcurrent is the number of concurrent reconciliations, so that a slow
	// runtime does not delay others.
	maxConcurrent = 8
	// passTimeout is the timeout of one pass.
	passTimeout = time.Minute
	// maxBackoff is the maximum backoff after errors.
	maxBackoff = 30 * time.Second
	// Requeue intervals of a runtime that is starting, not ready, and ready.
	startupInterval  = 2 * time.Second
	immediately      = time.Millisecond
	notReadyInterval = 10 * time.Second
	readyInterval    = 20 * time.Second
	// startupTime is how long the start of a runtime is expected to take.
	startupTime = 10 * time.Minute
)

// Problem is a problem with the credentials of a mount.
type Problem struct {
	Mount, Message string
}

// CredentialsSync synchronizes the Secret with a runtime's credentials, and returns
// the credentials that are not available.
type CredentialsSync func(ctx context.Context, owner *v1alpha1.JindoRuntime, p *plan.Plan) ([]Problem, error)

// Teardown is the progress of a runtime's deletion. Its strings are messages for
// users, empty if they do not apply.
type Teardown struct {
	Done bool
	// Blocked names the pods that block the deletion.
	Blocked string
	// Waiting names the step that is in progress.
	Waiting string
	// RequeueAfter is the time until the next step.
	RequeueAfter time.Duration
}

// TeardownFunc takes the next step of a runtime's deletion.
type TeardownFunc func(ctx context.Context, runtime *v1alpha1.JindoRuntime) (Teardown, error)

// Reconciler reconciles JindoRuntimes.
type Reconciler struct {
	Client client.Client
	// Live reads from the API server, not from a cache.
	Live     client.Reader
	Recorder events.EventRecorder
	// SystemNamespace is the namespace of the authorities' Secrets.
	SystemNamespace string
	// Image is the default image of new runtimes.
	Image string
	// PriorityClass is the priority class of masters, and of fuse pods unless
	// FusePriorityClass is another one; empty for none.
	PriorityClass     string
	FusePriorityClass string
	// HostPaths are the directories of nodes that runtimes may use.
	HostPaths hostpath.Policy

	// Credentials and Teardown are implemented by other packages. They may be nil.
	Credentials CredentialsSync
	Teardown    TeardownFunc
	// Dial returns a client of a runtime's masters; nil selects the default.
	Dial Dialer
	// Drain makes a worker leave; nil selects the default.
	Drain Drainer
	// Now returns the current time; nil selects time.Now.
	Now func() time.Time

	authorities  *authority.Manager
	connections  *connections
	applied      *appliedObjects
	usageUpdates *usageTimes
	revisions    *revisions
	refreshed    *refreshTimes
	parts        subReconcilers
}

// SetupWithManager sets the defaults of r and registers the controller with the
// manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return r.setup(mgr, "jindoruntime", r)
}

// setup registers a controller whose reconciler is reconciler.
func (r *Reconciler) setup(mgr ctrl.Manager, name string, reconciler reconcile.Reconciler) error {
	r.complete()
	toRuntime := handler.EnqueueRequestsFromMapFunc(runtimeOfLabels)
	fromDataset := handler.EnqueueRequestsFromMapFunc(r.runtimesOfDataset)
	err := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.JindoRuntime{}, builder.WithPredicates(specChanged())).
		Owns(&appsv1.StatefulSet{}).
		Owns(&appsv1.DaemonSet{}).
		Owns(&corev1.Service{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Owns(&corev1.ConfigMap{}).
		Owns(&corev1.ServiceAccount{}).
		Owns(&policyv1.PodDisruptionBudget{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&networkingv1.NetworkPolicy{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Pod{}, toRuntime).
		Watches(&corev1.PersistentVolume{}, toRuntime).
		Watches(&v1alpha1.Dataset{}, fromDataset, builder.WithPredicates(specChanged())).
		Named(name).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: maxConcurrent,
			RecoverPanic:            new(true),
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](500*time.Millisecond, maxBackoff),
		}).
		Complete(reconciler)
	if err != nil {
		return fmt.Errorf("set up the JindoRuntime controller: %w", err)
	}
	return nil
}

func (r *Reconciler) complete() {
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Dial == nil {
		r.Dial = dialMasters
	}
	if r.Drain == nil {
		r.Drain = drainWorker
	}
	r.authorities = &authority.Manager{Client: r.Client, Live: r.Live, SystemNamespace: r.SystemNamespace, Now: r.Now}
	r.connections = newConnections(r.Dial, r.Now)
	r.applied = newAppliedObjects()
	r.usageUpdates = newUsageTimes()
	r.revisions = newRevisions()
	r.refreshed = newRefreshTimes()
	r.parts = r.subReconcilers()
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	runtime := &v1alpha1.JindoRuntime{}
	if err := r.Client.Get(ctx, request.NamespacedName, runtime); err != nil {
		if apierrors.IsNotFound(err) {
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("get JindoRuntime %s: %w", request.NamespacedName, err)
	}
	if r.revisions.stale(runtime) {
		if err := r.Live.Get(ctx, request.NamespacedName, runtime); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
		r.revisions.record(runtime)
	}
	if !runtime.DeletionTimestamp.IsZero() {
		return r.delete(ctx, runtime)
	}
	if !controllerutil.ContainsFinalizer(runtime, names.RuntimeFinalizer) {
		if err := r.addFinalizer(ctx, runtime); err != nil {
			if isTransient(err) {
				return ctrl.Result{RequeueAfter: time.Second}, nil
			}
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	result := newReport(runtime, r.Now())
	failed := r.pass(ctx, result)
	if err := result.save(ctx, r.Client, r.Recorder); err != nil {
		failed = errors.Join(failed, err)
	}
	r.revisions.record(result.runtime)
	if ctx.Err() == nil && isTransient(failed) {
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	if failed != nil {
		return ctrl.Result{}, failed
	}
	return ctrl.Result{RequeueAfter: result.requeueAfter}, nil
}

// isTransient reports whether another pass resolves the error: a conflict with a
// newer object, or a terminating namespace, in which the runtime will be deleted.
func isTransient(err error) bool {
	if err == nil {
		return false
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if !isTransient(e) {
				return false
			}
		}
		return true
	}
	return apierrors.IsConflict(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

func (r *Reconciler) addFinalizer(ctx context.Context, runtime *v1alpha1.JindoRuntime) error {
	before := runtime.DeepCopy()
	controllerutil.AddFinalizer(runtime, names.RuntimeFinalizer)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, runtime, patch, client.FieldOwner(names.FieldManager)); err != nil {
		return fmt.Errorf("add finalizer to JindoRuntime %s/%s: %w", runtime.Namespace, runtime.Name, err)
	}
	return nil
}

// specChanged accepts changes by users and ignores changes of the status.
func specChanged() predicate.Predicate {
	changed := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{})
	deleted := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
	}}
	return predicate.Or(changed, deleted)
}

// runtimeOfLabels returns a request for the runtime of a pod or volume.
func runtimeOfLabels(_ context.Context, object client.Object) []reconcile.Request {
	labels := object.GetLabels()
	if labels[names.LabelManagedBy] != names.ManagedBy {
		return nil
	}
	key := types.NamespacedName{Namespace: object.GetNamespace(), Name: labels[names.LabelRelease]}
	if key.Namespace == "" {
		key = types.NamespacedName{Namespace: labels[names.LabelRuntimeNamespace], Name: labels[names.LabelRuntimeName]}
	}
	if key.Name == "" || key.Namespace == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: key}}
}

// runtimesOfDataset returns requests for the runtimes that name a Dataset, and for
// unbound runtimes, whose condition may name it.
func (r *Reconciler) runtimesOfDataset(ctx context.Context, dataset client.Object) []reconcile.Request {
	list := &v1alpha1.JindoRuntimeList{}
	if err := r.Client.List(ctx, list, client.InNamespace(dataset.GetNamespace())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list JindoRuntimes", "namespace", dataset.GetNamespace())
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		if plan.DatasetName(&list.Items[i]) == dataset.GetName() || unbound(&list.Items[i]) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}

func unbound(runtime *v1alpha1.JindoRuntime) bool {
	result := health.EvaluateRuntime(runtime)
	_, found := result.Find(string(v1alpha1.RuntimeDatasetBound))
	return found
}
