package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// delete takes the next step of a deletion.
func (r *Reconciler) delete(ctx context.Context, runtime *v1alpha1.JindoRuntime) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(runtime, names.RuntimeFinalizer) {
		return ctrl.Result{}, nil
	}
	step := Teardown{Done: true}
	if r.Teardown != nil {
		var err error
		if step, err = r.Teardown(ctx, runtime); err != nil {
			return ctrl.Result{}, fmt.Errorf("delete JindoRuntime %s/%s: %w", runtime.Namespace, runtime.Name, err)
		}
	}
	if step.Done {
		err := r.dropFinalizer(ctx, runtime)
		if isTransient(err) {
			return ctrl.Result{RequeueAfter: time.Second}, nil
		}
		return ctrl.Result{}, err
	}
	result := newReport(runtime, r.Now())
	failed := r.serveOn(ctx, result, step)
	result.setProblem(v1alpha1.RuntimeDeletionBlocked, reasonDeletionBlocked, step.Blocked)
	message := "the runtime is being deleted"
	if step.Waiting != "" {
		message += ": " + step.Waiting
	}
	result.setCondition(v1alpha1.RuntimeReady, false, reasonDeleting, message)
	if err := result.save(ctx, r.Client, r.Recorder); client.IgnoreNotFound(err) != nil && !isTransient(err) {
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		return ctrl.Result{}, failed
	}
	requeueAfter := step.RequeueAfter
	if requeueAfter <= 0 {
		requeueAfter = 5 * time.Second
	}
	return ctrl.Result{RequeueAfter: requeueAfter}, nil
}

// serveOn renews certificates and credentials while pods that use the runtime block its
// deletion. Nothing is created otherwise.
func (r *Reconciler) serveOn(ctx context.Context, rep *report, step Teardown) error {
	if step.Blocked == "" || rep.status.Effective == nil || rep.status.Formation == nil {
		return nil
	}
	declared, want, err := r.desired(ctx, rep)
	if err != nil || want == nil {
		return err
	}
	_, err = r.parts.secrets.reconcile(ctx, rep, want, declared)
	return err
}

func (r *Reconciler) dropFinalizer(ctx context.Context, runtime *v1alpha1.JindoRuntime) error {
	before := runtime.DeepCopy()
	controllerutil.RemoveFinalizer(runtime, names.RuntimeFinalizer)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err := r.Client.Patch(ctx, runtime, patch, client.FieldOwner(names.FieldManager))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove finalizer of JindoRuntime %s/%s: %w", runtime.Namespace, runtime.Name, err)
	}
	r.authorities.Forget(runtime.UID)
	r.connections.forget(runtime.UID)
	r.applied.forget(runtime.UID)
	r.usageUpdates.forget(runtime.UID)
	r.revisions.forget(runtime.UID)
	r.refreshed.forget(runtime.UID)
	return nil
}
