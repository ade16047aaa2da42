// Package dataset reconciles Datasets: it makes the volume that pods use once a
// JindoRuntime serves one, and says in the status how things stand.
//
// It alone writes a Dataset's status, and the figures in it are the runtime's.
// What the status says is derived from what is there at each turn, so a status
// that was lost comes back; where nothing changed nothing is written. A Dataset
// that pods mount is deleted when they are gone, and named pods are the only
// thing that it ever waits for without limit. Datasets that runtimes of other
// kinds serve are left alone.
package dataset

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/datasetvolume"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

const (
	// timeout of one turn.
	timeout = time.Minute
	// again is when a Dataset that is not ready is looked at without a reason.
	retryInterval = time.Minute
	// conflictAgain is time for a cache to catch up.
	conflictInterval = 500 * time.Millisecond
	// soon is when our own steps are followed up.
	stepInterval = 2 * time.Second
	// blockedAgain is when the pods that keep a Dataset are looked for again.
	blockedInterval = 5 * time.Second
)

// Reconciler of Datasets.
type Reconciler struct {
	// Client reads from caches and writes.
	Client client.Client
	// Live reads past caches.
	Live client.Reader
	// Recorder of events.
	Recorder events.EventRecorder
	// SystemNamespace is where the product runs.
	SystemNamespace string
	// Patience before the protection of a volume that no pod uses is taken
	// away; datasetvolume.DefaultPatience when it is 0.
	ProtectionTimeout time.Duration
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// SetupWithManager starts the controller with the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	ours := builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
		return o.GetLabels()[names.LabelManagedBy] == names.ManagedBy
	}))
	err := ctrl.NewControllerManagedBy(mgr).Named("dataset").
		For(&v1alpha1.Dataset{}).
		Owns(&corev1.PersistentVolumeClaim{}, ours).
		Watches(&v1alpha1.JindoRuntime{}, handler.EnqueueRequestsFromMapFunc(r.datasetsOfNamespace)).
		Watches(&corev1.PersistentVolume{}, handler.EnqueueRequestsFromMapFunc(datasetOfVolume), ours).
		Complete(r)
	if err != nil {
		return fmt.Errorf("setting up the controller of Datasets: %w", err)
	}
	return nil
}

// datasetsOfNamespace are those of a runtime's namespace: the one it serves,
// and those that it might.
func (r *Reconciler) datasetsOfNamespace(ctx context.Context, runtime client.Object) []reconcile.Request {
	datasets := &v1alpha1.DatasetList{}
	if err := r.Client.List(ctx, datasets, client.InNamespace(runtime.GetNamespace())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing the Datasets that a JindoRuntime may serve", "runtime", client.ObjectKeyFromObject(runtime))
		return nil
	}
	requests := make([]reconcile.Request, 0, len(datasets.Items))
	for i := range datasets.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&datasets.Items[i])})
	}
	return requests
}

func datasetOfVolume(_ context.Context, object client.Object) []reconcile.Request {
	pv, ok := object.(*corev1.PersistentVolume)
	if !ok || pv.Spec.ClaimRef == nil || pv.Spec.StorageClassName != names.StorageClass {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: pv.Spec.ClaimRef.Namespace, Name: pv.Spec.ClaimRef.Name}}}
}

// Reconcile brings one Dataset up to date. That a cache was behind, or that the
// namespace is on its way out, is no failure: the next turn sees more.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result, err := r.reconcile(ctx, request)
	switch {
	case err == nil:
		return result, nil
	case apierrors.IsConflict(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return reconcile.Result{RequeueAfter: conflictInterval}, nil
	}
	return reconcile.Result{}, err
}

func (r *Reconciler) reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	dataset := &v1alpha1.Dataset{}
	if err := r.Client.Get(ctx, request.NamespacedName, dataset); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	foreign := servedByOtherRuntime(dataset)
	if dataset.DeletionTimestamp == nil && !foreign && !controllerutil.ContainsFinalizer(dataset, names.DatasetFinalizer) {
		before := dataset.DeepCopy()
		controllerutil.AddFinalizer(dataset, names.DatasetFinalizer)
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if err := r.Client.Patch(ctx, dataset, patch, client.FieldOwner(names.FieldManager)); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(wrap(err, "adding the finalizer to Dataset %s", request.NamespacedName))
		}
	}
	switch {
	case dataset.DeletionTimestamp != nil:
		return r.delete(ctx, dataset, foreign)
	case foreign:
		return reconcile.Result{}, nil
	}
	seen, result, err := r.observe(ctx, dataset)
	if err != nil {
		return reconcile.Result{}, err
	}
	return result, r.writeStatus(ctx, dataset, seen)
}

// servedByOthers holds for a Dataset that a runtime of another kind serves.
func servedByOtherRuntime(dataset *v1alpha1.Dataset) bool {
	return slices.ContainsFunc(dataset.Status.Runtimes, func(r v1alpha1.Runtime) bool {
		return r.Type != "" && r.Type != v1alpha1.JindoRuntimeType
	})
}

