//go:build full

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// rounds bounds the number of deletions of all masters until they have returned in
// every order.
const rounds = 12

// TestAllMastersDeleted deletes all masters at the same time, repeatedly. A pod keeps reading
// cached and uncached data; the masters return as the same cluster with new
// addresses.
func TestAllMastersDeleted(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "all-masters")
	w := c.watchSeed(t, namespace)
	before := c.runtimeReady(t, namespace, "hadoop").Status.Formation.ClusterID

	orders := map[string]int{}
	moved := false
	for round := 0; len(orders) < 6 && round < rounds; round++ {
		old := c.readyPods(t, namespace, "hadoop-jindofs-master-", 3)
		c.kubectl(t, "delete", "pod", "-n", namespace, old[0].Name, old[1].Name, old[2].Name, "--grace-period=0", "--force")
		orders[c.orderOfReturn(t, namespace, old)]++
		for i, pod := range c.readyPods(t, namespace, "hadoop-jindofs-master-", 3) {
			moved = moved || pod.Status.PodIP != old[i].Status.PodIP
		}
		w.readOn(t, 100)
	}
	t.Logf("they came back in these orders: %v", orders)
	if !moved {
		t.Error("no master was restarted with another address: the test proves nothing")
	}
	if after := c.runtimeReady(t, namespace, "hadoop").Status.Formation.ClusterID; after != before {
		t.Errorf("the cluster was %s and is %s", before, after)
	}
	c.checkRaft(t, namespace)
	w.unharmed(t)
	c.job(t, namespace, "after", "hbase", "/hadoop")
}

// orderOfReturn waits until every pod was replaced by a ready one, and returns the
// order in which they became ready.
func (c *cluster) orderOfReturn(t *testing.T, namespace string, old []corev1.Pod) string {
	t.Helper()
	var order []string
	eventually(t, "all masters are back", func(ctx context.Context) error {
		pods, err := c.pods(ctx, namespace, "hadoop-jindofs-master-")
		if err != nil {
			return err
		}
		for i := range pods {
			ordinal := pods[i].Name[len(pods[i].Name)-1:]
			replaced := !slices.ContainsFunc(old, func(o corev1.Pod) bool { return o.UID == pods[i].UID })
			if replaced && ready(&pods[i]) == nil && !slices.Contains(order, ordinal) {
				order = append(order, ordinal)
			}
		}
		if len(order) < 3 {
			return fmt.Errorf("back are %v", order)
		}
		return nil
	})
	return strings.Join(order, "")
}

// TestMasterDiskLost kills a master and wipes its disk: the other two continue, and it
// returns as a new member.
func TestMasterDiskLost(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "disk-lost")
	w := c.watchSeed(t, namespace)
	pods := c.readyPods(t, namespace, "hadoop-jindofs-master-", 3)
	c.loseMasters(t, namespace, pods[2])
	c.readyPods(t, namespace, "hadoop-jindofs-master-", 3)
	c.checkRaft(t, namespace)
	w.readOn(t, 200)
	w.unharmed(t)
}
