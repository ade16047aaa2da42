package teardown

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// rootsOnNodes returns, by node, the directories below which the runtime's own
// directory is at NAMESPACE/NAME: those in its status and, in case the status was
// lost, those of its spec on the nodes with the workers' label.
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

// runtimePath returns the path of the runtime's directory below each root.
func (t *teardown) runtimePath() string { return path.Join(t.runtime.Namespace, t.runtime.Name) }

// root returns ROOT for a directory at or below ROOT/NAMESPACE/NAME, and "" for any
// other path.
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

// tierRoots returns the paths on nodes of a spec's tiers.
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
			continue // the spec was rejected, so nothing was created there
		}
		for _, tier := range tiers {
			if tier.Path != "/" {
				roots = append(roots, tier.Path)
			}
		}
	}
	return roots
}
