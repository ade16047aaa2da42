package datasetvolume

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/scopes"
)

// accessModes returns the access modes of a Dataset's claim; the default is
// ReadOnlyMany.
func accessModes(dataset *v1alpha1.Dataset) []corev1.PersistentVolumeAccessMode {
	if len(dataset.Spec.AccessModes) == 0 {
		return []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	}
	return dataset.Spec.AccessModes
}

func labels(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) map[string]string {
	return map[string]string{
		names.LabelManagedBy:        names.ManagedBy,
		names.LabelDatasetID:        scopes.OfVolume(dataset).DatasetID(),
		names.LabelRuntimeNamespace: runtime.Namespace,
		names.LabelRuntimeName:      runtime.Name,
	}
}

func desiredVolume(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime, pvc *corev1.PersistentVolumeClaim) *corev1ac.PersistentVolumeApplyConfiguration {
	size, _ := v1alpha1.ClaimSize(dataset) // invalid sizes were rejected before
	name := scopes.OfVolume(dataset).Volume()
	ref := corev1ac.ObjectReference().WithAPIVersion("v1").WithKind("PersistentVolumeClaim").
		WithNamespace(dataset.Namespace).WithName(dataset.Name)
	if pvc != nil {
		ref.WithUID(pvc.UID) // a claim that lost its volume binds to this one only
	}
	secret := corev1ac.SecretReference().WithNamespace(runtime.Namespace).WithName(names.Secret(runtime.Name, "fuse"))
	source := corev1ac.CSIPersistentVolumeSource().WithDriver(names.Driver).WithVolumeHandle(name).
		WithReadOnly(dataset.Spec.ReadOnly()).WithVolumeAttributes(attributes(runtime)).WithNodePublishSecretRef(secret)
	spec := corev1ac.PersistentVolumeSpec().WithAccessModes(accessModes(dataset)...).
		WithCapacity(corev1.ResourceList{corev1.ResourceStorage: size}).
		WithPersistentVolumeReclaimPolicy(corev1.PersistentVolumeReclaimRetain).
		WithStorageClassName(names.StorageClass).WithVolumeMode(corev1.PersistentVolumeFilesystem).
		WithClaimRef(ref).WithCSI(source)
	return corev1ac.PersistentVolume(name).WithLabels(labels(dataset, runtime)).
		WithAnnotations(map[string]string{"CreatedBy": "fluid"}).WithSpec(spec)
}

// attributes returns the volume attributes, which the kubelet passes to the node
// plugin.
func attributes(runtime *v1alpha1.JindoRuntime) map[string]string {
	return map[string]string{
		names.AttributeRuntimeNamespace: runtime.Namespace,
		names.AttributeRuntimeName:      runtime.Name,
		names.AttributeMountType:        names.App,
		names.AttributeFluidPath:        "/runtime-mnt/jindo/" + runtime.Namespace + "/" + runtime.Name + "/jindofs-fuse",
		names.AttributeNodeSelectorKey:  scopes.Of(runtime).FuseNodeLabel(),
		names.AttributeCleanPolicy:      string(cmp.Or(runtime.Spec.Fuse.CleanPolicy, v1alpha1.OnRuntimeDeletedCleanPolicy)),
	}
}

func desiredClaim(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) *corev1ac.PersistentVolumeClaimApplyConfiguration {
	size, _ := v1alpha1.ClaimSize(dataset)
	labels := labels(dataset, runtime)
	labels[scopes.OfVolume(dataset).CacheNodeLabel()] = strconv.FormatBool(true)
	owner := metav1ac.OwnerReference().WithAPIVersion(v1alpha1.APIVersion).WithKind(v1alpha1.DatasetKind).
		WithName(dataset.Name).WithUID(dataset.UID).WithController(true)
	requests := corev1ac.VolumeResourceRequirements().WithRequests(corev1.ResourceList{corev1.ResourceStorage: size})
	spec := corev1ac.PersistentVolumeClaimSpec().WithAccessModes(accessModes(dataset)...).WithResources(requests).
		WithStorageClassName(names.StorageClass).WithVolumeMode(corev1.PersistentVolumeFilesystem).
		WithVolumeName(scopes.OfVolume(dataset).Volume())
	return corev1ac.PersistentVolumeClaim(dataset.Name, dataset.Namespace).WithLabels(labels).
		WithOwnerReferences(owner).WithSpec(spec)
}

// changes describes the changes that an existing volume and its claim do not allow;
// empty if there are none.
func changes(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime, pvc *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
	var all []string
	want, have := slices.Clone(accessModes(dataset)), slices.Clone(pvc.Spec.AccessModes)
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(slices.Compact(want), slices.Compact(have)) {
		all = append(all, fmt.Sprintf("spec.accessModes: PersistentVolumeClaim %s keeps %s, the Dataset requests %s", pvc.Name, joinModes(have), joinModes(want)))
	}
	size, _ := v1alpha1.ClaimSize(dataset)
	if has := pvc.Spec.Resources.Requests[corev1.ResourceStorage]; size.Cmp(has) != 0 {
		all = append(all, fmt.Sprintf("annotation %s: PersistentVolumeClaim %s keeps %s, the Dataset requests %s", v1alpha1.PVCStorageAnnotation, pvc.Name, &has, &size))
	}
	if pv != nil && pv.Spec.CSI != nil {
		wanted, has := attributes(runtime)[names.AttributeCleanPolicy], pv.Spec.CSI.VolumeAttributes[names.AttributeCleanPolicy]
		if wanted != has {
			all = append(all, fmt.Sprintf("spec.fuse.cleanPolicy of the JindoRuntime: PersistentVolume %s keeps %s, the runtime requests %s", pv.Name, has, wanted))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return strings.Join(all, "; ") + ": delete the Dataset and create it again"
}

func joinModes(modes []corev1.PersistentVolumeAccessMode) string {
	text := make([]string, len(modes))
	for i, m := range modes {
		text[i] = string(m)
	}
	return strings.Join(text, ", ")
}
