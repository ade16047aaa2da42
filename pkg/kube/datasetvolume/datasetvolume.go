// Package datasetvolume makes and removes the volume through which pods use a Dataset:
// a PersistentVolume of our driver and the PersistentVolumeClaim that is bound
// to it. It touches no volume or claim of anybody else, whatever their names,
// and calling it again changes nothing.
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
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// DefaultPatience is how long Kubernetes may take to let go of a volume or
// claim that no pod uses.
const DefaultProtectionTimeout = 30 * time.Second

// Volumes of Datasets.
type Volumes struct {
	Client client.Client
	// Live reads past caches.
	Live client.Reader
	// Patience before the protection of what nobody uses is taken away;
	// DefaultPatience when it is 0.
	ProtectionTimeout time.Duration
	// DespitePods takes the protection away although there are pods: those of
	// a node that does not answer.
	IgnorePods bool
}

// State of a Dataset's volume.
type State struct {
	// Bound: pods can mount it.
	Bound bool
	// Conflict says, for people, what of somebody else is in the way.
	Conflict string
	// Waiting says, for people, what has to go first.
	Waiting string
	// Differs says, for people, what was changed and cannot be while the volume
	// is there.
	NotApplied string
}

// Ensure makes the volume and the claim of a Dataset that a runtime serves.
func (v Volumes) Ensure(ctx context.Context, dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) (State, error) {
	pvc, pv, err := v.get(ctx, dataset.Namespace, dataset.Name)
	if err != nil {
		return State{}, err
	}
	if conflict := conflictMessage(dataset.Namespace, dataset.Name, pvc, pv); conflict != "" {
		return State{Conflict: conflict}, nil
	}
	if waiting := terminatingMessage(pvc, pv); waiting != "" {
		return State{Waiting: waiting}, nil
	}
	if pv != nil && pv.Spec.CSI.VolumeAttributes[names.AttributeRuntimeName] != runtime.Name {
		return v.moveToRuntime(ctx, dataset, pv, runtime)
	}
	if err := v.ensureVolume(ctx, dataset, runtime, pvc, pv); err != nil {
		return State{}, err
	}
	if pvc == nil {
		if err := v.Client.Apply(ctx, desiredClaim(dataset, runtime), client.FieldOwner(names.FieldManager), client.ForceOwnership); err != nil {
			return State{}, fmt.Errorf("applying PersistentVolumeClaim %s/%s: %w", dataset.Namespace, dataset.Name, err)
		}
		return State{Waiting: notBoundMessage(dataset)}, nil
	}
	state := State{Bound: pvc.Status.Phase == corev1.ClaimBound, NotApplied: changedAccessModes(dataset, pvc)}
	if !state.Bound {
		state.Waiting = notBoundMessage(dataset)
	}
	return state, nil
}

func notBoundMessage(dataset *v1alpha1.Dataset) string {
	return fmt.Sprintf("PersistentVolumeClaim %s is not bound to PersistentVolume %s yet", dataset.Name, names.Volume(dataset.Namespace, dataset.Name))
}

// ensureVolume makes the volume, or lets go of a claim that is no more.
func (v Volumes) ensureVolume(ctx context.Context, dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime, pvc *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) error {
	if pv == nil {
		apply := desiredVolume(dataset, runtime, pvc)
		if err := v.Client.Apply(ctx, apply, client.FieldOwner(names.FieldManager), client.ForceOwnership); err != nil {
			return fmt.Errorf("applying PersistentVolume %s: %w", *apply.GetName(), err)
		}
		return nil
	}
	ref := pv.Spec.ClaimRef
	if ref.UID == "" || pvc != nil && pvc.UID == ref.UID {
		return nil
	}
	// It is bound to an earlier claim of this name: nothing else gives a
	// volume that is kept back.
	uid := types.UID("")
	if pvc != nil {
		uid = pvc.UID
	}
	changed := pv.DeepCopy()
	changed.Spec.ClaimRef.UID, changed.Spec.ClaimRef.ResourceVersion = uid, ""
	err := v.Client.Patch(ctx, changed, client.MergeFromWithOptions(pv, client.MergeFromWithOptimisticLock{}), client.FieldOwner(names.FieldManager))
	if err != nil {
		return fmt.Errorf("freeing PersistentVolume %s of an earlier claim: %w", pv.Name, err)
	}
	return nil
}

