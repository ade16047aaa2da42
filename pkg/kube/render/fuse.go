package render

import (
	"cmp"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// fuse returns the DaemonSet of the FUSE servers, which run on the nodes of workers
// and of pods that use the mounts. They have no privileges, no Secret and no
// directory of the node: the node plugin's inline volume has everything they need.
func (in *Input) fuse() *appsv1.DaemonSet {
	c := in.Plan.Fuse
	template := in.template(c, in.fuseSettings())
	template.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{labelled(in.Scope.FuseNodeLabel()), notVirtual()}},
			{MatchExpressions: []corev1.NodeSelectorRequirement{labelled(in.Scope.CacheNodeLabel()), notVirtual()}},
		}},
	}
	template.Spec.PriorityClassName = cmp.Or(in.FusePriorityClass, in.PriorityClass)
	grace := int64(60)
	template.Spec.TerminationGracePeriodSeconds = &grace
	return &appsv1.DaemonSet{
		TypeMeta: typeMeta("apps/v1", "DaemonSet"), ObjectMeta: in.meta(c.Name, string(c.Role)),
		Spec: appsv1.DaemonSetSpec{
			Selector:       &metav1.LabelSelector{MatchLabels: Selector(in.Plan.Name, c.Role)},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType},
			Template:       template,
		},
	}
}

// notVirtual excludes virtual nodes, which run no node plugin.
func notVirtual() corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: "type", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"virtual-kubelet"}}
}

func (in *Input) fuseSettings() podSettings {
	spec := in.Runtime.Spec.Fuse
	s := podSettings{
		image: in.Images.Fuse, pullPolicy: spec.ImagePullPolicy,
		pullSecrets: spec.ImagePullSecrets, resources: withRequests(spec.Resources, plan.RoleFuse), nodeSelector: spec.NodeSelector,
		// Every node with pods that use the volume must run a server, regardless of
		// taints.
		tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		labels:      spec.Labels, metadata: spec.PodMetadata,
		values: map[string]string{
			plan.VarConfig: runDir, plan.VarTLS: runDir, plan.VarData: runDir + "/" + names.StateDir,
			plan.VarSession: runDir + "/" + names.SessionSocket, plan.VarSockets: runDir + "/" + names.SocketsDir,
		},
	}
	secret := &corev1.LocalObjectReference{Name: names.Secret(in.Plan.Name, string(plan.RoleFuse))}
	s.add(in.inline("session", names.RoleFuse, secret), corev1.VolumeMount{MountPath: runDir})
	if in.Plan.FuseOnly() {
		s.values[plan.VarCredentials] = credentialsDir
		s.add(optionalSecret("credentials", names.Secret(in.Plan.Name, "credentials")),
			corev1.VolumeMount{MountPath: credentialsDir, ReadOnly: true})
	}
	return s
}
