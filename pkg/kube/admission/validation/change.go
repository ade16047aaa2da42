package validation

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/plan"
)

// notApplied is the warning about a change that the reconciler does not apply.
const notApplied = "this change is not applied to an existing runtime, which condition ChangeNotApplied will report: delete the JindoRuntime and create it again to apply it"

// datasetChange warns of changes that are not applied to a Dataset that is served.
func (c *check) datasetChange(old, dataset *v1alpha1.Dataset) {
	if old.Status.Phase != v1alpha1.BoundDatasetPhase && len(old.Status.Mounts) == 0 {
		return
	}
	before, after := old.DeepCopy(), dataset.DeepCopy()
	v1alpha1.SetDefaults(before)
	v1alpha1.SetDefaults(after)
	spec := field.NewPath("spec")
	for _, was := range before.Spec.Mounts {
		at := slices.IndexFunc(after.Spec.Mounts, func(m v1alpha1.Mount) bool { return m.Path == was.Path })
		switch {
		case at < 0:
			c.warn(spec.Child("mounts"), "mount %s at %s is removed when no pod mounts the Dataset's PersistentVolumeClaim; until then condition ChangeNotApplied of the JindoRuntime names the pods", was.Name, was.Path)
		case after.Spec.Mounts[at].MountPoint != was.MountPoint:
			c.warn(spec.Child("mounts").Index(at).Child("mountPoint"), "the mount at %s remains %s until no pod mounts the Dataset's PersistentVolumeClaim; until then condition ChangeNotApplied of the JindoRuntime names the pods", was.Path, was.MountPoint)
		}
	}
	if !equality.Semantic.DeepEqual(before.Spec.AccessModes, after.Spec.AccessModes) {
		c.warn(spec.Child("accessModes"), "the PersistentVolumeClaim of a Dataset keeps its access modes, which condition ChangeNotApplied will report: delete the Dataset and create it again")
	}
	was, _ := v1alpha1.ClaimSize(old)
	if is, err := v1alpha1.ClaimSize(dataset); err == nil && was.Cmp(is) != 0 {
		c.warn(field.NewPath("metadata", "annotations").Key(v1alpha1.PVCStorageAnnotation), "the PersistentVolumeClaim of a Dataset keeps its size, which condition ChangeNotApplied will report: delete the Dataset and create it again")
	}
}

// runtimeChange warns of changes that are not applied to running pods.
func (c *check) runtimeChange(old, runtime *v1alpha1.JindoRuntime) {
	if old.Status.Formation == nil {
		return // no object was created for it yet
	}
	a, b := old.DeepCopy(), runtime.DeepCopy()
	v1alpha1.SetDefaults(a)
	v1alpha1.SetDefaults(b)
	before, after, spec := a.Spec, b.Spec, field.NewPath("spec")
	for _, change := range []struct {
		path          *field.Path
		before, after any
	}{
		{spec.Child("master", "storageClassName"), before.Master.StorageClassName, after.Master.StorageClassName},
		{spec.Child("master", "disabled"), before.Master.Disabled, after.Master.Disabled},
		{spec.Child("worker", "disabled"), before.Worker.Disabled, after.Worker.Disabled},
		{spec.Child("fuse", "disabled"), before.Fuse.Disabled, after.Fuse.Disabled},
		{spec.Child("tieredstore"), plan.MasterTier(before), plan.MasterTier(after)},
	} {
		if !equality.Semantic.DeepEqual(change.before, change.after) {
			c.warn(change.path, notApplied)
		}
	}
	if before.Fuse.CleanPolicy != after.Fuse.CleanPolicy {
		c.warn(spec.Child("fuse", "cleanPolicy"), "the PersistentVolume of a Dataset keeps its clean policy, which condition ChangeNotApplied of the Dataset will report: delete the Dataset and create it again")
	}
	if was, is := replicas(before), replicas(after); is < was {
		c.warn(spec.Child("replicas"), "scaling from %d to %d workers: data cached by the removed workers will be read from the store again", was, is)
	}
}

func replicas(spec v1alpha1.JindoRuntimeSpec) int32 {
	if spec.Replicas == nil {
		return 1
	}
	return cmp.Or(*spec.Replicas, 1)
}
