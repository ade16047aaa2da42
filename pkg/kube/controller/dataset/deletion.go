package dataset

import (
	"context"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/datasetvolume"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/scopes"
)

// delete waits until no pod mounts the Dataset, then removes its volume and its
// finalizer.
func (r *Reconciler) delete(ctx context.Context, dataset *v1alpha1.Dataset, foreign bool) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(dataset, names.DatasetFinalizer) {
		return reconcile.Result{}, nil
	}
	users, err := r.users(ctx, dataset, foreign)
	if err != nil {
		return reconcile.Result{}, err
	}
	if len(users) > 0 {
		return r.reportBlocked(ctx, dataset, users, foreign)
	}
	removed, err := r.volumes().Remove(ctx, scopes.OfVolume(dataset))
	if err != nil {
		return reconcile.Result{}, err
	}
	if !removed {
		return reconcile.Result{RequeueAfter: stepInterval}, nil
	}
	before := dataset.DeepCopy()
	controllerutil.RemoveFinalizer(dataset, names.DatasetFinalizer)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, dataset, patch, client.FieldOwner(names.FieldManager)); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("remove finalizer of Dataset %s/%s: %w", dataset.Namespace, dataset.Name, err)
	}
	ctrl.LoggerFrom(ctx).Info("Dataset deleted")
	return reconcile.Result{}, nil
}

// users returns the pods that mount the Dataset's claim. A foreign claim of the same
// name does not count unless another kind of runtime serves the Dataset.
func (r *Reconciler) users(ctx context.Context, dataset *v1alpha1.Dataset, foreign bool) ([]string, error) {
	exists, err := r.volumes().Exists(ctx, scopes.OfVolume(dataset))
	if err != nil || !exists && !foreign {
		return nil, err
	}
	return datasetvolume.Users(ctx, r.Live, dataset.Namespace, dataset.Name)
}

// reportBlocked writes which pods block the deletion of the Dataset, which is served
// meanwhile.
func (r *Reconciler) reportBlocked(ctx context.Context, dataset *v1alpha1.Dataset, users []string, foreign bool) (reconcile.Result, error) {
	in, err := r.readInputs(ctx, dataset)
	if err != nil {
		return reconcile.Result{}, err
	}
	in.volume = datasetvolume.State{Bound: true}
	in.foreign = foreign
	in.deletionBlocked = fmt.Sprintf("%s PersistentVolumeClaim %s: the Dataset is deleted when no pod mounts it",
		health.PodsMount(users), dataset.Name)
	return reconcile.Result{RequeueAfter: blockedInterval}, r.writeStatus(ctx, dataset, in)
}
