// Package datasetvolume creates and removes the volume through which pods use a
// Dataset: a PersistentVolume of this driver and the PersistentVolumeClaim that is
// bound to it. All operations are idempotent. Volumes and claims without the label
// fluid.io/managed-by of this product are never changed.
package datasetvolume

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/scopes"
)

// DefaultProtectionTimeout is how long Kubernetes may take to remove its
// protection finalizer from an unused volume or claim.
const DefaultProtectionTimeout = 30 * time.Second

// Volumes manages the volumes of Datasets. It is safe for concurrent use.
type Volumes struct {
	Client client.Client
	// Live reads from the API server, not from a cache.
	Live client.Reader
	// ProtectionTimeout is how long to wait before the protection finalizer of an
	// unused object is removed; 0 selects DefaultProtectionTimeout.
	ProtectionTimeout time.Duration
	// IgnorePods removes the protection finalizer even if pods use the claim, for
	// pods on an unreachable node.
	IgnorePods bool
}

// State is the state of a Dataset's volume. Its strings are messages for users,
// empty if they do not apply.
type State struct {
	// Bound reports whether pods can mount the volume.
	Bound bool
	// Conflict names an existing object that has the volume's name and is not
	// managed by this product.
	Conflict string
	// Waiting names the step that is in progress.
	Waiting string
	// NotApplied describes a change of the spec that cannot be applied to the
	// existing volume.
	NotApplied string
}

// Ensure creates or updates the volume and the claim of a Dataset that runtime
// serves, and returns their state.
func (v Volumes) Ensure(ctx context.Context, dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) (State, error) {
	scope := scopes.OfVolume(dataset)
	pvc, pv, err := v.get(ctx, scope)
	if err != nil {
		return State{}, err
	}
	if conflict := conflictMessage(scope, pvc, pv); conflict != "" {
		return State{Conflict: conflict}, nil
	}
	if waiting := terminatingMessage(pvc, pv); waiting != "" {
		return State{Waiting: waiting}, nil
	}
	if pv != nil && pv.Spec.CSI.VolumeAttributes[names.AttributeRuntimeName] != runtime.Name {
		return v.moveToRuntime(ctx, dataset, pv, runtime)
	}
	if pv == nil && runtime.Status.ScopeName == "" {
		return State{Waiting: fmt.Sprintf("JindoRuntime %s has no name among those of all namespaces yet", runtime.Name)}, nil
	}
	if err := v.ensureVolume(ctx, dataset, runtime, pvc, pv); err != nil {
		return State{}, err
	}
	if pvc == nil {
		if err := v.Client.Apply(ctx, desiredClaim(dataset, runtime), client.FieldOwner(names.FieldManager), client.ForceOwnership); err != nil {
			return State{}, fmt.Errorf("apply PersistentVolumeClaim %s/%s: %w", dataset.Namespace, dataset.Name, err)
		}
		return State{Waiting: notBoundMessage(dataset)}, nil
	}
	state := State{Bound: health.ClaimLevel(pvc) == health.Ready, NotApplied: changes(dataset, runtime, pvc, pv)}
	if !state.Bound {
		state.Waiting = notBoundMessage(dataset)
	}
	return state, nil
}

func notBoundMessage(dataset *v1alpha1.Dataset) string {
	return fmt.Sprintf("PersistentVolumeClaim %s is not bound to PersistentVolume %s yet", dataset.Name, scopes.OfVolume(dataset).Volume())
}

// ensureVolume creates the volume, or resets its reference to a claim that no
// longer exists.
func (v Volumes) ensureVolume(ctx context.Context, dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime, pvc *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) error {
	if pv == nil {
		apply := desiredVolume(dataset, runtime, pvc)
		if err := v.Client.Apply(ctx, apply, client.FieldOwner(names.FieldManager), client.ForceOwnership); err != nil {
			return fmt.Errorf("apply PersistentVolume %s: %w", *apply.GetName(), err)
		}
		return nil
	}
	ref := pv.Spec.ClaimRef
	if ref.UID == "" || pvc != nil && pvc.UID == ref.UID {
		return nil
	}
	// The volume is bound to an earlier claim of this name. With reclaim policy
	// Retain, Kubernetes does not reset the reference.
	uid := types.UID("")
	if pvc != nil {
		uid = pvc.UID
	}
	changed := pv.DeepCopy()
	changed.Spec.ClaimRef.UID, changed.Spec.ClaimRef.ResourceVersion = uid, ""
	err := v.Client.Patch(ctx, changed, client.MergeFromWithOptions(pv, client.MergeFromWithOptimisticLock{}), client.FieldOwner(names.FieldManager))
	if err != nil {
		return fmt.Errorf("reset claimRef of PersistentVolume %s: %w", pv.Name, err)
	}
	return nil
}

