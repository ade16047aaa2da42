//go:build full

package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// TestDeletionOrders deletes the objects in every order; nothing may be left.
func TestDeletionOrders(t *testing.T) {
	for name, remove := range map[string]func(t *testing.T, c *cluster, namespace string){
		"runtime first": func(t *testing.T, c *cluster, namespace string) {
			c.kubectl(t, "delete", "jindoruntime", "hbase", "-n", namespace, "--wait=false")
			c.waitDeleted(t, &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hbase"}})
			c.datasetPhase(t, namespace, "hbase", v1alpha1.NotBoundDatasetPhase)
			c.kubectl(t, "delete", "dataset", "hbase", "-n", namespace, "--wait=false")
		},
		"while mounted": func(t *testing.T, c *cluster, namespace string) {
			w := c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
			c.kubectl(t, "delete", "jindoruntime/hbase", "dataset/hbase", "-n", namespace, "--wait=false")
			w.readOn(t, 500)
			w.unharmed(t)
			c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}})
		},
		"server killed under its pod": func(t *testing.T, c *cluster, namespace string) {
			c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
			pods := c.readyPods(t, namespace, "reader", 1)
			fuse := c.onNodeOf(t, namespace, "hbase-jindofs-fuse-", pods[0].Spec.NodeName)
			c.killContainer(t, fuse, "jindofs-fuse")
			c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}})
			c.kubectl(t, "delete", "jindoruntime/hbase", "dataset/hbase", "-n", namespace, "--wait=false")
		},
		"namespace": func(t *testing.T, c *cluster, namespace string) {
			c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
			c.kubectl(t, "delete", "namespace", namespace, "--wait=false")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connect(t)
			namespace := c.namespace(t, "delete-"+strings.ReplaceAll(name, " ", "-"))
			c.bucket(t)
			c.create(t, namespace, c.seedDataset())
			c.create(t, namespace, small)
			c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
			remove(t, c, namespace)
			c.waitDeleted(t, &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hbase"}})
			c.waitDeleted(t, &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hbase"}})
			c.nothingLeft(t, namespace)
		})
	}
}
