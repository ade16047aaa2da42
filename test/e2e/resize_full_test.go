//go:build full

package e2e

import (
	"fmt"
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestNumberOfMasters edits the number of masters, 3 → 1 → 3, while a pod verifies every
// byte. The controllers are killed in the middle of the first change. No read fails, and
// no pod is replaced besides those of the masters that leave.
func TestNumberOfMasters(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "resize")
	w := c.watchSeed(t, namespace)
	before := c.runtimeReady(t, namespace, "hadoop").Status.Formation.ClusterID
	pods := c.dataPods(t, namespace)

	c.setMasters(t, namespace, 1)
	c.runtimeIs(t, namespace, "the change has begun", func(s *v1alpha1.RuntimeStatus) bool { return s.Transition != nil })
	c.kubectl(t, "delete", "pod", "-n", names.SystemNamespace, "-l", "app=jindoruntime-controller", "--grace-period=0", "--force")
	c.mastersAre(t, namespace, 1)
	w.readOn(t, 200)

	c.setMasters(t, namespace, 3)
	c.mastersAre(t, namespace, 3)
	w.readOn(t, 200)
	c.checkRaft(t, namespace)
	if after := c.runtimeReady(t, namespace, "hadoop").Status.Formation.ClusterID; after != before {
		t.Errorf("the cluster was %s and is %s", before, after)
	}
	kept := 0
	for uid := range c.dataPods(t, namespace) {
		if _, existed := pods[uid]; existed {
			kept++
		}
	}
	if kept != len(pods)-2 {
		t.Errorf("%d of %d pods remain", kept, len(pods))
	}
	w.unharmed(t)
}

func (c *cluster) setMasters(t *testing.T, namespace string, n int) {
	t.Helper()
	c.kubectl(t, "patch", "jindoruntime", "hadoop", "-n", namespace, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"master":{"replicas":%d}}}`, n))
}

// mastersAre waits until a change of the number of masters is complete.
func (c *cluster) mastersAre(t *testing.T, namespace string, n int) {
	t.Helper()
	c.runtimeIs(t, namespace, fmt.Sprintf("there are %d masters", n), func(s *v1alpha1.RuntimeStatus) bool {
		voters := 0
		for _, m := range s.Raft.Members {
			if m.Voter {
				voters++
			}
		}
		return s.Transition == nil && s.Effective.ListedMasters == 0 && int(*s.Effective.Runtime.Master.Replicas) == n && voters == n
	})
	c.readyPods(t, namespace, "hadoop-jindofs-master-", n)
}
