package datasetvolume

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Finalizers with which Kubernetes protects claims and volumes in use.
const (
	claimProtection  = "kubernetes.io/pvc-protection"
	volumeProtection = "kubernetes.io/pv-protection"
)

// Remove deletes the claim and then the volume of a Dataset, and reports whether
// both have been deleted. The caller must check that no pod uses them; Kubernetes
// protects them from deletion if a pod was created since. Remove removes the
// protection finalizer of an unused object after ProtectionTimeout, so that
// deletion always ends.
func (v Volumes) Remove(ctx context.Context, scope names.Scope) (bool, error) {
	pvc, pv, err := v.get(ctx, scope)
	if err != nil {
		return false, err
	}
	if pvc != nil && managed(pvc) {
		return false, v.RemoveClaim(ctx, pvc)
	}
	if pv != nil && managed(pv) && claimedBy(pv, scope) {
		return false, v.RemoveVolume(ctx, pv)
	}
	return true, nil
}

// RemoveClaim takes the next step of deleting an unused claim. The caller repeats
// it until the claim is not found.
func (v Volumes) RemoveClaim(ctx context.Context, pvc *corev1.PersistentVolumeClaim) error {
	if pvc.DeletionTimestamp == nil {
		return v.delete(ctx, pvc)
	}
	if !v.stuck(pvc) {
		return nil
	}
	if !v.IgnorePods {
		users, err := Users(ctx, v.Live, pvc.Namespace, pvc.Name)
		if err != nil || len(users) > 0 {
			return err
		}
	}
	return v.removeFinalizer(ctx, pvc, claimProtection)
}

// RemoveVolume takes the next step of deleting a volume whose claim has been
// deleted. The caller repeats it until the volume is not found.
func (v Volumes) RemoveVolume(ctx context.Context, pv *corev1.PersistentVolume) error {
	if pv.DeletionTimestamp == nil {
		return v.delete(ctx, pv)
	}
	if !v.stuck(pv) {
		return nil
	}
	return v.removeFinalizer(ctx, pv, volumeProtection)
}

func (v Volumes) stuck(object client.Object) bool {
	return time.Since(object.GetDeletionTimestamp().Time) > cmp.Or(v.ProtectionTimeout, DefaultProtectionTimeout)
}

func (v Volumes) delete(ctx context.Context, object client.Object) error {
	uid := object.GetUID()
	err := v.Client.Delete(ctx, object, client.Preconditions{UID: &uid})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete %s: %w", describe(object), err)
	}
	return nil
}

// removeFinalizer removes one finalizer.
func (v Volumes) removeFinalizer(ctx context.Context, object client.Object, finalizer string) error {
	before := object.DeepCopyObject().(client.Object) // a copy has the type of its original
	if !controllerutil.RemoveFinalizer(object, finalizer) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := v.Client.Patch(ctx, object, patch, client.FieldOwner(names.FieldManager)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove finalizer %s from %s: %w", finalizer, describe(object), err)
	}
	return nil
}

func describe(object client.Object) string {
	if pv, ok := object.(*corev1.PersistentVolume); ok {
		return "PersistentVolume " + pv.Name
	}
	return fmt.Sprintf("PersistentVolumeClaim %s/%s", object.GetNamespace(), object.GetName())
}
