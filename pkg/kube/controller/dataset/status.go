package dataset

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/topology"
)

// writeStatus writes the status if it has changed, and records events for changed
// conditions.
func (r *Reconciler) writeStatus(ctx context.Context, dataset *v1alpha1.Dataset, in inputs) error {
	now := metav1.Now()
	changed := dataset.DeepCopy()
	if in.foreign {
		changed.Status.Conditions = mergeConditions(dataset.Status.Conditions, foreignConditions(dataset, in), now)
	} else {
		changed.Status = buildStatus(in, now)
	}
	if equality.Semantic.DeepEqual(dataset.Status, changed.Status) {
		return nil
	}
	patch := client.MergeFromWithOptions(dataset, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, changed, patch, client.FieldOwner(names.FieldManager)); err != nil {
		return client.IgnoreNotFound(wrap(err, "write status of Dataset %s/%s", dataset.Namespace, dataset.Name))
	}
	r.recordEvents(dataset, changed.Status.Conditions)
	return nil
}

// buildStatus builds the whole status from the inputs.
func buildStatus(f inputs, now metav1.Time) v1alpha1.DatasetStatus {
	old := f.dataset.Status
	status := v1alpha1.DatasetStatus{
		ObservedGeneration: f.dataset.Generation,
		DataLoadRef:        old.DataLoadRef, DataBackupRef: old.DataBackupRef,
		OperationRef: old.OperationRef, DatasetRef: old.DatasetRef,
		Phase: phase(f), VolumeName: old.VolumeName,
	}
	if f.bound() {
		setServedStatus(&status, f)
	}
	status.Conditions = mergeConditions(old.Conditions, conditions(f, status), now)
	return status
}

// phase returns NotBound until the Dataset is served for the first time, and then
// Bound while its mounts have not failed: an unavailable master or worker does not
// prevent reads, nor does an edit that is not valid, as its mounts remain as they are.
func phase(f inputs) v1alpha1.DatasetPhase {
	switch reason := notReadyReason(f); reason {
	case "":
		return v1alpha1.BoundDatasetPhase
	case reasonSpecInvalid, reasonMountUnsupported, reasonVolumeConflict, reasonMountsNotReady:
		return v1alpha1.FailedDatasetPhase
	case reasonNotBound:
		return v1alpha1.NotBoundDatasetPhase
	}
	if f.wasBound() {
		return v1alpha1.BoundDatasetPhase
	}
	return v1alpha1.NotBoundDatasetPhase
}

// setServedStatus copies the runtime's state to the status.
func setServedStatus(status *v1alpha1.DatasetStatus, f inputs) {
	r, spec := f.runtime, f.runtimeSpec()
	replicas := int32(1)
	if spec.Master.Replicas != nil {
		replicas = *spec.Master.Replicas
	}
	status.Runtimes = []v1alpha1.Runtime{{
		Name: r.Name, Namespace: r.Namespace, Category: v1alpha1.AccelerateCategory,
		Type: v1alpha1.JindoRuntimeType, MasterReplicas: replicas,
	}}
	status.UfsTotal, status.FileNum = r.Status.UfsTotal, r.Status.FileNum
	status.CacheStates = maps.Clone(r.Status.CacheStates)
	endpoint := "N/A"
	if !spec.Master.Disabled {
		endpoint = fmt.Sprintf("%s-0.%s:%d", names.Component(r.Name, "master"), r.Namespace, topology.MasterPort)
	}
	status.HCFSStatus = &v1alpha1.HCFSStatus{Endpoint: endpoint}
	switch {
	case f.effective() != nil:
		status.Mounts = f.existingMounts()
	case f.wasBound() && len(f.dataset.Status.Mounts) > 0:
		status.Mounts = f.dataset.Status.Mounts // changed mounts are not applied
		if f.invalid == "" && len(f.changedMounts()) == 0 {
			status.Mounts = effectiveMounts(f.dataset)
		}
	case status.Phase == v1alpha1.BoundDatasetPhase:
		status.Mounts = effectiveMounts(f.dataset)
	}
}

// effective returns what the runtime serves of this Dataset; nil if it has not recorded
// that yet.
func (f inputs) effective() *v1alpha1.EffectiveDataset {
	if f.runtime == nil || f.runtime.Status.Effective == nil {
		return nil
	}
	if d := f.runtime.Status.Effective.Dataset; d != nil && d.Name == f.dataset.Name {
		return d
	}
	return nil
}

// existingMounts returns the mounts that exist: as in the spec, or if the runtime has
// another one at the path, that one.
func (f inputs) existingMounts() []v1alpha1.Mount {
	var changed []string
	var declared []v1alpha1.Mount
	if f.invalid == "" {
		changed, declared = f.changedMounts(), effectiveMounts(f.dataset)
	}
	var mounts []v1alpha1.Mount
	for _, m := range f.runtime.Status.Mounts {
		at := slices.IndexFunc(declared, func(d v1alpha1.Mount) bool { return d.Path == m.Path })
		if at >= 0 && !slices.Contains(changed, m.Path) {
			m = declared[at]
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// effectiveMounts returns the supported mounts of a spec, with defaults and without
// credentials.
func effectiveMounts(dataset *v1alpha1.Dataset) []v1alpha1.Mount {
	dataset = dataset.DeepCopy()
	v1alpha1.SetDefaults(dataset)
	mounts := slices.DeleteFunc(dataset.Spec.Mounts, func(m v1alpha1.Mount) bool {
		return !v1alpha1.SchemeSupported(v1alpha1.Scheme(m.MountPoint))
	})
	for i := range mounts {
		options := mounts[i].Options
		maps.DeleteFunc(options, func(name, _ string) bool { return v1alpha1.SecretOption(name) })
		if len(options) == 0 {
			mounts[i].Options = nil
		}
	}
	return mounts
}

// changedMounts returns the paths of mounts that differ between the spec and what the
// runtime serves, sorted. A runtime of an earlier version serves those of the status. References to credentials may change at any time and are ignored.
func (f inputs) changedMounts() []string {
	if effective := f.effective(); effective != nil {
		dataset := f.dataset.DeepCopy()
		v1alpha1.SetDefaults(dataset)
		return plan.ChangedMounts(dataset, effective)
	}
	have, want := map[string]v1alpha1.Mount{}, map[string]v1alpha1.Mount{}
	for _, m := range f.dataset.Status.Mounts {
		have[m.Path] = m
	}
	for _, m := range effectiveMounts(f.dataset) {
		want[m.Path] = m
	}
	var changed []string
	for path, m := range want {
		old, ok := have[path]
		old.EncryptOptions, m.EncryptOptions = nil, nil
		if !ok || !equality.Semantic.DeepEqual(old, m) {
			changed = append(changed, path)
		}
	}
	for path := range have {
		if _, ok := want[path]; !ok {
			changed = append(changed, path)
		}
	}
	slices.Sort(changed)
	return changed
}

func condition(kind v1alpha1.DatasetConditionType, status corev1.ConditionStatus, reason, message string, generation int64) v1alpha1.DatasetCondition {
	return v1alpha1.DatasetCondition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: generation}
}
