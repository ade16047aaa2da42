package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// lookTime bounds the question about a pod that is not known from before: the
// kubelet waits for the answer, and asks again.
const podLookupTimeout = time.Second

// Sidecar answers the handles of the volumes that a pod's own FUSE server
// serves; none when it has no such server.
func (c *Cluster) Sidecar(ctx context.Context, pod records.Pod) ([]string, error) {
	key := pod.Namespace + "/" + pod.Name
	if object, there, err := c.pods.GetStore().GetByKey(key); err == nil && there {
		if found, ok := object.(*corev1.Pod); ok && string(found.UID) == pod.UID {
			return handles(found.Spec), nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, podLookupTimeout)
	defer cancel()
	found, err := c.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("asking whether pod %s has a FUSE server of its own: %w", key, err)
	}
	if string(found.UID) != pod.UID {
		return nil, fmt.Errorf("pod %s with uid %s is gone, another has its name", key, pod.UID)
	}
	return handles(found.Spec), nil
}

// sidecarOf keeps of a pod's spec what [handles] looks at.
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

// handles that the FUSE server of a pod with this spec serves. The container
// without the volume serves nothing, nor does the volume without the container.
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