// move replaces the volume of another runtime once no pod uses it.
func (v Volumes) moveToRuntime(ctx context.Context, dataset *v1alpha1.Dataset, pv *corev1.PersistentVolume, runtime *v1alpha1.JindoRuntime) (State, error) {
	users, err := Users(ctx, v.Live, dataset.Namespace, dataset.Name)
	if err != nil {
		return State{}, err
	}
	earlier := pv.Spec.CSI.VolumeAttributes[names.AttributeRuntimeName]
	if len(users) > 0 {
		return State{Bound: true, NotApplied: fmt.Sprintf("PersistentVolumeClaim %s still belongs to JindoRuntime %s and %s it: it moves to JindoRuntime %s when nothing does",
			dataset.Name, earlier, PodsMount(users), runtime.Name)}, nil
	}
	if _, err := v.Remove(ctx, dataset.Namespace, dataset.Name); err != nil {
		return State{}, err
	}
	return State{Waiting: fmt.Sprintf("PersistentVolumeClaim %s is moving from JindoRuntime %s to %s", dataset.Name, earlier, runtime.Name)}, nil
}

// get answers nil for what is not there. A cache that has not heard of an
// object, or is limited to ours, is no proof that there is none.
func (v Volumes) get(ctx context.Context, namespace, name string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume, error) {
	pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	found, err := v.find(ctx, types.NamespacedName{Namespace: namespace, Name: name}, pvc)
	if err != nil {
		return nil, nil, fmt.Errorf("reading PersistentVolumeClaim %s/%s: %w", namespace, name, err)
	}
	if !found {
		pvc = nil
	}
	found, err = v.find(ctx, types.NamespacedName{Name: names.Volume(namespace, name)}, pv)
	if err != nil {
		return nil, nil, fmt.Errorf("reading PersistentVolume %s: %w", names.Volume(namespace, name), err)
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

// conflict says what stands in the place of the claim or the volume and is not
// the Dataset's.
func conflictMessage(namespace, name string, pvc *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
	if pvc != nil && !managed(pvc) {
		return fmt.Sprintf("there is a PersistentVolumeClaim %s in namespace %s that was not made for this Dataset: delete it, or give the Dataset another name", name, namespace)
	}
	if pv == nil || managed(pv) && pv.Spec.CSI != nil && claimedBy(pv, namespace, name) {
		return ""
	}
	return fmt.Sprintf("there is a PersistentVolume %s that was not made for this Dataset: delete it, or give the Dataset another name", pv.Name)
}

func claimedBy(pv *corev1.PersistentVolume, namespace, name string) bool {
	ref := pv.Spec.ClaimRef
	return ref != nil && ref.Namespace == namespace && ref.Name == name
}

func managed(object client.Object) bool {
	return object.GetLabels()[names.LabelManagedBy] == names.ManagedBy
}

func terminatingMessage(pvc *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
	switch {
	case pvc != nil && pvc.DeletionTimestamp != nil:
		return fmt.Sprintf("PersistentVolumeClaim %s is being deleted and is made again once it is gone", pvc.Name)
	case pv != nil && pv.DeletionTimestamp != nil:
		return fmt.Sprintf("PersistentVolume %s is being deleted and is made again once it is gone", pv.Name)
	}
	return ""
}

// There says whether a Dataset has a claim or volume that was made for it.
func (v Volumes) Exists(ctx context.Context, namespace, name string) (bool, error) {
	pvc, pv, err := v.get(ctx, namespace, name)
	if err != nil {
		return false, err
	}
	return pvc != nil && managed(pvc) || pv != nil && managed(pv) && claimedBy(pv, namespace, name), nil
}
