package render

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/owner"
	"github.com/jindo-io/jindo/pkg/plan"
)

// Paths in containers.
const (
	binDir         = "/usr/local/bin"
	configDir      = "/etc/jindo"
	tlsDir         = "/etc/jindo/tls"
	credentialsDir = "/etc/jindo/credentials"
	dataDir        = "/var/lib/jindo"
	cacheDir       = "/var/cache/jindo"
	runDir         = "/run/jindo"
)

// podSettings are the differences between the pods of the three roles.
type podSettings struct {
	image, pullPolicy string
	pullSecrets       []corev1.LocalObjectReference
	resources         corev1.ResourceRequirements
	nodeSelector      map[string]string
	tolerations       []corev1.Toleration
	labels            map[string]string
	metadata          v1alpha1.PodMetadata
	// root reports whether the pod runs as root, because the kubelet creates
	// hostPath directories as root.
	root bool
	// values are the values of the plan's variables.
	values map[string]string
	// formed adds the variable plan.VarFormed, which is read from the ConfigMap at
	// each start of the container.
	formed  bool
	volumes []corev1.Volume
	mounts  []corev1.VolumeMount
}

func (s *podSettings) add(volume corev1.Volume, mount corev1.VolumeMount) {
	mount.Name = volume.Name
	s.volumes, s.mounts = append(s.volumes, volume), append(s.mounts, mount)
}

// addShared adds the volumes and variables of both masters and workers: the
// topology and the certificates.
func (in *Input) addShared(s *podSettings, role plan.Role) {
	mode := int32(0o440)
	s.add(corev1.Volume{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: names.Config(in.Plan.Name)},
	}}}, corev1.VolumeMount{MountPath: configDir, ReadOnly: true})
	s.add(corev1.Volume{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: names.Secret(in.Plan.Name, string(role)), DefaultMode: &mode,
	}}}, corev1.VolumeMount{MountPath: tlsDir, ReadOnly: true})
	s.values[plan.VarConfig], s.values[plan.VarTLS] = configDir, tlsDir
	// For users who run the client in the pod.
	s.values["JINDO_ROSTER"], s.values["JINDO_TLS_DIR"] = configDir+"/"+plan.RosterFile, tlsDir
	s.values[owner.Variable] = string(in.Runtime.UID)
	s.formed = role == plan.RoleMaster
}

// addUserVolumes adds the volumes of spec.volumes that mounts refer to. A mount of a
// reserved name is left out: it would show a volume of the component.
func (in *Input) addUserVolumes(s *podSettings, mounts []corev1.VolumeMount) {
	for _, mount := range mounts {
		if v1alpha1.ReservedVolume(mount.Name) {
			continue
		}
		s.mounts = append(s.mounts, mount)
		added := slices.ContainsFunc(s.volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		for _, volume := range in.Runtime.Spec.Volumes {
			if volume.Name == mount.Name && !added {
				s.volumes = append(s.volumes, volume)
				added = true
			}
		}
	}
}

func optionalSecret(name, secret string) corev1.Volume {
	yes, mode := true, int32(0o440)
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: secret, Optional: &yes, DefaultMode: &mode},
	}}
}

// inline returns an inline volume of the node plugin.
func (in *Input) inline(name, role string, secret *corev1.LocalObjectReference) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{
		Driver:               names.Driver,
		VolumeAttributes:     map[string]string{names.AttributeRole: role, names.AttributeRuntimeName: in.Plan.Name},
		NodePublishSecretRef: secret,
	}}}
}

func (in *Input) template(c *plan.Component, s podSettings) corev1.PodTemplateSpec {
	no := false
	labels, annotations := in.podMetadata(c.Role, s)
	spec := corev1.PodSpec{
		ServiceAccountName:           names.ServiceAccount(in.Plan.Name),
		AutomountServiceAccountToken: &no,
		EnableServiceLinks:           &no,
		SecurityContext:              podSecurity(s.root),
		ImagePullSecrets:             slices.Concat(in.Runtime.Spec.ImagePullSecrets, s.pullSecrets),
		NodeSelector:                 s.nodeSelector,
		Tolerations:                  s.tolerations,
		Affinity:                     &corev1.Affinity{},
		Volumes:                      s.volumes,
		Containers:                   []corev1.Container{in.container(c, s)},
	}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
		Spec:       spec,
	}
}

