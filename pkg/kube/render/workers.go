package render

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// tierSlack is how much a tier in an emptyDir may exceed its quota before the
// kubelet evicts the pod, in bytes. It leaves room for bitmaps and for files that are
// being replaced.
const tierSlack = 256 << 20

// drainGrace is the grace period of workers in seconds: a worker that is drained moves
// its cache in it. Others end at once.
const drainGrace = 300

func (in *Input) workers() *appsv1.StatefulSet {
	c := in.Plan.Workers
	template := in.template(c, in.workerSettings())
	if firstHostPath(in.Plan) != "" {
		// The worker runs as root, but the FUSE servers that connect to its socket
		// do not.
		template.Spec.SecurityContext.SupplementalGroups = []int64{names.User}
		worker := &template.Spec.Containers[0]
		worker.Args = append(slices.Clone(worker.Args), fmt.Sprintf("--socket-group=%d", names.User))
	}
	for _, directory := range plan.Directories(in.Runtime) {
		worker := &template.Spec.Containers[0]
		// The kubelet replaces $(NAME) in arguments, and not in the paths of mounts: the
		// worker would serve a directory that was not checked.
		worker.Args = append(slices.Clone(worker.Args), "--directory="+strings.ReplaceAll(directory, "$", "$$"))
	}
	template.Labels[names.LabelDataset] = in.Scope.DatasetID()
	template.Labels[names.LabelPlacement] = string(in.placement())
	in.placeWorkers(template.Spec.Affinity)
	grace := int64(drainGrace)
	template.Spec.TerminationGracePeriodSeconds = &grace
	return &appsv1.StatefulSet{
		TypeMeta: typeMeta("apps/v1", "StatefulSet"), ObjectMeta: in.meta(c.Name, string(c.Role)),
		Spec: appsv1.StatefulSetSpec{
			ServiceName: names.Component(in.Plan.Name, string(c.Role)), Replicas: &c.Replicas,
			Selector:            &metav1.LabelSelector{MatchLabels: Selector(in.Plan.Name, c.Role)},
			PodManagementPolicy: appsv1.ParallelPodManagement,
			UpdateStrategy:      appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType},
			Template:            template,
		},
	}
}

func (in *Input) workerSettings() podSettings {
	spec := in.Runtime.Spec.Worker
	s := podSettings{
		image: in.Images.Jindo, pullPolicy: in.Runtime.Spec.JindoVersion.ImagePullPolicy,
		pullSecrets: spec.ImagePullSecrets, resources: withMemoryTiers(withRequests(spec.Resources, plan.RoleWorker), in.Plan.Workers), nodeSelector: spec.NodeSelector,
		tolerations: append(in.datasetTolerations(), spec.Tolerations...),
		labels:      spec.Labels, metadata: spec.PodMetadata,
		root:   firstHostPath(in.Plan) != "",
		values: map[string]string{plan.VarData: dataDir, plan.VarSockets: runDir, plan.VarCredentials: credentialsDir},
	}
	if firstHostPath(in.Plan) != "" {
		in.addPlace(&s, dataDir, "data")
	}
	in.addShared(&s, plan.RoleWorker)
	s.add(corev1.Volume{Name: dataVolume, VolumeSource: in.workerData()}, corev1.VolumeMount{MountPath: dataDir})
	s.add(optionalSecret("credentials", names.Secret(in.Plan.Name, "credentials")),
		corev1.VolumeMount{MountPath: credentialsDir, ReadOnly: true})
	s.add(in.inline("sockets", names.RoleWorker, nil), corev1.VolumeMount{MountPath: runDir})
	for _, v := range in.Plan.Workers.Volumes {
		if v.Kind == plan.VolumeTier {
			directory := cacheDir + "/" + v.Name
			s.values[v.Variable] = directory
			if isNodeDirectory(v.Tier) {
				in.addPlace(&s, directory, "tier")
			}
			s.add(corev1.Volume{Name: v.Name, VolumeSource: in.tier(v.Tier)}, corev1.VolumeMount{MountPath: directory})
		}
	}
	in.addUserVolumes(&s, spec.VolumeMounts)
	return s
}

