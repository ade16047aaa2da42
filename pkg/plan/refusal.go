package plan

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// Refusal is the edit of a field that can never be carried out on what exists.
type Refusal struct {
	// Field is the path of the field, such as spec.master.storageClassName.
	Field string
	// Reason is why it cannot be carried out, and Remedy what to do instead.
	Reason, Remedy string
}

// String returns the reason and the remedy.
func (r Refusal) String() string { return r.Reason + ": " + r.Remedy }

const (
	recreateRuntime = "delete the JindoRuntime and create it again, which removes what is cached and nothing in the stores"
	recreateDataset = "delete the Dataset and create it again"
)

// RefusedRuntimeEdits returns the fields of a runtime with pods that differ between its
// current spec and another one, and that can never be changed. claimed reports that the
// claim of its Dataset exists. Both specs have their defaults.
func RefusedRuntimeEdits(current, next v1alpha1.JindoRuntimeSpec, claimed bool) []Refusal {
	refused := fixedEdits(current, *next.DeepCopy())
	if claimed && current.Fuse.CleanPolicy != next.Fuse.CleanPolicy {
		refused = append(refused, Refusal{"spec.fuse.cleanPolicy", "it is part of the Dataset's PersistentVolume, which exists already and cannot be changed", recreateDataset})
	}
	if current.NetworkMode != next.NetworkMode && next.NetworkMode == v1alpha1.HostNetworkMode {
		refused = append(refused, Refusal{"spec.networkmode", "the host network is not supported yet", "omit the field"})
	}
	return refused
}

// fixedEdits returns the fields that an effective spec keeps while pods exist.
func fixedEdits(current, next v1alpha1.JindoRuntimeSpec) []Refusal {
	var refused []Refusal
	add := func(same bool, field, reason, remedy string) {
		if !same {
			refused = append(refused, Refusal{field, reason, remedy})
		}
	}
	add(equality.Semantic.DeepEqual(current.Master.StorageClassName, next.Master.StorageClassName),
		"spec.master.storageClassName", "the masters' volumes already exist", recreateRuntime)
	const components = "components of an existing runtime cannot be added or removed"
	add(current.Master.Disabled == next.Master.Disabled, "spec.master.disabled", components, recreateRuntime)
	add(current.Worker.Disabled == next.Worker.Disabled, "spec.worker.disabled", components, recreateRuntime)
	add(current.Fuse.Disabled == next.Fuse.Disabled, "spec.fuse.disabled", components, recreateRuntime)
	next.Master.StorageClassName, next.Master.Disabled = current.Master.StorageClassName, current.Master.Disabled
	where, remedy := masterVolumes(current)
	add(MasterTier(current) == MasterTier(next), "spec.tieredstore", "the masters' volumes, which exist already, are "+where, remedy)
	return refused
}

// masterVolumes returns where the masters' volumes are, and what to write instead of
// another first path on nodes.
func masterVolumes(spec v1alpha1.JindoRuntimeSpec) (where, remedy string) {
	if tier := MasterTier(spec); tier != "" {
		return "below " + tier, fmt.Sprintf("write %s as the first path of the first level on nodes, or %s", tier, recreateRuntime)
	}
	return "of the default storage class", "write its name in spec.master.storageClassName before a level on nodes, and " + recreateRuntime
}

// RefusedDatasetEdits returns the fields of a Dataset, its annotations included, that
// differ from an existing claim of the Dataset and can never be changed.
func RefusedDatasetEdits(claim *corev1.PersistentVolumeClaimSpec, dataset *v1alpha1.Dataset) []Refusal {
	var refused []Refusal
	if !slices.Equal(modes(claim.AccessModes), modes(dataset.Spec.AccessModes)) {
		refused = append(refused, Refusal{"spec.accessModes", "they are part of the Dataset's PersistentVolumeClaim, which exists already and cannot be changed", recreateDataset})
	}
	has := claim.Resources.Requests[corev1.ResourceStorage]
	if size, err := v1alpha1.ClaimSize(dataset); err == nil && !v1alpha1.EqualQuantities(size, has) {
		refused = append(refused, Refusal{
			"metadata.annotations[" + v1alpha1.PVCStorageAnnotation + "]",
			fmt.Sprintf("it is the size of the Dataset's PersistentVolumeClaim, which exists already with %s and cannot be resized; it does not limit the data", &has), recreateDataset,
		})
	}
	return refused
}

// modes returns access modes sorted and without duplicates; the default is ReadOnlyMany.
func modes(of []corev1.PersistentVolumeAccessMode) []corev1.PersistentVolumeAccessMode {
	if len(of) == 0 {
		return []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	}
	return slices.Compact(slices.Sorted(slices.Values(of)))
}
