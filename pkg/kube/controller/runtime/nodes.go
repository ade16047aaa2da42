package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/plan"
)

// nodeLabels records what a runtime has on nodes: its directories, for the deletion, and
// the label of the nodes of its workers.
//
// Input: the desired state, the pods and the nodes. Output: status.cacheDirectories, and
// the labels.
type nodeLabels struct {
	client client.Client
}

func (l nodeLabels) reconcile(ctx context.Context, r *report, want *desired, w *workloads, p *placement, refused refusal) error {
	l.recordDirectories(r, want, w, p, refused)
	return l.label(ctx, want, w, p)
}

// recordDirectories records the runtime's directories on nodes in the status, for
// its deletion. Recorded directories are never removed from the status. Directories
// that the runtime may not use are not recorded: nothing was created there.
func (nodeLabels) recordDirectories(r *report, want *desired, w *workloads, p *placement, refused refusal) {
	byNode := map[string][]string{}
	record := func(node string, paths ...string) {
		for _, path := range paths {
			if node != "" && path != "" && !slices.Contains(byNode[node], path) {
				byNode[node] = append(byNode[node], path)
			}
		}
	}
	for _, recorded := range r.status.CacheDirectories {
		record(recorded.Node, recorded.Paths...)
	}
	if refused.hostPathProblem == "" {
		for _, pod := range w.pods[plan.RoleWorker] {
			record(pod.Spec.NodeName, render.CachePaths(want.plan)...)
		}
	}
	master := render.MasterPath(want.runtime, want.plan)
	for _, host := range p.masters {
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
	r.status.CacheDirectories = all
}

// label sets the cache label of the nodes of workers. It removes a label only if
// every worker runs on another node: FUSE servers run on labelled nodes, and the
// restart of a worker must not stop them.
func (l nodeLabels) label(ctx context.Context, want *desired, w *workloads, p *placement) error {
	if want.plan.Workers == nil {
		return nil
	}
	label := want.scope.CacheNodeLabel()
	on := map[string]bool{}
	placed := 0
	for _, pod := range w.pods[plan.RoleWorker] {
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
			if err := l.patch(ctx, node, label, new("true")); err != nil {
				return err
			}
		case !on[node.Name] && hasLabel && placed >= int(want.plan.Workers.Replicas):
			if err := l.patch(ctx, node, label, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l nodeLabels) patch(ctx context.Context, node *corev1.Node, label string, value *string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{label: value}}})
	if err != nil {
		return fmt.Errorf("encode label: %w", err)
	}
	err = l.client.Patch(ctx, node.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.FieldOwner(names.FieldManager))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("label node %s with %s: %w", node.Name, label, err)
	}
	return nil
}
