package cluster

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// podLookupTimeout is the timeout of reading a pod that is not in the cache. The
// kubelet waits for the result, and retries.
const podLookupTimeout = time.Second

// Sidecar returns the handles of the volumes that the FUSE sidecar of a pod
// serves, or none if the pod has no sidecar.
func (c *Cluster) Sidecar(ctx context.Context, pod records.Pod) ([]string, error) {
	found, err := c.pod(ctx, pod)
	if err != nil {
		return nil, err
	}
	return handles(found.Spec), nil
}

// sidecarSpec returns the parts of a pod's spec that [handles] uses.
func sidecarSpec(pod *corev1.Pod) corev1.PodSpec {
	var spec corev1.PodSpec
	for _, c := range pod.Spec.InitContainers {
		if isSidecar(c) {
			spec.InitContainers = append(spec.InitContainers, corev1.Container{Name: c.Name, RestartPolicy: c.RestartPolicy})
		}
	}
	for _, v := range pod.Spec.Volumes {
		if isSidecarVolume(v) {
			spec.Volumes = append(spec.Volumes, v)
		}
	}
	return spec
}

// handles returns the handles of the volumes that the sidecar in spec serves. Both
// the sidecar container and its volume must be present.
func handles(spec corev1.PodSpec) []string {
	served := false
	for _, c := range spec.InitContainers {
		served = served || isSidecar(c)
	}
	if !served {
		return nil
	}
	var all []string
	for _, v := range spec.Volumes {
		if isSidecarVolume(v) {
			all = append(all, strings.Split(v.CSI.VolumeAttributes[names.AttributeVolumes], ",")...)
		}
	}
	return all
}

func isSidecar(c corev1.Container) bool {
	return c.Name == names.SidecarContainer && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func isSidecarVolume(v corev1.Volume) bool {
	return v.CSI != nil && v.CSI.Driver == names.Driver && v.CSI.VolumeAttributes[names.AttributeRole] == names.RoleSidecar
}