// moveToRuntime removes the volume of another runtime once no pod uses it, so that
// the next call of Ensure creates it for runtime.
func (v Volumes) moveToRuntime(ctx context.Context, dataset *v1alpha1.Dataset, pv *corev1.PersistentVolume, runtime *v1alpha1.JindoRuntime) (State, error) {
	users, err := Users(ctx, v.Live, dataset.Namespace, dataset.Name)
	if err != nil {
		return State{}, err
	}
	earlier := pv.Spec.CSI.VolumeAttributes[names.AttributeRuntimeName]
	if len(users) > 0 {
		return State{Bound: true, NotApplied: fmt.Sprintf("PersistentVolumeClaim %s still belongs to JindoRuntime %s and %s it: it moves to JindoRuntime %s when no pod mounts it",
			dataset.Name, earlier, health.PodsMount(users), runtime.Name)}, nil
	}
	if _, err := v.Remove(ctx, scopes.OfVolume(dataset)); err != nil {
		return State{}, err
	}
	return State{Waiting: fmt.Sprintf("PersistentVolumeClaim %s is moving from JindoRuntime %s to %s", dataset.Name, earlier, runtime.Name)}, nil
}

// get returns the claim and the volume of a Dataset, each nil if not found. An
// object that is not in the cache may still exist: the cache may be stale, and is
// limited to managed objects.
func (v Volumes) get(ctx context.Context, scope names.Scope) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume, error) {
	pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	found, err := v.find(ctx, types.NamespacedName{Namespace: scope.Namespace, Name: scope.Object}, pvc)
	if err != nil {
		return nil, nil, fmt.Errorf("get PersistentVolumeClaim %s/%s: %w", scope.Namespace, scope.Object, err)
	}
	if !found {
		pvc = nil
	}
	found, err = v.find(ctx, types.NamespacedName{Name: scope.Volume()}, pv)
	if err != nil {
		return nil, nil, fmt.Errorf("get PersistentVolume %s: %w", scope.Volume(), err)
	}
	if !found {
		pv = nil
	}
	return pvc, pv, nil
}

func (v Volumes) find(ctx context.Context, key types.NamespacedName, object client.Object) (bool, error) {
	err := v.Client.Get(ctx, key, object)
	if apierrors.IsNotFound(err) {
		err = v.Live.Get(ctx, key, object)
	}
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// conflictMessage names an existing claim or volume that has the Dataset's name
// but does not belong to it; empty if there is none.
func conflictMessage(scope names.Scope, pvc *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
	if pvc != nil && !managed(pvc) {
		return fmt.Sprintf("PersistentVolumeClaim %s in namespace %s already exists and does not belong to this Dataset: delete it, or give the Dataset another name", scope.Object, scope.Namespace)
	}
	if pv == nil || managed(pv) && pv.Spec.CSI != nil && claimedBy(pv, scope) {
		return ""
	}
	return fmt.Sprintf("PersistentVolume %s already exists and does not belong to this Dataset: delete it, or give the Dataset another name", pv.Name)
}

func claimedBy(pv *corev1.PersistentVolume, scope names.Scope) bool {
	ref := pv.Spec.ClaimRef
	return ref != nil && ref.Namespace == scope.Namespace && ref.Name == scope.Object
}

func managed(object client.Object) bool {
	return object.GetLabels()[names.LabelManagedBy] == names.ManagedBy
}

func terminatingMessage(pvc *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
	switch {
	case pvc != nil && pvc.DeletionTimestamp != nil:
		return fmt.Sprintf("PersistentVolumeClaim %s is being deleted and is created again afterwards", pvc.Name)
	case pv != nil && pv.DeletionTimestamp != nil:
		return fmt.Sprintf("PersistentVolume %s is being deleted and is created again afterwards", pv.Name)
	}
	return ""
}

// Exists reports whether a managed claim or volume of a Dataset exists.
func (v Volumes) Exists(ctx context.Context, scope names.Scope) (bool, error) {
	pvc, pv, err := v.get(ctx, scope)
	if err != nil {
		return false, err
	}
	return pvc != nil && managed(pvc) || pv != nil && managed(pv) && claimedBy(pv, scope), nil
}
