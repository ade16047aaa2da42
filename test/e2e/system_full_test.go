//go:build full

package e2e

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestSystemReplaced replaces the controllers, the webhook and the node plugins, as an
// upgrade does, while a pod reads through the node plugin and another through its
// sidecar: no pod that serves data is replaced. Then it deletes the pods of a node
// plugin and of a FUSE server in each order: only the server holds the mount's
// descriptors at times.
func TestSystemReplaced(t *testing.T) {
	c := connect(t)
	namespace := c.namespace(t, "system")
	c.bucket(t)
	c.create(t, namespace, c.seedDataset())
	c.create(t, namespace, small)
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	w := c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
	injected := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "injected", Labels: sidecarLabels()},
		Spec:       unprivileged(readerSpec("hbase", "/hadoop", "-watch")),
	}
	if err := c.Create(t.Context(), injected); err != nil {
		t.Fatal(err)
	}
	sidecar := &watcher{c, namespace, injected.Name}
	sidecar.readOn(t, 200)
	unharmed := func(t *testing.T) {
		t.Helper()
		for _, r := range []*watcher{w, sidecar} {
			r.readOn(t, 500)
			r.unharmed(t)
		}
	}
	serving := func() map[string]int32 {
		restarts := map[string]int32{}
		for _, prefix := range []string{"hbase-jindofs-", "injected"} {
			pods, err := c.pods(t.Context(), namespace, prefix)
			if err != nil {
				t.Fatal(err)
			}
			for _, pod := range pods {
				restarts[string(pod.UID)] = 0
				for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
					restarts[string(pod.UID)] += s.RestartCount
				}
			}
		}
		return restarts
	}

	before := serving()
	system := []string{"deployment/jindo-webhook", "deployment/dataset-controller", "deployment/jindoruntime-controller", "daemonset/csi-nodeplugin-fluid"}
	c.kubectl(t, append([]string{"rollout", "restart", "-n", names.SystemNamespace}, system...)...)
	for _, s := range system {
		c.kubectl(t, "rollout", "status", "-n", names.SystemNamespace, s, "--timeout=100s")
	}
	unharmed(t)
	if after := serving(); !maps.Equal(before, after) {
		t.Errorf("pods that serve data, with their restarts: before %v, after %v", before, after)
	}

	node := c.readyPods(t, namespace, "reader", 1)[0].Spec.NodeName
	fuse := func(t *testing.T) corev1.Pod { return c.onNodeOf(t, namespace, "hbase-jindofs-fuse-", node) }
	plugin := func(t *testing.T) corev1.Pod {
		return c.onNodeOf(t, names.SystemNamespace, "csi-nodeplugin-fluid-", node)
	}
	for name, order := range map[string][]func(t *testing.T) corev1.Pod{
		"the node plugin first": {plugin, fuse}, "the FUSE server first": {fuse, plugin},
	} {
		t.Run(name, func(t *testing.T) {
			pods := []corev1.Pod{order[0](t), order[1](t)}
			for i := range pods {
				if err := c.Delete(t.Context(), &pods[i]); err != nil {
					t.Fatal(err)
				}
			}
			for i := range pods {
				c.waitDeleted(t, &pods[i])
			}
			fuse(t)
			plugin(t)
			unharmed(t)
		})
	}
	c.job(t, namespace, "after", "hbase", "/hadoop")
	for _, name := range []string{"reader", "injected"} {
		c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	}
}
