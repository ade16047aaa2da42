// Package dataset reconciles Datasets: it creates the volume of a Dataset that a
// JindoRuntime serves, and reports the state in the Dataset's status.
//
// It is the only writer of a Dataset's status and copies usage figures from the
// runtime's status. Each reconciliation derives the whole status from the observed
// objects, so a lost status is restored, and writes only changes. The deletion of a
// Dataset waits without limit only for pods that mount it, which a condition names.
// Datasets that other kinds of runtimes serve are not changed.
package dataset

import (
	"context"
	"fmt"
	"slices"
	"sync"
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
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/scopes"
	"github.com/jindo-io/jindo/pkg/plan"
)

const (
	// timeout is the timeout of one reconciliation.
	timeout = time.Minute
	// retryInterval is the requeue interval of a Dataset that is not ready.
	retryInterval = time.Minute
	// conflictInterval is the requeue interval after a conflict: time for the cache
	// to catch up.
	conflictInterval = 500 * time.Millisecond
	// stepInterval is the requeue interval while a step is in progress.
	stepInterval = 2 * time.Second
	// blockedInterval is the requeue interval while pods block a step.
	blockedInterval = 5 * time.Second
)

// Reconciler reconciles Datasets.
type Reconciler struct {
	// Client reads from caches and writes.
	Client client.Client
	// Live reads from the API server, not from a cache.
	Live client.Reader
	// Recorder records events.
	Recorder events.EventRecorder
	// SystemNamespace is the namespace of the controllers.
	SystemNamespace string
	// ProtectionTimeout is how long to wait before the protection finalizer of an
	// unused volume is removed; 0 selects datasetvolume.DefaultProtectionTimeout.
	ProtectionTimeout time.Duration

	// scopes is held while the name of a volume is decided and recorded.
	scopes sync.Mutex
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// SetupWithManager registers the controller with the manager.
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
		return fmt.Errorf("set up the Dataset controller: %w", err)
	}
	return nil
}

// datasetsOfNamespace returns requests for all Datasets in a runtime's namespace: the
// runtime may serve any of them.
func (r *Reconciler) datasetsOfNamespace(ctx context.Context, runtime client.Object) []reconcile.Request {
	datasets := &v1alpha1.DatasetList{}
	if err := r.Client.List(ctx, datasets, client.InNamespace(runtime.GetNamespace())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list Datasets in the namespace of a JindoRuntime", "runtime", client.ObjectKeyFromObject(runtime))
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

// Reconcile implements reconcile.Reconciler. A conflict, after which the cache
// catches up, or a terminating namespace is not an error: the request is requeued.
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
			return reconcile.Result{}, client.IgnoreNotFound(wrap(err, "add finalizer to Dataset %s", request.NamespacedName))
		}
	}
	switch {
	case dataset.DeletionTimestamp != nil:
		return r.delete(ctx, dataset, foreign)
	case foreign:
		return reconcile.Result{}, nil
	}
	if err := r.recordScope(ctx, dataset); err != nil {
		return reconcile.Result{}, err
	}
	in, result, err := r.observe(ctx, dataset)
	if err != nil {
		return reconcile.Result{}, err
	}
	return result, r.writeStatus(ctx, dataset, in)
}

// recordScope records the name of the volume before anything derives from it. A
// lock is held meanwhile, so that the second of two Datasets that are
// created at the same time reads the name of the first.
func (r *Reconciler) recordScope(ctx context.Context, dataset *v1alpha1.Dataset) error {
	if dataset.Status.VolumeName != "" {
		return nil
	}
	r.scopes.Lock()
	defer r.scopes.Unlock()
	scope, err := scopes.Dataset(ctx, r.Live, dataset)
	if err != nil {
		return err
	}
	before := dataset.DeepCopy()
	dataset.Status.VolumeName = scope.Name
	if dataset.Status.Conditions == nil {
		dataset.Status.Conditions = []v1alpha1.DatasetCondition{}
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, dataset, patch, client.FieldOwner(names.FieldManager)); err != nil {
		return client.IgnoreNotFound(wrap(err, "write status of Dataset %s/%s", dataset.Namespace, dataset.Name))
	}
	return nil
}

// servedByOtherRuntime reports whether another kind of runtime serves the Dataset.
func servedByOtherRuntime(dataset *v1alpha1.Dataset) bool {
	return slices.ContainsFunc(dataset.Status.Runtimes, func(r v1alpha1.Runtime) bool {
		return r.Type != "" && r.Type != v1alpha1.JindoRuntimeType
	})
}

