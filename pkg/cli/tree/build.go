package tree

import (
	"cmp"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// BuildTree returns the tree of a Dataset from the listed objects.
func BuildTree(in *inventory.Inventory, dataset *v1alpha1.Dataset) *Report {
	root := datasetNode(dataset)
	runtime := in.RuntimeFor(dataset)
	if runtime != nil {
		root.Children = append(root.Children, runtimeNode(in, runtime))
	}
	root.Children = append(root.Children, claimNodes(in, dataset)...)
	r := &Report{
		TypeMeta:   metav1.TypeMeta{APIVersion: report.APIVersion, Kind: Kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: dataset.Namespace, Name: dataset.Name},
		Root:       root, Failures: in.Failures,
	}
	if r.Failures == nil {
		r.Failures = []string{}
	}
	return r
}

// node returns the node of an object, which is Ready unless it is being deleted.
func node(kind string, object metav1.Object) Node {
	created := object.GetCreationTimestamp()
	n := Node{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName(), Health: health.Ready, Created: &created}
	if object.GetDeletionTimestamp() != nil {
		n.Health, n.State, n.Reason = health.Pending, "Terminating", "it is being deleted"
	}
	return n
}

// set sets the level, state and reason of a node that is not being deleted.
func (n *Node) set(level health.Level, state, reason string) {
	if n.State == "Terminating" {
		n.Reason = cmp.Or(reason, n.Reason)
		return
	}
	n.Health, n.State, n.Reason = level, state, reason
}

func datasetNode(d *v1alpha1.Dataset) Node {
	n := node(v1alpha1.DatasetKind, d)
	result := health.EvaluateDataset(d)
	n.set(result.Level, result.State, result.Message())
	return n
}

func runtimeNode(in *inventory.Inventory, r *v1alpha1.JindoRuntime) Node {
	n := node(v1alpha1.JindoRuntimeKind, r)
	result := health.EvaluateRuntime(r)
	reason := result.Message()
	if _, found := result.Worst(health.Waiting); !found {
		reason = "" // a ready runtime needs no explanation
	}
	n.set(result.Level, result.State, reason)
	n.Children = append(n.Children, workloads(in, r)...)
	n.Children = append(n.Children, configuration(in, r)...)
	return n
}

func workloads(in *inventory.Inventory, r *v1alpha1.JindoRuntime) []Node {
	var nodes []Node
	for i := range in.StatefulSets {
		if set := &in.StatefulSets[i]; owned(set, r) {
			n := node("StatefulSet", set)
			n.count(set.Status.ReadyReplicas, wanted(set))
			n.Children = append(podsOf(in, set), masterClaims(in, r, set)...)
			nodes = append(nodes, n)
		}
	}
	for i := range in.DaemonSets {
		if set := &in.DaemonSets[i]; owned(set, r) {
			n := node("DaemonSet", set)
			n.count(set.Status.NumberReady, set.Status.DesiredNumberScheduled)
			n.Children = podsOf(in, set)
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func wanted(set *appsv1.StatefulSet) int32 {
	if set.Spec.Replicas == nil {
		return 1
	}
	return *set.Spec.Replicas
}

func (n *Node) count(ready, wanted int32) {
	n.set(health.CountLevel(ready, wanted), fmt.Sprintf("%d/%d", ready, wanted), "")
}

func podsOf(in *inventory.Inventory, owner metav1.Object) []Node {
	var nodes []Node
	for i := range in.Pods {
		if pod := &in.Pods[i]; metav1.IsControlledBy(pod, owner) {
			nodes = append(nodes, podNode(pod))
		}
	}
	return nodes
}

func podNode(pod *corev1.Pod) Node {
	n := node("Pod", pod)
	n.Node = pod.Spec.NodeName
	level := health.PodLevel(pod)
	reason := ""
	if level == health.Failed {
		reason = health.PodReason(pod)
	}
	n.set(level, health.PodState(pod), reason)
	return n
}

// masterClaims returns the claims that a StatefulSet created for its pods.
func masterClaims(in *inventory.Inventory, r *v1alpha1.JindoRuntime, set *appsv1.StatefulSet) []Node {
	var nodes []Node
	for _, template := range set.Spec.VolumeClaimTemplates {
		prefix := template.Name + "-" + set.Name + "-"
		for i := range in.Claims {
			pvc := &in.Claims[i]
			if pvc.Namespace == r.Namespace && strings.HasPrefix(pvc.Name, prefix) {
				nodes = append(nodes, claimNode(in, pvc))
			}
		}
	}
	return nodes
}

func claimNode(in *inventory.Inventory, pvc *corev1.PersistentVolumeClaim) Node {
	n := node("PersistentVolumeClaim", pvc)
	level, reason := health.ClaimLevel(pvc), ""
	if level != health.Ready {
		reason = "no volume is bound to it"
	}
	n.set(level, string(pvc.Status.Phase), reason)
	for i := range in.Volumes {
		pv := &in.Volumes[i]
		if ref := pv.Spec.ClaimRef; ref != nil && ref.Namespace == pvc.Namespace && ref.Name == pvc.Name {
			v := node("PersistentVolume", pv)
			v.set(health.VolumeLevel(pv), string(pv.Status.Phase), pv.Status.Message)
			n.Children = append(n.Children, v)
		}
	}
	return n
}

// configuration returns the objects that have no state.
func configuration(in *inventory.Inventory, r *v1alpha1.JindoRuntime) []Node {
	var nodes []Node
	for i := range in.Services {
		if owned(&in.Services[i], r) {
			nodes = append(nodes, node("Service", &in.Services[i]))
		}
	}
	for i := range in.Budgets {
		if owned(&in.Budgets[i], r) {
			nodes = append(nodes, node("PodDisruptionBudget", &in.Budgets[i]))
		}
	}
	for i := range in.ConfigMaps {
		if owned(&in.ConfigMaps[i], r) {
			nodes = append(nodes, node("ConfigMap", &in.ConfigMaps[i]))
		}
	}
	for i := range in.Secrets {
		if owned(&in.Secrets[i], r) {
			nodes = append(nodes, node("Secret", &in.Secrets[i]))
		}
	}
	return nodes
}

// owned reports whether an object belongs to a runtime by its owner reference or
// by its labels.
func owned(object metav1.Object, r *v1alpha1.JindoRuntime) bool {
	if object.GetNamespace() != r.Namespace {
		return false
	}
	labels := object.GetLabels()
	return metav1.IsControlledBy(object, r) || labels[names.LabelManagedBy] == names.ManagedBy && labels[names.LabelRelease] == r.Name
}

// claimNodes returns the Dataset's claim with its volume and the pods that mount it.
func claimNodes(in *inventory.Inventory, d *v1alpha1.Dataset) []Node {
	var consumers []Node
	for _, use := range in.UsesOf(d) {
		n := podNode(use.Pod)
		if n.Reason == "" {
			n.Reason = fmt.Sprintf("mounts it at %s through %s", strings.Join(use.Paths, ", "), map[string]string{
				inventory.ViaSidecar: "its sidecar", inventory.ViaCSI: "the node's FUSE server",
			}[use.Via])
		}
		consumers = append(consumers, n)
	}
	for i := range in.Claims {
		if pvc := &in.Claims[i]; pvc.Namespace == d.Namespace && pvc.Name == d.Name {
			n := claimNode(in, pvc)
			if !inventory.IsDatasetClaim(pvc) {
				n.Reason = "it was not created for this Dataset"
			}
			n.Children = append(n.Children, consumers...)
			return []Node{n}
		}
	}
	return consumers
}
