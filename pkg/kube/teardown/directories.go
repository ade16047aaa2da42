package teardown

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// rootsOnNodes are, by node, the directories below which the runtime has its
// own at NAMESPACE/NAME: those that its status says, and those of its spec on
// the nodes that its workers' label is on, should the status have been lost.
func (t *teardown) rootsOnNodes(ctx context.Context) (map[string][]string, error) {
	roots := map[string][]string{}
	for _, d := range t.runtime.Status.CacheDirectories {
		for _, p := range d.Paths {
			if root := t.root(p); root != "" {
				roots[d.Node] = append(roots[d.Node], root)
			}
		}
	}
	cached, err := t.nodesWithLabel(ctx, names.CacheNodeLabel(t.runtime.Namespace, t.runtime.Name))
	if err != nil {
		return nil, err
	}
	for _, node := range cached {
		roots[node] = append(roots[node], tierRoots(t.runtime)...)
	}
	for node := range roots {
		slices.Sort(roots[node])
		if roots[node] = slices.Compact(roots[node]); len(roots[node]) == 0 {
			delete(roots, node)
		}
	}
	return roots, nil
}

// below is the runtime's place below each root.
func (t *teardown) runtimePath() string { return path.Join(t.runtime.Namespace, t.runtime.Name) }

// root of a directory of the runtime, at or below ROOT/NAMESPACE/NAME; empty
// for a path that is not one.
func (t *teardown) root(directory string) string {
	own := "/" + t.runtimePath()
	directory = path.Clean(directory)
	if root, found := strings.CutSuffix(directory, own); found {
		return path.Clean(root)
	}
	if at := strings.LastIndex(directory, own+"/"); at > 0 {
		return path.Clean(directory[:at])
	}
	return ""
}

// tierRoots are the paths on nodes that a spec names.
func tierRoots(runtime *v1alpha1.JindoRuntime) []string {
	runtime = runtime.DeepCopy()
	v1alpha1.SetDefaults(runtime)
	var roots []string
	for _, level := range runtime.Spec.TieredStore.Levels {
		if level.MediumType == v1alpha1.MediumMEM || level.VolumeType != v1alpha1.VolumeHostPath {
			continue
		}
		tiers, err := level.TierPaths()
		if err != nil {
			continue // it was refused, and nothing was made there
		}
		for _, tier := range tiers {
			if tier.Path != "/" {
				roots = append(roots, tier.Path)
			}
		}
	}
	return roots
}