// workerData returns the volume of a worker's data directory. It is on the same disk
// as the first tier, so that both are kept or lost together.
func (in *Input) workerData() corev1.VolumeSource {
	if tier := firstHostPath(in.Plan); tier != "" {
		return hostPath(nodeDirectory(tier, in.Plan, "data"))
	}
	return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
}

func (in *Input) tier(t *plan.Tier) corev1.VolumeSource {
	if isNodeDirectory(t) {
		return hostPath(nodeDirectory(t.Path, in.Plan, "tier"))
	}
	empty := &corev1.EmptyDirVolumeSource{SizeLimit: resource.NewQuantity(t.Quota+tierSlack, resource.BinarySI)}
	if t.Medium == v1alpha1.MediumMEM {
		empty.Medium = corev1.StorageMediumMemory
	}
	return corev1.VolumeSource{EmptyDir: empty}
}

func hostPath(directory string) corev1.VolumeSource {
	kind := corev1.HostPathDirectoryOrCreate
	return corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: directory, Type: &kind}}
}

// CachePaths returns the directories of workers on their nodes.
func CachePaths(p *plan.Plan) []string {
	if p.Workers == nil {
		return nil
	}
	var paths []string
	for _, v := range p.Workers.Volumes {
		if v.Tier != nil && isNodeDirectory(v.Tier) {
			paths = append(paths, nodeDirectory(v.Tier.Path, p, "tier"))
		}
	}
	if tier := firstHostPath(p); tier != "" {
		paths = append(paths, nodeDirectory(tier, p, "data"))
	}
	return paths
}

func (in *Input) placement() v1alpha1.PlacementMode {
	if in.Dataset != nil && in.Dataset.Spec.PlacementMode == v1alpha1.SharedMode {
		return v1alpha1.SharedMode
	}
	return v1alpha1.ExclusiveMode
}

// placeWorkers sets the affinity of workers. With placement Exclusive, a node runs
// at most one worker of a namespace. With placement Shared, it may run workers of
// several runtimes that are Shared, too, but at most one of a runtime if a tier is a
// directory of the node.
func (in *Input) placeWorkers(affinity *corev1.Affinity) {
	anti := &corev1.PodAntiAffinity{}
	require := func(term corev1.PodAffinityTerm) {
		anti.RequiredDuringSchedulingIgnoredDuringExecution = append(anti.RequiredDuringSchedulingIgnoredDuringExecution, term)
	}
	workers := corev1.PodAffinityTerm{
		TopologyKey: corev1.LabelHostname,
		LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: names.LabelDataset, Operator: metav1.LabelSelectorOpExists},
		}},
	}
	if in.placement() == v1alpha1.ExclusiveMode {
		require(workers)
	} else {
		require(antiAffinityTerm(map[string]string{names.LabelPlacement: string(v1alpha1.ExclusiveMode)}))
		if firstHostPath(in.Plan) != "" {
			require(antiAffinityTerm(Selector(in.Plan.Name, plan.RoleWorker)))
		}
		anti.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.WeightedPodAffinityTerm{{Weight: 50, PodAffinityTerm: workers}}
	}
	affinity.PodAntiAffinity = anti
	affinity.NodeAffinity = &corev1.NodeAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
			Weight: 100,
			Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
				labelled(in.Scope.FuseNodeLabel()),
			}},
		}},
	}
	if in.Dataset != nil && in.Dataset.Spec.NodeAffinity != nil {
		affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = in.Dataset.Spec.NodeAffinity.Required.DeepCopy()
	}
}

// antiAffinityTerm excludes nodes with pods that have the labels.
func antiAffinityTerm(labels map[string]string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{
		TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
	}
}

func labelled(label string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: label, Operator: corev1.NodeSelectorOpIn, Values: []string{"true"}}
}
