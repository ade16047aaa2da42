package teardown

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/scopes"
)

// removeLabels removes the runtime's labels from nodes. Those of a runtime without a
// recorded scope remain if another runtime has the same.
func (t *teardown) removeLabels(ctx context.Context) (*Result, error) {
	scope := scopes.Of(t.runtime)
	used, err := t.usedByOthers(ctx, scope)
	if err != nil || used {
		return nil, err
	}
	for _, label := range []string{scope.CacheNodeLabel(), scope.FuseNodeLabel()} {
		nodes, err := t.nodesWithLabel(ctx, label)
		if err != nil {
			return nil, err
		}
		for _, node := range nodes {
			if err := t.removeNodeLabels(ctx, node, label); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// usedByOthers reports whether another runtime has the labels of a scope.
func (t *teardown) usedByOthers(ctx context.Context, scope names.Scope) (bool, error) {
	runtimes := &v1alpha1.JindoRuntimeList{}
	if err := t.Live.List(ctx, runtimes); err != nil {
		return false, fmt.Errorf("list JindoRuntimes: %w", err)
	}
	for i := range runtimes.Items {
		if other := &runtimes.Items[i]; other.UID != t.runtime.UID && scopes.Of(other).Overlaps(scope) {
			return true, nil
		}
	}
	return false, nil
}

// nodesWithLabel returns the names of the nodes with a label.
func (d Deps) nodesWithLabel(ctx context.Context, label string) ([]string, error) {
	nodes := &corev1.NodeList{}
	if err := d.Live.List(ctx, nodes, client.HasLabels{label}); err != nil {
		return nil, fmt.Errorf("list nodes with label %s: %w", label, err)
	}
	all := make([]string, 0, len(nodes.Items))
	for i := range nodes.Items {
		all = append(all, nodes.Items[i].Name)
	}
	return all, nil
}

// removeNodeLabels removes labels from a node with a patch of only these labels.
func (d Deps) removeNodeLabels(ctx context.Context, node string, labels ...string) error {
	removed := map[string]any{}
	for _, label := range labels {
		removed[label] = nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": removed}})
	if err != nil {
		return fmt.Errorf("remove labels of node %s: %w", node, err)
	}
	object := &corev1.Node{}
	object.Name = node
	err = d.Client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(names.FieldManager))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove labels of node %s: %w", node, err)
	}
	return nil
}
