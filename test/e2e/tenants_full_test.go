//go:build full

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/scopes"
)

// pair is a Dataset and a runtime of the same name.
type pair struct{ namespace, name, mount string }

// TestTenantsOfOneName serves two pairs whose NAMESPACE-NAME is the same, each under a
// reader. One of them is deleted, created again and the other deleted.
func TestTenantsOfOneName(t *testing.T) {
	t.Parallel()
	c := connect(t)
	c.bucket(t)
	one := pair{c.namespace(t, "tenant"), "b-hbase", "/hadoop"}
	two := pair{c.namespace(t, "tenant-b"), "hbase", "/other"}
	for _, p := range []pair{one, two} {
		c.createPair(t, p)
	}
	first, second := c.watchPair(t, one), c.watchPair(t, two)
	c.checkSideBySide(t, one, two)

	kept := c.scopeOf(t, two)
	c.removePair(t, one, first)
	second.readOn(t, 300)
	second.unharmed(t)
	if c.scopeOf(t, two) != kept || c.nodesWith(t, kept.FuseNodeLabel()) == 0 {
		t.Errorf("no node has the label %s of the remaining runtime", kept.FuseNodeLabel())
	}

	// Until then a FUSE server of the new runtime takes over the mount of the old one.
	c.mountsLeft(t, one)
	c.createPair(t, one)
	first = c.watchPair(t, one)
	c.checkSideBySide(t, one, two)
	c.removePair(t, two, second)
	first.readOn(t, 300)
	first.unharmed(t)
	c.removePair(t, one, first)
	c.nothingLeft(t, one.namespace)
	c.nothingLeft(t, two.namespace)
}

// mountsLeft waits until no node has a mount of a runtime.
func (c *cluster) mountsLeft(t *testing.T, p pair) {
	t.Helper()
	nodes := &corev1.NodeList{}
	if err := c.List(t.Context(), nodes); err != nil {
		t.Fatal(err)
	}
	directory := p.namespace + "_" + p.name
	eventually(t, "the mounts of "+directory+" are removed", func(ctx context.Context) error {
		for i := range nodes.Items {
			out, err := c.onNode(ctx, nodes.Items[i].Name, "ls -d /host/var/lib/kubelet/plugins/fuse.csi.fluid.io/"+directory+" 2>/dev/null; true")
			if err != nil {
				return err
			}
			if out = strings.TrimSpace(out); out != "" {
				return fmt.Errorf("node %s has %s", nodes.Items[i].Name, out)
			}
		}
		return nil
	})
}

func (c *cluster) createPair(t *testing.T, p pair) {
	t.Helper()
	manifest := strings.NewReplacer("name: hbase", "name: "+p.name, "name: hadoop", "name: "+p.mount[1:])
	c.create(t, p.namespace, manifest.Replace(c.seedDataset()))
	c.create(t, p.namespace, manifest.Replace(small))
}

// watchPair waits until a pair is bound, and starts a reader.
func (c *cluster) watchPair(t *testing.T, p pair) *watcher {
	t.Helper()
	c.datasetPhase(t, p.namespace, p.name, v1alpha1.BoundDatasetPhase)
	return c.watch(t, p.namespace, "reader", p.name, p.mount, "")
}

func (c *cluster) scopeOf(t *testing.T, p pair) names.Scope {
	t.Helper()
	r := &v1alpha1.JindoRuntime{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: p.namespace, Name: p.name}, r); err != nil {
		t.Fatal(err)
	}
	return scopes.Of(r)
}

// checkSideBySide checks that two pairs share neither volumes nor labels of nodes.
func (c *cluster) checkSideBySide(t *testing.T, one, two pair) {
	t.Helper()
	if a, b := c.scopeOf(t, one), c.scopeOf(t, two); a.Overlaps(b) {
		t.Errorf("both runtimes have the scope %s", a.Name)
	}
	volumes := map[string]string{}
	for _, p := range []pair{one, two} {
		claim := &corev1.PersistentVolumeClaim{}
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: p.namespace, Name: p.name}, claim); err != nil {
			t.Fatal(err)
		}
		if other, found := volumes[claim.Spec.VolumeName]; found {
			t.Errorf("the claims of %s and %s have the volume %s", other, p.namespace, claim.Spec.VolumeName)
		}
		volumes[claim.Spec.VolumeName] = p.namespace
		if label := c.scopeOf(t, p).FuseNodeLabel(); c.nodesWith(t, label) == 0 {
			t.Errorf("no node has the label %s", label)
		}
	}
}

func (c *cluster) nodesWith(t *testing.T, label string) int {
	t.Helper()
	nodes := &corev1.NodeList{}
	if err := c.List(t.Context(), nodes, client.HasLabels{label}); err != nil {
		t.Fatal(err)
	}
	return len(nodes.Items)
}

// removePair deletes a reader, which must be unharmed, and its pair.
func (c *cluster) removePair(t *testing.T, p pair, w *watcher) {
	t.Helper()
	w.unharmed(t)
	meta := metav1.ObjectMeta{Namespace: p.namespace, Name: p.name}
	c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: w.name}})
	c.remove(t, &v1alpha1.Dataset{ObjectMeta: meta})
	c.remove(t, &v1alpha1.JindoRuntime{ObjectMeta: meta})
	eventually(t, fmt.Sprintf("the objects of %s are deleted", p.namespace), func(ctx context.Context) error {
		return c.objectsLeft(ctx, p.namespace)
	})
}
