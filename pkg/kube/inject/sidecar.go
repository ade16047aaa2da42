package inject

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// program is the command of the sidecar.
const program = "/usr/local/bin/fuse"

// volumesArgument starts the argument with the volumes that the sidecar serves.
const volumesArgument = "--volumes="

// startupFailures is the failure threshold of the startup probe, whose period is one
// second: a pod whose Dataset is not ready waits for a day.
const startupFailures = 86400

// sidecar is the desired sidecar.
type sidecar struct {
	container, volume []byte // JSON
	hash              string
}

func (p *planner) sidecar() (*sidecar, error) {
	sizes, err := p.sizes()
	if err != nil {
		return nil, err
	}
	handles := make([]string, len(p.found))
	for i, d := range p.found {
		handles[i] = names.ScopeOf(p.Namespace, d.Name, d.Volume).Volume()
	}
	volumes := strings.Join(unique(handles), ",")
	image, policy := p.image()
	container, volume, err := encodeSidecar(volumes, image, policy, sizes)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(slices.Concat(container, volume))
	return &sidecar{container: container, volume: volume, hash: hex.EncodeToString(sum[:8])}, nil
}

func desiredContainer(volumes, image string, policy corev1.PullPolicy, sizes corev1.ResourceRequirements) *corev1.Container {
	always, user := corev1.ContainerRestartPolicyAlways, int64(names.User)
	yes, no := true, false
	return &corev1.Container{
		Name: names.SidecarContainer, Image: image, ImagePullPolicy: policy, RestartPolicy: &always,
		Command: []string{program},
		Args:    []string{names.RoleSidecar, "--name=$(POD_NAME)", "--dir=" + names.SidecarDir, volumesArgument + volumes},
		Env: []corev1.EnvVar{{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"},
		}}},
		VolumeMounts: []corev1.VolumeMount{{Name: names.SidecarVolume, MountPath: names.SidecarDir}},
		// The probe uses a socket in the volume, because the pod may use the network
		// of the node, and meshes rewrite HTTP probes.
		StartupProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{program, "ready", "--dir=" + names.SidecarDir}}},
			PeriodSeconds: 1, TimeoutSeconds: 5, FailureThreshold: startupFailures,
		},
		Resources:                sizes,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user,
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

// desiredVolume returns the volume through which the node plugin and the sidecar
// communicate.
func desiredVolume(volumes string) *corev1.Volume {
	return &corev1.Volume{Name: names.SidecarVolume, VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{
		Driver:           names.Driver,
		VolumeAttributes: map[string]string{names.AttributeRole: names.RoleSidecar, names.AttributeVolumes: volumes},
	}}}
}

// image returns the image of the sidecar and its pull policy. One process serves all
// Datasets. If their runtimes have different images, the default is used if it is
// among them, and otherwise that of the first Dataset by name.
func (p *planner) image() (string, corev1.PullPolicy) {
	policy := corev1.PullPolicy(p.PullPolicy)
	if policy == "" {
		policy = corev1.PullIfNotPresent
	}
	chosen, from := "", ""
	var all []string
	for _, d := range p.found {
		image := p.imageOf(d.Runtime)
		all = append(all, image)
		if chosen == "" || image == p.Image && chosen != p.Image {
			chosen, from = image, d.Name
			if d.Runtime != nil && d.Runtime.Spec.Fuse.ImagePullPolicy != "" {
				policy = corev1.PullPolicy(d.Runtime.Spec.Fuse.ImagePullPolicy)
			}
		}
	}
	if all = unique(all); len(all) > 1 {
		p.warn("the JindoRuntimes of %s have different images (%s): one sidecar serves all of them with the image of %q, %s; write the same spec.fuse.image for all",
			list("dataset", datasetNames(p.found)), strings.Join(all, ", "), from, chosen)
	}
	return chosen, policy
}

func (p *planner) imageOf(runtime *v1alpha1.JindoRuntime) string {
	switch {
	case runtime == nil:
		return p.Image
	case runtime.Status.Images != nil && runtime.Status.Images.Fuse != "":
		return runtime.Status.Images.Fuse
	}
	return names.Image(p.Image, runtime.Spec.Fuse.Image, runtime.Spec.Fuse.ImageTag)
}

// pullSecrets returns the operations that add the image pull secrets of the runtimes
// that the pod lacks, and the names of all injected secrets.
func (p *planner) pullSecrets() (operations []Operation, added []string) {
	const at = "/spec/imagePullSecrets"
	has := map[string]bool{}
	for _, secret := range p.doc.Spec.ImagePullSecrets {
		has[secret.Name] = true
	}
	earlier := splitList(p.doc.Metadata.Annotations[names.AnnotationPullSecrets])
	var missing []corev1.LocalObjectReference
	for _, d := range p.found {
		if d.Runtime == nil {
			continue
		}
		for _, secret := range slices.Concat(d.Runtime.Spec.ImagePullSecrets, d.Runtime.Spec.Fuse.ImagePullSecrets) {
			if secret.Name != "" && !has[secret.Name] {
				has[secret.Name] = true
				missing = append(missing, secret)
			}
		}
	}
	for i, secret := range missing {
		earlier = append(earlier, secret.Name)
		if i == 0 && p.doc.Spec.ImagePullSecrets == nil {
			operations = append(operations, Operation{Op: "add", Path: at, Value: []corev1.LocalObjectReference{secret}})
			continue
		}
		operations = append(operations, Operation{Op: "add", Path: at + "/-", Value: secret})
	}
	return operations, earlier
}

// splitList splits a comma-separated list of names.
func splitList(list string) []string {
	var all []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}
