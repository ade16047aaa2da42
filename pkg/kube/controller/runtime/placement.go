package runtime

import (
	"context"
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
)

// placements selects a node for the volume of each master if the volumes are
// directories of nodes, at most one per node, in different zones as far as there are
// nodes. A selected node does not change.
//
// Input: the desired state, and whether its directories are refused. Output: the
// placement; volumes whose claims were deleted become available again.
type placements struct {
	client client.Client
	live   client.Reader
}

// placement is the nodes of masters' volumes.
type placement struct {
	nodes []corev1.Node
	// masters are the hostnames of the nodes of masters' volumes by ordinal; empty
	// for a master without a node, nil if the volumes are not directories of nodes.
	masters []string
	// foreign holds the ordinals of masters whose volume has the name of one that does
	// not belong to this runtime. They get no node, so that it is not replaced.
	foreign map[int]bool
	// problems are messages about masters without a node.
	problems []string
}

func (c placements) reconcile(ctx context.Context, want *desired, refused refusal) (*placement, error) {
	list := &corev1.NodeList{}
	if err := c.client.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Node) int { return strings.Compare(a.Name, b.Name) })
	p := &placement{nodes: list.Items}
	if refused.any() || render.MasterPath(want.runtime, want.plan) == "" {
		return p, nil
	}
	p.masters, p.foreign = make([]string, want.plan.Masters.Replicas), map[int]bool{}
	for i := range p.masters {
		volume := &corev1.PersistentVolume{}
		name := want.scope.MasterVolume(i)
		err := c.client.Get(ctx, client.ObjectKey{Name: name}, volume)
		if apierrors.IsNotFound(err) {
			// The cache has volumes of runtimes only, and not those of a moment ago.
			err = c.live.Get(ctx, client.ObjectKey{Name: name}, volume)
		}
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("get PersistentVolume %s: %w", name, err)
		}
		if err == nil && volume.Labels[names.LabelRuntimeUID] != string(want.runtime.UID) {
			// It is still being removed, or another runtime's: it must not be reused.
			p.problems = append(p.problems, foreignVolume(volume, want.runtime))
			p.foreign[i] = true
			continue
		}
		if err == nil {
			p.masters[i] = hostnameOf(volume)
			err = c.releaseVolume(ctx, volume)
		}
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
	}
	p.chooseNodes(want)
	return p, nil
}

// foreignVolume describes a volume with the name of a master's that does not belong to
// the runtime.
func foreignVolume(volume *corev1.PersistentVolume, runtime *v1alpha1.JindoRuntime) string {
	if volume.Labels[names.LabelRuntimeNamespace] == runtime.Namespace && volume.Labels[names.LabelRuntimeName] == runtime.Name {
		return fmt.Sprintf("PersistentVolume %s of an earlier runtime still exists", volume.Name)
	}
	// A runtime selects names that are free; this one was created afterwards. Its
	// namespace, if it has one, is not for the users of this one to see.
	return fmt.Sprintf("PersistentVolume %s exists and does not belong to this runtime: if it is not one of another runtime, delete it; otherwise give this runtime another name", volume.Name)
}

// releaseVolume makes a volume whose claim was deleted available to the next claim
// of the same name. The directory with the master's identity still exists.
func (c placements) releaseVolume(ctx context.Context, volume *corev1.PersistentVolume) error {
	if volume.Status.Phase != corev1.VolumeReleased || !volume.DeletionTimestamp.IsZero() {
		return nil
	}
	patch := []byte(`{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}`)
	if err := c.client.Patch(ctx, volume.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.FieldOwner(names.FieldManager)); err != nil {
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
func (p *placement) chooseNodes(want *desired) {
	free := p.candidates(want)
	missing := 0
	for i, host := range p.masters {
		switch {
		case p.foreign[i]: // reported already
		case host == "" && len(free) > 0:
			at := p.leastUsedZone(free)
			p.masters[i] = free[at]
			free = slices.Delete(free, at, at+1)
		case host == "":
			missing++
		case !p.hasHost(host):
			p.problems = append(p.problems, fmt.Sprintf(
				"node %s with the volume of %s not found: delete PersistentVolumeClaim %s and the pod, then PersistentVolume %s, and the master starts on another node and replicates from the others",
				host, want.plan.Masters.InstanceName(i), names.MasterClaim(want.plan.Name, i), want.scope.MasterVolume(i)))
		}
	}
	if missing > 0 {
		p.problems = append(p.problems, fmt.Sprintf(
			"%d of %d masters have no node for their volume: each needs its own ready, schedulable node that matches spec.master.nodeSelector; add nodes, or set spec.master.storageClassName",
			missing, len(p.masters)))
	}
}

// leastUsedZone returns the index of the first node in a zone with the fewest masters.
func (p *placement) leastUsedZone(hosts []string) int {
	used := map[string]int{}
	for _, host := range p.masters {
		if host != "" {
			used[p.zone(host)]++
		}
	}
	best := 0
	for i, host := range hosts {
		if used[p.zone(host)] < used[p.zone(hosts[best])] {
			best = i
		}
	}
	return best
}

// zone returns the zone of a node; empty if it is not known.
func (p *placement) zone(host string) string {
	at := p.nodeAt(host)
	if at < 0 {
		return ""
	}
	return p.nodes[at].Labels[corev1.LabelTopologyZone]
}

func (p *placement) hasHost(host string) bool { return p.nodeAt(host) >= 0 }

func (p *placement) nodeAt(host string) int {
	return slices.IndexFunc(p.nodes, func(n corev1.Node) bool { return n.Labels[corev1.LabelHostname] == host })
}

// candidates returns the hostnames of nodes that can run a master. The order depends
// on the runtime's name, so that runtimes use different nodes.
func (p *placement) candidates(want *desired) []string {
	masters := want.runtime.Spec.Master
	tolerations := slices.Clone(masters.Tolerations)
	if want.dataset != nil {
		tolerations = append(tolerations, want.dataset.Spec.Tolerations...)
	}
	var hosts []string
	for i := range p.nodes {
		host := p.nodes[i].Labels[corev1.LabelHostname]
		if host != "" && !slices.Contains(p.masters, host) && acceptsPods(&p.nodes[i], masters.NodeSelector, tolerations) {
			hosts = append(hosts, host)
		}
	}
	if len(hosts) == 0 {
		return nil
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(want.plan.Namespace + "/" + want.plan.Name))
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
