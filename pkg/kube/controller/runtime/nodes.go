package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/plan"
)

func (p *pass) listNodes(ctx context.Context) error {
	if p.nodes != nil {
		return nil
	}
	list := &corev1.NodeList{}
	if err := p.r.Client.List(ctx, list); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	p.nodes = list.Items
	slices.SortFunc(p.nodes, func(a, b corev1.Node) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// placeMasters selects a node for the volume of each master if the volumes are
// directories of nodes, at most one per node. A selected node does not change.
func (p *pass) placeMasters(ctx context.Context) error {
	if render.MasterPath(p.want, p.plan) == "" {
		return nil
	}
	if err := p.listNodes(ctx); err != nil {
		return err
	}
	p.masterNodes = make([]string, p.plan.Masters.Replicas)
	for i := range p.masterNodes {
		volume := &corev1.PersistentVolume{}
		name := names.MasterVolume(p.plan.Namespace, p.plan.Name, i)
		err := p.r.Client.Get(ctx, client.ObjectKey{Name: name}, volume)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("get PersistentVolume %s: %w", name, err)
		}
		if err == nil && volume.Labels[names.LabelRuntimeUID] != string(p.runtime.UID) {
			// It is still being removed and must not be reused.
			p.placementProblems = append(p.placementProblems, fmt.Sprintf("PersistentVolume %s of an earlier runtime still exists", name))
			continue
		}
		if err == nil {
			p.masterNodes[i] = hostnameOf(volume)
			err = p.releaseVolume(ctx, volume)
		}
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	p.chooseNodes()
	return nil
}

// releaseVolume makes a volume whose claim was deleted available to the next claim
// of the same name. The directory with the master's identity still exists.
func (p *pass) releaseVolume(ctx context.Context, volume *corev1.PersistentVolume) error {
	if volume.Status.Phase != corev1.VolumeReleased || !volume.DeletionTimestamp.IsZero() {
		return nil
	}
	patch := []byte(`{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}`)
	if err := p.r.Client.Patch(ctx, volume.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.FieldOwner(names.FieldManager)); err != nil {
		return fmt.Errorf("reset claimRef of PersistentVolume %s: %w", volume.Name, err)
	}
	return nil
}

func hostnameOf(volume *corev1.PersistentVolume) string {
	affinity := volume.Spec.NodeAffinity
	if affinity == nil || affinity.Required == nil {
		return ""
	}
	for _, term := range affinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname && len(e.Values) == 1 {
				return e.Values[0]
			}
		}
	}
	return ""
}

// chooseNodes selects nodes for masters without one, and records placement problems.
func (p *pass) chooseNodes() {
	free := p.candidates()
	missing := 0
	for i, host := range p.masterNodes {
		switch {
		case host == "" && len(free) > 0:
			p.masterNodes[i], free = free[0], free[1:]
		case host == "":
			missing++
		case !p.hasHost(host):
			p.placementProblems = append(p.placementProblems, fmt.Sprintf(
				"node %s with the volume of %s not found: delete PersistentVolumeClaim %s and the pod, then PersistentVolume %s, and the master starts on another node and replicates from the others",
				host, p.plan.Masters.InstanceName(i), names.MasterClaim(p.plan.Name, i), names.MasterVolume(p.plan.Namespace, p.plan.Name, i)))
		}
	}
	if missing > 0 {
		p.placementProblems = append(p.placementProblems, fmt.Sprintf(
			"%d of %d masters have no node for their volume: each needs its own ready, schedulable node that matches spec.master.nodeSelector; add nodes, or set spec.master.storageClassName",
			missing, len(p.masterNodes)))
	}
}

func (p *pass) hasHost(host string) bool {
	return slices.ContainsFunc(p.nodes, func(n corev1.Node) bool { return n.Labels[corev1.LabelHostname] == host })
}

