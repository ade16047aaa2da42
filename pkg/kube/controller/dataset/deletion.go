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
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// delete waits for the pods that mount the Dataset, then removes its volume and
// lets it go. The runtime, whose own it is to say so, serves nothing then.
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
	gone, err := r.volumes().Remove(ctx, dataset.Namespace, dataset.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !gone {
		return reconcile.Result{RequeueAfter: stepInterval}, nil
	}
	before := dataset.DeepCopy()
	controllerutil.RemoveFinalizer(dataset, names.DatasetFinalizer)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, dataset, patch, client.FieldOwner(names.FieldManager)); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("removing the finalizer of Dataset %s/%s: %w", dataset.Namespace, dataset.Name, err)
	}
	ctrl.LoggerFrom(ctx).Info("Dataset is gone")
	return reconcile.Result{}, nil
}

// users of the Dataset's own claim; somebody else's of the same name is not.
func (r *Reconciler) users(ctx context.Context, dataset *v1alpha1.Dataset, foreign bool) ([]string, error) {
	there, err := r.volumes().Exists(ctx, dataset.Namespace, dataset.Name)
	if err != nil || !there && !foreign {
		return nil, err
	}
	return datasetvolume.Users(ctx, r.Live, dataset.Namespace, dataset.Name)
}

// blocked says which pods keep the Dataset, which is served meanwhile.
func (r *Reconciler) reportBlocked(ctx context.Context, dataset *v1alpha1.Dataset, users []string, foreign bool) (reconcile.Result, error) {
	seen, err := r.readInputs(ctx, dataset)
	if err != nil {
		return reconcile.Result{}, err
	}
	seen.volume = datasetvolume.State{Bound: true}
	seen.foreign = foreign
	seen.deletionBlocked = fmt.Sprintf("%s PersistentVolumeClaim %s: the Dataset is served until nothing does, and deleted then",
		datasetvolume.PodsMount(users), dataset.Name)
	return reconcile.Result{RequeueAfter: blockedInterval}, r.writeStatus(ctx, dataset, seen)
}
