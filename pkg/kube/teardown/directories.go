package teardown

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/scopes"
)

// rootsOnNodes returns, by node, the directories below which the runtime's own
// directory is at NAMESPACE/NAME: those in its status and those of its effective spec or,
// in case the status was lost, of its spec on the nodes with the workers' label. Directories that the
// installation does not allow are in left if they are in the status, and ignored
// otherwise: the controller created nothing there.
func (t *teardown) rootsOnNodes(ctx context.Context) (roots, left map[string][]string, err error) {
	roots, left = map[string][]string{}, map[string][]string{}
	for _, d := range t.runtime.Status.CacheDirectories {
		for _, p := range d.Paths {
			switch root := t.root(p); {
			case root == "":
			case t.HostPaths.Check(root) != nil:
				left[d.Node] = append(left[d.Node], root)
			default:
				roots[d.Node] = append(roots[d.Node], root)
			}
		}
	}
	cached, err := t.nodesWithLabel(ctx, scopes.Of(t.runtime).CacheNodeLabel())
	if err != nil {
		return nil, nil, err
	}
	refused := func(root string) bool { return t.HostPaths.Check(root) != nil }
	for _, node := range cached {
		roots[node] = append(roots[node], slices.DeleteFunc(tierRoots(t.runtime), refused)...)
	}
	for _, byNode := range []map[string][]string{roots, left} {
		for node := range byNode {
			slices.Sort(byNode[node])
			if byNode[node] = slices.Compact(byNode[node]); len(byNode[node]) == 0 {
				delete(byNode, node)
			}
		}
	}
	return roots, left, nil
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

// tierRoots returns the paths on nodes of the tiers of the effective spec, or of the spec
// if there is none.
func tierRoots(runtime *v1alpha1.JindoRuntime) []string {
	runtime = runtime.DeepCopy()
	if effective := runtime.Status.Effective; effective != nil {
		runtime.Spec = effective.Runtime
	}
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