// candidates returns the hostnames of nodes that can run a master. The order depends
// on the runtime's name, so that runtimes use different nodes.
func (p *pass) candidates() []string {
	tolerations := slices.Clone(p.want.Spec.Master.Tolerations)
	if p.dataset != nil {
		tolerations = append(tolerations, p.dataset.Spec.Tolerations...)
	}
	var hosts []string
	for i := range p.nodes {
		host := p.nodes[i].Labels[corev1.LabelHostname]
		if host != "" && !slices.Contains(p.masterNodes, host) && acceptsPods(&p.nodes[i], p.want.Spec.Master.NodeSelector, tolerations) {
			hosts = append(hosts, host)
		}
	}
	if len(hosts) == 0 {
		return nil
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(p.runtime.Namespace + "/" + p.runtime.Name))
	start := int(sum.Sum32() % uint32(len(hosts)))
	return slices.Concat(hosts[start:], hosts[:start])
}

// acceptsPods reports whether a node accepts pods with a selector and tolerations.
func acceptsPods(node *corev1.Node, selector map[string]string, tolerations []corev1.Toleration) bool {
	if ready, _ := health.NodeReady(node); !ready || node.Spec.Unschedulable || !node.DeletionTimestamp.IsZero() {
		return false
	}
	for key, value := range selector {
		if node.Labels[key] != value {
			return false
		}
	}
	for i := range node.Spec.Taints {
		if taint := &node.Spec.Taints[i]; taint.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(tolerations, taint) {
			return false
		}
	}
	return true
}

// tolerates reports whether one of the tolerations tolerates a taint.
func tolerates(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	return slices.ContainsFunc(tolerations, func(t corev1.Toleration) bool {
		return t.ToleratesTaint(logr.Discard(), taint, false)
	})
}

// recordDirectories records the runtime's directories on nodes in the status, for
// its deletion. Recorded directories are never removed from the status. Directories
// that the runtime may not use are not recorded: nothing was created there.
func (p *pass) recordDirectories() {
	byNode := map[string][]string{}
	record := func(node string, paths ...string) {
		for _, path := range paths {
			if node != "" && path != "" && !slices.Contains(byNode[node], path) {
				byNode[node] = append(byNode[node], path)
			}
		}
	}
	for _, recorded := range p.status.CacheDirectories {
		record(recorded.Node, recorded.Paths...)
	}
	if p.hostPathProblem == "" {
		for _, pod := range p.observed.pods[plan.RoleWorker] {
			record(pod.Spec.NodeName, render.CachePaths(p.plan)...)
		}
	}
	master := render.MasterPath(p.want, p.plan)
	for _, host := range p.masterNodes {
		for i := range p.nodes {
			if p.nodes[i].Labels[corev1.LabelHostname] == host {
				record(p.nodes[i].Name, master)
			}
		}
	}
	var all []v1alpha1.CacheDirectory
	for node, paths := range byNode {
		slices.Sort(paths)
		all = append(all, v1alpha1.CacheDirectory{Node: node, Paths: paths})
	}
	slices.SortFunc(all, func(a, b v1alpha1.CacheDirectory) int { return strings.Compare(a.Node, b.Node) })
	p.status.CacheDirectories = all
}

// labelNodes sets the cache label of the nodes of workers. It removes a label only if
// every worker runs on another node: FUSE servers run on labelled nodes, and the
// restart of a worker must not stop them.
func (p *pass) labelNodes(ctx context.Context) error {
	if p.plan.Workers == nil {
		return nil
	}
	if err := p.listNodes(ctx); err != nil {
		return err
	}
	label := names.CacheNodeLabel(p.plan.Namespace, p.plan.Name)
	on := map[string]bool{}
	placed := 0
	for _, pod := range p.observed.pods[plan.RoleWorker] {
		if pod.Spec.NodeName != "" {
			on[pod.Spec.NodeName] = true
			if pod.DeletionTimestamp.IsZero() {
				placed++
			}
		}
	}
	for i := range p.nodes {
		node := &p.nodes[i]
		_, hasLabel := node.Labels[label]
		switch {
		case on[node.Name] && node.Labels[label] != "true":
			if err := p.patchLabel(ctx, node, label, new("true")); err != nil {
				return err
			}
		case !on[node.Name] && hasLabel && placed >= int(p.plan.Workers.Replicas):
			if err := p.patchLabel(ctx, node, label, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pass) patchLabel(ctx context.Context, node *corev1.Node, label string, value *string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{label: value}}})
	if err != nil {
		return fmt.Errorf("encode label: %w", err)
	}
	err = p.r.Client.Patch(ctx, node.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.FieldOwner(names.FieldManager))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("label node %s with %s: %w", node.Name, label, err)
	}
	return nil
}