// observe reads the inputs of the status, and creates or removes the volume.
func (r *Reconciler) observe(ctx context.Context, dataset *v1alpha1.Dataset) (inputs, reconcile.Result, error) {
	in, err := r.readInputs(ctx, dataset)
	if err != nil {
		return inputs{}, reconcile.Result{}, err
	}
	runtime := in.runtime
	wanted := dataset
	switch {
	case runtime == nil:
		return r.withoutRuntime(ctx, dataset, in)
	case runtime.DeletionTimestamp != nil:
		return r.withTerminatingRuntime(ctx, dataset, in)
	case in.invalid != "" && in.servesBefore():
		wanted = in.servedDataset()
	case in.invalid != "" || len(in.plan.Mounts) == 0 && !in.servesBefore():
		return in, reconcile.Result{}, nil // keep the current volume
	}
	in.volume, err = r.volumes().Ensure(ctx, wanted, runtime)
	if err != nil {
		return inputs{}, reconcile.Result{}, err
	}
	if wanted != dataset {
		in.volume.NotApplied = "" // what the edit requests is not known
	}
	result := reconcile.Result{}
	if !in.volume.Bound || in.volume.NotApplied != "" || notReadyReason(in) != "" {
		result.RequeueAfter = retryInterval
	}
	if in.volume.Waiting != "" {
		result.RequeueAfter = stepInterval
	}
	return in, result, nil
}

// readInputs reads the runtimes and Datasets of the namespace from caches.
func (r *Reconciler) readInputs(ctx context.Context, dataset *v1alpha1.Dataset) (inputs, error) {
	in := inputs{dataset: dataset}
	runtimes, datasets := &v1alpha1.JindoRuntimeList{}, &v1alpha1.DatasetList{}
	if err := r.Client.List(ctx, runtimes, client.InNamespace(dataset.Namespace)); err != nil {
		return inputs{}, fmt.Errorf("list JindoRuntimes in namespace %s: %w", dataset.Namespace, err)
	}
	if err := r.Client.List(ctx, datasets, client.InNamespace(dataset.Namespace)); err != nil {
		return inputs{}, fmt.Errorf("list Datasets in namespace %s: %w", dataset.Namespace, err)
	}
	for i := range runtimes.Items {
		in.runtimes = append(in.runtimes, &runtimes.Items[i])
	}
	for i := range datasets.Items {
		in.others = append(in.others, &datasets.Items[i])
	}
	in.runtime = plan.Serving(dataset, in.runtimes)
	if invalid := validate(dataset); in.runtime != nil {
		in.invalid = invalid
	} else {
		in.otherRuntime = invalid != ""
	}
	in.plan = mountPlan(dataset, in.runtime)
	if in.invalid != "" && in.servesBefore() {
		in.plan = mountPlan(in.servedDataset(), in.runtime)
	}
	return in, nil
}

// withoutRuntime removes the volume of a runtime that was deleted or now serves
// another Dataset.
func (r *Reconciler) withoutRuntime(ctx context.Context, dataset *v1alpha1.Dataset, in inputs) (inputs, reconcile.Result, error) {
	users, removed, err := r.removeUnused(ctx, dataset)
	if err != nil {
		return inputs{}, reconcile.Result{}, err
	}
	if removed {
		return in, reconcile.Result{}, nil
	}
	if len(users) > 0 {
		in.leftover = fmt.Sprintf("%s the volume of the previous runtime, which is removed when no pod mounts it", health.PodsMount(users))
		return in, reconcile.Result{RequeueAfter: blockedInterval}, nil
	}
	return in, reconcile.Result{RequeueAfter: stepInterval}, nil
}

// withTerminatingRuntime keeps the volume: the deletion of the runtime removes it
// after the pods that mount it have been deleted.
func (r *Reconciler) withTerminatingRuntime(ctx context.Context, dataset *v1alpha1.Dataset, in inputs) (inputs, reconcile.Result, error) {
	exists, err := r.volumes().Exists(ctx, scopes.OfVolume(dataset))
	if err != nil {
		return inputs{}, reconcile.Result{}, err
	}
	in.volume.Bound = exists
	in.runtimeTerminating = !exists
	return in, reconcile.Result{RequeueAfter: blockedInterval}, nil
}

// removeUnused removes the volume unless pods mount it, and returns these pods.
func (r *Reconciler) removeUnused(ctx context.Context, dataset *v1alpha1.Dataset) (users []string, removed bool, err error) {
	exists, err := r.volumes().Exists(ctx, scopes.OfVolume(dataset))
	if err != nil || !exists {
		return nil, !exists, err
	}
	users, err = datasetvolume.Users(ctx, r.Live, dataset.Namespace, dataset.Name)
	if err != nil || len(users) > 0 {
		return users, false, err
	}
	removed, err = r.volumes().Remove(ctx, scopes.OfVolume(dataset))
	return nil, removed, err
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
