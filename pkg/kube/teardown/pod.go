package teardown

import (
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

const (
	cleanerBinary = "/usr/local/bin/cleaner"
	cleanDir      = "/clean"
)

// cleanerPod returns a pod that removes the runtime's directories below roots on a
// node. It runs as root, because root owns the directories, but without host
// network, token, and capabilities other than those for files.
func (t *teardown) cleanerPod(node string, roots []string, try int) *corev1.Pod {
	labels := names.Labels(t.runtime.Name, cleanerRole)
	labels[names.LabelRuntimeNamespace] = t.runtime.Namespace
	labels[names.LabelRuntimeName] = t.runtime.Name
	labels[names.LabelRuntimeUID] = string(t.runtime.UID)
	labels[labelNode] = digest(node)
	root, no, grace, deadline := int64(0), false, int64(5), int64(cleanerTimeout.Seconds())
	spec := corev1.PodSpec{
		// NodeName bypasses the scheduler, so labels and taints do not matter.
		NodeName: node, Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		RestartPolicy: corev1.RestartPolicyNever, ActiveDeadlineSeconds: &deadline, TerminationGracePeriodSeconds: &grace,
		AutomountServiceAccountToken: &no, EnableServiceLinks: &no,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsUser: &root, RunAsGroup: &root, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{t.cleanerContainer(len(roots))},
	}
	for i, dir := range roots {
		kind := corev1.HostPathDirectoryOrCreate
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: volumeName(i), VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: dir, Type: &kind},
		}})
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: t.SystemNamespace, Name: cleanerName(string(t.runtime.UID), node, try),
			Labels: labels, Annotations: map[string]string{annotationNode: node},
		},
		Spec: spec,
	}
}

func (t *teardown) cleanerContainer(roots int) corev1.Container {
	no, yes := false, true
	container := corev1.Container{
		Name: "cleaner", Image: t.Image, ImagePullPolicy: corev1.PullIfNotPresent,
		Command: []string{cleanerBinary},
		Args:    []string{"--uid=" + string(t.runtime.UID), "--below=" + t.runtimePath(), "--report=" + corev1.TerminationMessagePathDefault},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"DAC_OVERRIDE", "FOWNER"}},
		},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")},
		},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	for i := range roots {
		dir := path.Join(cleanDir, fmt.Sprint(i))
		container.Args = append(container.Args, dir)
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: volumeName(i), MountPath: dir})
	}
	return container
}

func volumeName(i int) string { return fmt.Sprintf("root-%d", i) }
