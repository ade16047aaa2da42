package inventory

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Ways in which a pod mounts a Dataset.
const (
	// ViaSidecar is a FUSE server that was injected into the pod.
	ViaSidecar = "sidecar"
	// ViaCSI is the FUSE server of the node.
	ViaCSI = "csi"
)

// Use is the mount of a Dataset by a pod.
type Use struct {
	Pod *corev1.Pod
	// Dataset is the name of the Dataset, which is that of its claim.
	Dataset string
	Via     string
	// Paths of the mount in the containers, sorted.
	Paths []string
	// Holds is true for a pod that is scheduled and has not terminated, which blocks
	// the deletion of the Dataset.
	Holds bool
}

// Uses returns the mounts of all pods, in the order of the pods. A claim belongs to
// a Dataset if it was created for one, or if a Dataset of its name exists.
func (in *Inventory) Uses() []Use {
	type key struct{ namespace, name string }
	claims := map[key]bool{}
	for i := range in.Datasets {
		claims[key{in.Datasets[i].Namespace, in.Datasets[i].Name}] = true
	}
	for i := range in.Claims {
		if pvc := &in.Claims[i]; IsDatasetClaim(pvc) {
			claims[key{pvc.Namespace, pvc.Name}] = true
		}
	}
	var uses []Use
	for i := range in.Pods {
		pod := &in.Pods[i]
		for _, v := range pod.Spec.Volumes {
			if v.PersistentVolumeClaim == nil || !claims[key{pod.Namespace, v.PersistentVolumeClaim.ClaimName}] {
				continue
			}
			uses = append(uses, Use{
				Pod: pod, Dataset: v.PersistentVolumeClaim.ClaimName, Via: via(pod), Paths: paths(pod, v.Name),
				Holds: pod.Spec.NodeName != "" && !health.PodDone(pod),
			})
		}
	}
	return uses
}

// UsesOf returns the mounts of one Dataset.
func (in *Inventory) UsesOf(dataset *v1alpha1.Dataset) []Use {
	return slices.DeleteFunc(in.Uses(), func(u Use) bool {
		return u.Dataset != dataset.Name || u.Pod.Namespace != dataset.Namespace
	})
}

// IsDatasetClaim reports whether a claim was created for a Dataset, and not for a
// master.
func IsDatasetClaim(pvc *corev1.PersistentVolumeClaim) bool {
	return pvc.Labels[names.LabelManagedBy] == names.ManagedBy && pvc.Spec.StorageClassName != nil && *pvc.Spec.StorageClassName == names.StorageClass
}

func via(pod *corev1.Pod) string {
	for _, c := range pod.Spec.InitContainers {
		if c.Name == names.SidecarContainer && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			return ViaSidecar
		}
	}
	return ViaCSI
}

func paths(pod *corev1.Pod, volume string) []string {
	var found []string
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, m := range c.VolumeMounts {
			if m.Name == volume && !slices.Contains(found, m.MountPath) {
				found = append(found, m.MountPath)
			}
		}
	}
	slices.Sort(found)
	return found
}
