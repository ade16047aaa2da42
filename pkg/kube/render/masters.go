package render

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

const (
	dataVolume = "data"
	// masterStorage is the requested storage of a master's claim. Log and snapshots
	// are small; smaller cloud disks save nothing.
	masterStorage = "20Gi"
	// masterGrace is the termination grace period, in seconds: time to transfer
	// leadership and to close the log.
	masterGrace = 60
)

// MasterPath returns the directory of the masters' volumes on nodes, below the path
// of the first hostPath tier. It is empty if the volumes are of a storage class.
func MasterPath(runtime *v1alpha1.JindoRuntime, p *plan.Plan) string {
	if runtime.Spec.Master.StorageClassName != nil || p.Masters == nil {
		return ""
	}
	tier := firstHostPath(p)
	if tier == "" {
		return ""
	}
	return nodeDirectory(tier, p, "master")
}

// masters returns the StatefulSet of the masters. Each master stores its log on a
// claim: ordinals are not pinned to nodes, and a master must not restart without
// its log, which records its votes.
func (in *Input) masters() *appsv1.StatefulSet {
	c := in.Plan.Masters
	template := in.template(c, in.masterSettings())
	// The template does not depend on the number of masters, so that a change of it
	// replaces no pod.
	template.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{antiAffinityTerm(Selector(in.Plan.Name, c.Role))},
	}
	// Masters of one zone are lost together. Those whose volumes are directories of nodes
	// follow their nodes, which the controller selects.
	template.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway,
		LabelSelector: &metav1.LabelSelector{MatchLabels: Selector(in.Plan.Name, c.Role)},
	}}
	template.Spec.PriorityClassName = in.PriorityClass
	grace := int64(masterGrace)
	template.Spec.TerminationGracePeriodSeconds = &grace
	return &appsv1.StatefulSet{
		TypeMeta: typeMeta("apps/v1", "StatefulSet"), ObjectMeta: in.meta(c.Name, string(c.Role)),
		Spec: appsv1.StatefulSetSpec{
			ServiceName: names.MasterService(in.Plan.Name, 0), Replicas: &c.Replicas,
			Selector:            &metav1.LabelSelector{MatchLabels: Selector(in.Plan.Name, c.Role)},
			PodManagementPolicy: appsv1.ParallelPodManagement,
			UpdateStrategy:      appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType},
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
				WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{in.masterClaim()},
			Template:             template,
		},
	}
}

func (in *Input) masterSettings() podSettings {
	spec := in.Runtime.Spec.Master
	s := podSettings{
		image: in.Images.Jindo, pullPolicy: in.Runtime.Spec.JindoVersion.ImagePullPolicy,
		pullSecrets: spec.ImagePullSecrets, resources: withRequests(spec.Resources, plan.RoleMaster), nodeSelector: spec.NodeSelector,
		tolerations: append(in.datasetTolerations(), spec.Tolerations...),
		labels:      spec.Labels, metadata: spec.PodMetadata,
		root:   in.masterPath() != "",
		values: map[string]string{plan.VarData: dataDir},
		mounts: []corev1.VolumeMount{{Name: dataVolume, MountPath: dataDir}},
	}
	if in.masterPath() != "" {
		in.addPlace(&s, dataDir, "master")
	}
	in.addShared(&s, plan.RoleMaster)
	in.addUserVolumes(&s, spec.VolumeMounts)
	return s
}

func (in *Input) masterClaim() corev1.PersistentVolumeClaim {
	return corev1.PersistentVolumeClaim{
		TypeMeta:   typeMeta("v1", "PersistentVolumeClaim"),
		ObjectMeta: metav1.ObjectMeta{Name: dataVolume, Labels: in.labels(string(plan.RoleMaster))},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: in.masterClass(),
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(masterStorage)},
			},
		},
	}
}

// masterClass returns the storage class of the masters' claims; nil selects the
// cluster's default class.
func (in *Input) masterClass() *string {
	if in.masterPath() != "" {
		class := names.MasterStorageClass
		return &class
	}
	return in.Runtime.Spec.Master.StorageClassName
}

func (in *Input) masterPath() string { return MasterPath(in.Runtime, in.Plan) }

// masterVolume returns the PersistentVolume for the directory of a master on its
// node, pre-bound to the master's claim.
func (in *Input) masterVolume(ordinal int, node string) *corev1.PersistentVolume {
	directory := in.masterPath()
	if node == "" || directory == "" || ordinal >= int(in.Plan.Masters.Replicas) {
		return nil
	}
	kind := corev1.HostPathDirectoryOrCreate
	labels := in.labels(string(plan.RoleMaster))
	labels[names.LabelRuntimeNamespace], labels[names.LabelRuntimeName] = in.Plan.Namespace, in.Plan.Name
	labels[names.LabelRuntimeUID] = string(in.Runtime.UID)
	return &corev1.PersistentVolume{
		TypeMeta:   typeMeta("v1", "PersistentVolume"),
		ObjectMeta: metav1.ObjectMeta{Name: in.Scope.MasterVolume(ordinal), Labels: labels},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(masterStorage)},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			StorageClassName:              names.MasterStorageClass,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: in.Plan.Namespace, Name: names.MasterClaim(in.Plan.Name, ordinal),
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: directory, Type: &kind},
			},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
				}}}},
			}},
		},
	}
}

// masterBudget returns a PodDisruptionBudget that allows the eviction of one of
// three masters. A budget for a single master would block every drain of its node.
func (in *Input) masterBudget() *policyv1.PodDisruptionBudget {
	c := in.Plan.Masters
	if c.ListedInstances() < 3 {
		return nil
	}
	one := intstr.FromInt32(1)
	always := policyv1.AlwaysAllow
	return &policyv1.PodDisruptionBudget{
		TypeMeta: typeMeta("policy/v1", "PodDisruptionBudget"), ObjectMeta: in.meta(c.Name, string(c.Role)),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: &one, UnhealthyPodEvictionPolicy: &always,
			Selector: &metav1.LabelSelector{MatchLabels: Selector(in.Plan.Name, c.Role)},
		},
	}
}

// firstHostPath returns the path of the first tier on a node's disk; empty if there
// is none.
func firstHostPath(p *plan.Plan) string {
	if p.Workers == nil {
		return ""
	}
	for _, v := range p.Workers.Volumes {
		if v.Tier != nil && isNodeDirectory(v.Tier) {
			return v.Tier.Path
		}
	}
	return ""
}

// isNodeDirectory reports whether a tier is a directory of the node. A tier in
// memory never is.
func isNodeDirectory(t *plan.Tier) bool {
	return t.Medium != v1alpha1.MediumMEM && t.VolumeType != v1alpha1.VolumeEmptyDir
}

// nodeDirectory returns the runtime's own directory below the path of a tier.
func nodeDirectory(tier string, p *plan.Plan, kind string) string {
	return names.NodeDirectory(tier, p.Namespace, p.Name, kind)
}