// podMetadata returns the labels and annotations of a pod. The runtime's own labels
// override those of the spec.
func (in *Input) podMetadata(role plan.Role, s podSettings) (labels, annotations map[string]string) {
	labels, annotations = map[string]string{}, map[string]string{}
	for _, more := range []map[string]string{in.Runtime.Spec.Labels, in.Runtime.Spec.PodMetadata.Labels, s.labels, s.metadata.Labels, in.labels(string(role))} {
		maps.Copy(labels, more)
	}
	maps.Copy(annotations, in.Runtime.Spec.PodMetadata.Annotations)
	maps.Copy(annotations, s.metadata.Annotations)
	return labels, annotations
}

func podSecurity(root bool) *corev1.PodSecurityContext {
	seccomp := &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	user, yes := int64(0), true
	if root {
		return &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &user, SeccompProfile: seccomp}
	}
	user = names.User
	policy := corev1.FSGroupChangeOnRootMismatch
	return &corev1.PodSecurityContext{
		RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, FSGroup: &user, FSGroupChangePolicy: &policy, SeccompProfile: seccomp,
	}
}

func (in *Input) container(c *plan.Component, s podSettings) corev1.Container {
	no, yes := false, true
	policy := corev1.PullPolicy(s.pullPolicy)
	if policy == "" {
		policy = corev1.PullIfNotPresent
	}
	container := corev1.Container{
		Name: "jindofs-" + string(c.Role), Image: s.image, ImagePullPolicy: policy,
		Command: []string{binDir + "/" + c.Binary}, Args: c.Args,
		Env: in.env(c, s), Resources: s.resources, VolumeMounts: s.mounts,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	for _, port := range c.Ports {
		container.Ports = append(container.Ports, corev1.ContainerPort{
			Name: port.Name, ContainerPort: int32(port.Port), Protocol: corev1.ProtocolTCP,
		})
	}
	probes(&container)
	return container
}

// probes sets the probes of a container. The startup probe allows 30 minutes,
// because a member replays its log. The liveness probe checks only that the process
// responds, so that a loss of quorum does not restart healthy members. The
// readiness probe returns the component's own state.
func probes(c *corev1.Container) {
	probe := func(path string, period, timeout, failures int32) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
				Path: path, Port: intstr.FromString(plan.PortHealth), Scheme: corev1.URISchemeHTTP,
			}},
			PeriodSeconds: period, TimeoutSeconds: timeout, FailureThreshold: failures, SuccessThreshold: 1,
		}
	}
	c.StartupProbe = probe("/healthz", 2, 5, 900)
	c.LivenessProbe = probe("/healthz", 10, 10, 12)
	c.ReadinessProbe = probe("/readyz", 3, 5, 3)
}

// env returns the environment of a container. The variables that the arguments
// refer to come first; the spec cannot override them.
func (in *Input) env(c *plan.Component, s podSettings) []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
	}
	// An empty address listens on every address of the pod: both families, and
	// the loopback address that port forwarding connects to.
	env := []corev1.EnvVar{field(plan.VarPodName, "metadata.name"), {Name: plan.VarPodIP}}
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		env = append(env, corev1.EnvVar{Name: name, Value: s.values[name]})
	}
	if s.formed {
		env = append(env, corev1.EnvVar{Name: plan.VarFormed, ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: names.Config(in.Plan.Name)}, Key: names.ConfigFormed,
		}}})
	}
	for _, v := range c.Env {
		ours := func(e corev1.EnvVar) bool { return e.Name == v.Name }
		if !slices.ContainsFunc(env, ours) {
			env = append(env, corev1.EnvVar{Name: v.Name, Value: v.Value})
		}
	}
	return env
}

func (in *Input) datasetTolerations() []corev1.Toleration {
	if in.Dataset == nil {
		return nil
	}
	return slices.Clone(in.Dataset.Spec.Tolerations)
}