// look gathers what the status is about, and makes or removes the volume.
func (r *Reconciler) observe(ctx context.Context, dataset *v1alpha1.Dataset) (inputs, reconcile.Result, error) {
	seen, err := r.readInputs(ctx, dataset)
	if err != nil {
		return inputs{}, reconcile.Result{}, err
	}
	runtime := seen.runtime
	switch {
	case seen.invalid != "" || len(seen.plan.Mounts) == 0 && runtime != nil:
		return seen, reconcile.Result{}, nil // what serves goes on serving
	case runtime == nil:
		return r.withoutRuntime(ctx, dataset, seen)
	case runtime.DeletionTimestamp != nil:
		return r.withTerminatingRuntime(ctx, dataset, seen)
	}
	seen.volume, err = r.volumes().Ensure(ctx, dataset, runtime)
	if err != nil {
		return inputs{}, reconcile.Result{}, err
	}
	result := reconcile.Result{}
	if !seen.volume.Bound || seen.volume.NotApplied != "" || notReadyReason(seen) != "" {
		result.RequeueAfter = retryInterval
	}
	if seen.volume.Waiting != "" {
		result.RequeueAfter = stepInterval
	}
	return seen, result, nil
}

// gather reads, out of caches, the runtimes and Datasets of the namespace.
func (r *Reconciler) readInputs(ctx context.Context, dataset *v1alpha1.Dataset) (inputs, error) {
	seen := inputs{dataset: dataset, invalid: validate(dataset)}
	runtimes, datasets := &v1alpha1.JindoRuntimeList{}, &v1alpha1.DatasetList{}
	if err := r.Client.List(ctx, runtimes, client.InNamespace(dataset.Namespace)); err != nil {
		return inputs{}, fmt.Errorf("listing JindoRuntimes of namespace %s: %w", dataset.Namespace, err)
	}
	if err := r.Client.List(ctx, datasets, client.InNamespace(dataset.Namespace)); err != nil {
		return inputs{}, fmt.Errorf("listing Datasets of namespace %s: %w", dataset.Namespace, err)
	}
	for i := range runtimes.Items {
		seen.runtimes = append(seen.runtimes, &runtimes.Items[i])
	}
	for i := range datasets.Items {
		seen.others = append(seen.others, &datasets.Items[i])
	}
	seen.runtime = plan.Serving(dataset, seen.runtimes)
	seen.plan = mountPlan(dataset, seen.runtime)
	return seen, nil
}

// withoutRuntime removes the volume of a runtime that has gone or serves
// another Dataset now.
func (r *Reconciler) withoutRuntime(ctx context.Context, dataset *v1alpha1.Dataset, seen inputs) (inputs, reconcile.Result, error) {
	users, gone, err := r.removeUnused(ctx, dataset)
	if err != nil {
		return inputs{}, reconcile.Result{}, err
	}
	if gone {
		return seen, reconcile.Result{}, nil
	}
	if len(users) > 0 {
		seen.leftover = fmt.Sprintf("%s the volume of a runtime that serves it no more, which is removed once nothing does", datasetvolume.PodsMount(users))
		return seen, reconcile.Result{RequeueAfter: blockedInterval}, nil
	}
	return seen, reconcile.Result{RequeueAfter: stepInterval}, nil
}

// withLeavingRuntime leaves the volume to the runtime's own deletion, which
// waits for the pods that mount it and serves them meanwhile.
func (r *Reconciler) withTerminatingRuntime(ctx context.Context, dataset *v1alpha1.Dataset, seen inputs) (inputs, reconcile.Result, error) {
	there, err := r.volumes().Exists(ctx, dataset.Namespace, dataset.Name)
	if err != nil {
		return inputs{}, reconcile.Result{}, err
	}
	seen.volume.Bound = there
	seen.runtimeTerminating = !there
	return seen, reconcile.Result{RequeueAfter: blockedInterval}, nil
}

func (r *Reconciler) removeUnused(ctx context.Context, dataset *v1alpha1.Dataset) (users []string, gone bool, err error) {
	there, err := r.volumes().Exists(ctx, dataset.Namespace, dataset.Name)
	if err != nil || !there {
		return nil, !there, err
	}
	users, err = datasetvolume.Users(ctx, r.Live, dataset.Namespace, dataset.Name)
	if err != nil || len(users) > 0 {
		return users, false, err
	}
	gone, err = r.volumes().Remove(ctx, dataset.Namespace, dataset.Name)
	return nil, gone, err
}

func (r *Reconciler) volumes() datasetvolume.Volumes {
	return datasetvolume.Volumes{Client: r.Client, Live: r.Live, ProtectionTimeout: r.ProtectionTimeout}
}

func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
