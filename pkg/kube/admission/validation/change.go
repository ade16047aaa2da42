package validation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// An edit that can never be carried out is refused if it changes the field, and to
// another value than the one in use. So an object that has such an edit already, for
// example because the webhook was not available, can be changed elsewhere and can be
// corrected. Nothing is refused before pods or a claim exist, nor during a deletion.

// datasetChange refuses edits of a Dataset that its claim does not allow, and warns of
// edits that wait for pods.
func (c *check) datasetChange(ctx context.Context, old, dataset *v1alpha1.Dataset) {
	if dataset.DeletionTimestamp != nil {
		return
	}
	if claim := c.claim(ctx, dataset.Name); claim != nil {
		c.forbid(plan.RefusedDatasetEdits(&claim.Spec, dataset), plan.RefusedDatasetEdits(claimOf(old), dataset))
	}
	if old.Status.Phase == v1alpha1.BoundDatasetPhase || len(old.Status.Mounts) > 0 {
		c.mountsChange(old, dataset)
	}
}

// forbid adds an error for each edit of a field that is changed and differs from what is
// in use.
func (c *check) forbid(inUse, changed []plan.Refusal) {
	for _, refused := range inUse {
		if slices.ContainsFunc(changed, func(r plan.Refusal) bool { return r.Field == refused.Field }) {
			c.errs = append(c.errs, field.Forbidden(fieldPath(refused.Field), refused.String()))
		}
	}
}

// fieldPath returns the path of a field. Annotations have dots in their names.
func fieldPath(name string) *field.Path {
	if key, annotation := strings.CutPrefix(name, "metadata.annotations["); annotation {
		return field.NewPath("metadata", "annotations").Key(strings.TrimSuffix(key, "]"))
	}
	words := strings.Split(name, ".")
	return field.NewPath(words[0], words[1:]...)
}

// claim returns the claim that a controller created for a Dataset; nil if there is none.
func (c *check) claim(ctx context.Context, dataset string) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{}
	err := c.reader.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: dataset}, claim)
	if err != nil && !apierrors.IsNotFound(err) {
		c.warnings = append(c.warnings, fmt.Sprintf("could not determine which fields can be changed: get PersistentVolumeClaim %s: %v", dataset, err))
	}
	if err != nil || claim.Labels[names.LabelManagedBy] != names.ManagedBy {
		return nil
	}
	return claim
}

// claimOf returns the fields of the claim that a Dataset requests.
func claimOf(dataset *v1alpha1.Dataset) *corev1.PersistentVolumeClaimSpec {
	size, _ := v1alpha1.ClaimSize(dataset)
	return &corev1.PersistentVolumeClaimSpec{
		AccessModes: dataset.Spec.AccessModes,
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
	}
}

// mountsChange warns of changes of mounts that wait until no pod uses the Dataset.
func (c *check) mountsChange(old, dataset *v1alpha1.Dataset) {
	before, after := old.DeepCopy(), dataset.DeepCopy()
	v1alpha1.SetDefaults(before)
	v1alpha1.SetDefaults(after)
	mounts := field.NewPath("spec", "mounts")
	for _, was := range before.Spec.Mounts {
		at := slices.IndexFunc(after.Spec.Mounts, func(m v1alpha1.Mount) bool { return m.Path == was.Path })
		switch {
		case at < 0:
			c.warn(mounts, "mount %s at %s is removed when no pod mounts the Dataset's PersistentVolumeClaim; until then condition ChangeNotApplied of the JindoRuntime names the pods", was.Name, was.Path)
		case after.Spec.Mounts[at].MountPoint != was.MountPoint:
			c.warn(mounts.Index(at).Child("mountPoint"), "the mount at %s remains %s until no pod mounts the Dataset's PersistentVolumeClaim; until then condition ChangeNotApplied of the JindoRuntime names the pods", was.Path, was.MountPoint)
		}
	}
}

// runtimeChange refuses edits of a runtime that its pods or the volume of its Dataset do
// not allow, and warns of lost cache.
func (c *check) runtimeChange(ctx context.Context, old, runtime *v1alpha1.JindoRuntime) {
	if runtime.DeletionTimestamp != nil || old.Status.Formation == nil {
		return // no object was created for it yet
	}
	a, b := old.DeepCopy(), runtime.DeepCopy()
	v1alpha1.SetDefaults(a)
	v1alpha1.SetDefaults(b)
	before, after := a.Spec, b.Spec
	if was, is := replicas(before), replicas(after); is < was {
		c.warn(field.NewPath("spec", "replicas"), "scaling from %d to %d workers: data cached by the removed workers will be read from the store again", was, is)
	}
	if !started(&old.Status) {
		return
	}
	inUse := before
	if effective := old.Status.Effective; effective != nil {
		inUse = *effective.Runtime.DeepCopy()
		// The effective spec contains edits of these fields that have no effect.
		inUse.Fuse.CleanPolicy, inUse.NetworkMode = before.Fuse.CleanPolicy, before.NetworkMode
	}
	claimed := before.Fuse.CleanPolicy != after.Fuse.CleanPolicy && c.fixesCleanPolicy(ctx, old)
	c.forbid(plan.RefusedRuntimeEdits(inUse, after, claimed), plan.RefusedRuntimeEdits(before, after, claimed))
}

// started reports whether a runtime with a formation has had pods.
func started(s *v1alpha1.RuntimeStatus) bool {
	return s.Formation.Formed || s.CurrentMasterNumberScheduled > 0 || s.CurrentWorkerNumberScheduled > 0 || s.CurrentFuseNumberScheduled > 0
}

// fixesCleanPolicy reports whether the volume of the Dataset of a runtime exists, and has
// the clean policy of the runtime. If the Dataset reports a difference, this edit may
// remove it.
func (c *check) fixesCleanPolicy(ctx context.Context, runtime *v1alpha1.JindoRuntime) bool {
	name := plan.DatasetName(runtime)
	if c.claim(ctx, name) == nil {
		return false
	}
	dataset := &v1alpha1.Dataset{}
	if err := c.reader.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, dataset); err != nil {
		return false
	}
	differs := health.DatasetCondition(dataset, v1alpha1.DatasetChangeNotApplied)
	return differs == nil || differs.Status != corev1.ConditionTrue
}

func replicas(spec v1alpha1.JindoRuntimeSpec) int32 {
	if spec.Replicas == nil {
		return 1
	}
	return cmp.Or(*spec.Replicas, 1)
}

// dataLoadChange refuses edits of a DataLoad that was carried out, or is at present.
func (c *check) dataLoadChange(ctx context.Context, old, load *v1alpha1.DataLoad) {
	phase := old.Status.Phase
	if load.DeletionTimestamp != nil || phase == v1alpha1.NoneOperationPhase || phase == v1alpha1.PendingOperationPhase ||
		equality.Semantic.DeepEqual(old.Spec, load.Spec) || len(c.claimants(ctx, old.Spec.Dataset.Name)) == 0 {
		return
	}
	c.errs = append(c.errs, field.Forbidden(field.NewPath("spec"), fmt.Sprintf("a DataLoad is carried out once, and this one is %s: create another DataLoad", phase)))
}
