// Package dataload reports the state of DataLoads.
//
// DataLoads of Datasets that a JindoRuntime serves are accepted and not carried out yet,
// which a condition says. Others may belong to another runtime of Fluid and are not
// changed.
package dataload

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// timeout is the timeout of one reconciliation.
const timeout = 30 * time.Second

// conflictInterval is the requeue interval after a conflict.
const conflictInterval = 500 * time.Millisecond

// Reconciler reconciles DataLoads. An unchanged DataLoad causes no write.
type Reconciler struct {
	// Client reads from caches and writes.
	Client client.Client
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// SetupWithManager registers the controller with the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("dataload").
		For(&v1alpha1.DataLoad{}).
		Watches(&v1alpha1.JindoRuntime{}, handler.EnqueueRequestsFromMapFunc(r.loadsOfNamespace)).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the DataLoad controller: %w", err)
	}
	return nil
}

// loadsOfNamespace returns requests for all DataLoads in a runtime's namespace.
func (r *Reconciler) loadsOfNamespace(ctx context.Context, runtime client.Object) []reconcile.Request {
	loads := &v1alpha1.DataLoadList{}
	if err := r.Client.List(ctx, loads, client.InNamespace(runtime.GetNamespace())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list DataLoads in the namespace of a JindoRuntime", "runtime", client.ObjectKeyFromObject(runtime))
		return nil
	}
	requests := make([]reconcile.Request, 0, len(loads.Items))
	for i := range loads.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&loads.Items[i])})
	}
	return requests
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	load := &v1alpha1.DataLoad{}
	if err := r.Client.Get(ctx, request.NamespacedName, load); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if load.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	claimed, err := r.claimed(ctx, load)
	if err != nil {
		return reconcile.Result{}, err
	}
	before := load.DeepCopy()
	setStatus(&load.Status, claimed, metav1.Now())
	if equality.Semantic.DeepEqual(before.Status, load.Status) {
		return reconcile.Result{}, nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err = r.Client.Status().Patch(ctx, load, patch, client.FieldOwner(names.FieldManager))
	switch {
	case apierrors.IsConflict(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return reconcile.Result{RequeueAfter: conflictInterval}, nil
	case client.IgnoreNotFound(err) != nil:
		return reconcile.Result{}, fmt.Errorf("write status of DataLoad %s: %w", request.NamespacedName, err)
	}
	return reconcile.Result{}, nil
}

// claimed reports whether a JindoRuntime names the Dataset of a DataLoad.
func (r *Reconciler) claimed(ctx context.Context, load *v1alpha1.DataLoad) (bool, error) {
	runtimes := &v1alpha1.JindoRuntimeList{}
	if err := r.Client.List(ctx, runtimes, client.InNamespace(load.Namespace)); err != nil {
		return false, fmt.Errorf("list JindoRuntimes in namespace %s: %w", load.Namespace, err)
	}
	return slices.ContainsFunc(runtimes.Items, func(r v1alpha1.JindoRuntime) bool {
		return plan.DatasetName(&r) == load.Spec.Dataset.Name
	}), nil
}

// setStatus sets the condition NotSupportedYet, or removes it from a DataLoad that no
// JindoRuntime claims. A phase that another controller has set is kept.
func setStatus(status *v1alpha1.OperationStatus, claimed bool, now metav1.Time) {
	at := slices.IndexFunc(status.Conditions, func(c v1alpha1.Condition) bool { return c.Type == v1alpha1.OperationNotSupportedYet })
	switch {
	case !claimed && at >= 0:
		status.Conditions = slices.Delete(status.Conditions, at, at+1)
	case claimed && at < 0:
		status.Conditions = append(status.Conditions, v1alpha1.Condition{
			Type: v1alpha1.OperationNotSupportedYet, Status: corev1.ConditionTrue, Reason: health.ReasonNotSupportedYet,
			Message: v1alpha1.DataLoadUnsupported, LastProbeTime: now, LastTransitionTime: now,
		})
	}
	if claimed && status.Phase == v1alpha1.NoneOperationPhase {
		status.Phase, status.Duration = v1alpha1.PendingOperationPhase, v1alpha1.UnfinishedDuration
	}
}
