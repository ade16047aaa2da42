//go:build full

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/manifests/samples"
	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// partition is the duration of a network partition.
const partition = time.Minute

// cut disconnects a node, or the API server, of make cluster-up from the network.
func cut(t *testing.T, name string) {
	t.Helper()
	tool(t, "cut", name)
	defer tool(t, "return", name)
	time.Sleep(partition)
}

// TestNodeCut disconnects nodes without readers for a minute each, the leader's
// first: no read on other nodes fails, and the runtime recovers.
func TestNodeCut(t *testing.T) {
	c := connect(t)
	namespace := c.namespace(t, "node-cut")
	c.bucket(t)
	c.create(t, namespace, c.seedDataset())
	c.create(t, namespace, samples.Runtime)
	c.runtimeReady(t, namespace, "hadoop")
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	leader := c.checkRaft(t, namespace)
	masters := c.readyPods(t, namespace, "hadoop-jindofs-master-", 3)
	victim, reading := "", ""
	for _, pod := range masters {
		if pod.Name == leader {
			victim = pod.Spec.NodeName
		} else {
			reading = pod.Spec.NodeName
		}
	}
	w := c.watch(t, namespace, "reader", "hbase", "/hadoop", reading)
	t.Logf("cutting %s, where %s leads", victim, leader)
	cut(t, victim)
	w.readOn(t, 200)
	eventually(t, "the node is ready", func(ctx context.Context) error {
		node := &corev1.Node{}
		if err := c.Get(ctx, client.ObjectKey{Name: victim}, node); err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %v", node.Status.Conditions)
	})
	c.readyPods(t, namespace, "hadoop-jindofs-master-", 3)
	c.runtimeReady(t, namespace, "hadoop")
	c.checkRaft(t, namespace)
	w.readOn(t, 200)
	w.unharmed(t)
}

// TestAPIServerUnreachable disconnects the API server for a minute: readers and masters
// continue without it.
func TestAPIServerUnreachable(t *testing.T) {
	c := connect(t)
	namespace := c.namespace(t, "api-cut")
	c.bucket(t)
	c.create(t, namespace, c.seedDataset())
	c.create(t, namespace, small)
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	w := c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
	before := c.restarts(t)
	cut(t, "apiserver")
	w.readOn(t, 200)
	w.unharmed(t)
	c.checkSystem(t)
	c.runtimeReady(t, namespace, "hbase")
	c.job(t, namespace, "after", "hbase", "/hadoop")
	if after := c.restarts(t); after != before {
		t.Logf("containers of the system were restarted %d times", after-before)
	}
}
