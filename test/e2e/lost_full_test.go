//go:build full

package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestMajorityLost loses two masters with their disks. The third continues by "raft
// recover", and the others join it with empty disks. A pod verifies every byte.
func TestMajorityLost(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "majority-lost")
	w := c.watchSeed(t, namespace)
	p := c.plugin(t, namespace)
	before := c.runtimeReady(t, namespace, "hadoop").Status.Formation.ClusterID
	pods := c.readyPods(t, namespace, "hadoop-jindofs-master-", 3)
	survivor := pods[1].Name

	p.fails(t, 1, "majority", "raft", "recover", "hadoop", "--master", survivor)
	c.loseMasters(t, namespace, pods[0], pods[2])
	w.readOn(t, 100)
	plan := p.settled(t, "raft", "recover", "hadoop", "--master", survivor)
	if !strings.Contains(plan, "would continue alone") || !strings.Contains(plan, pods[0].Name) || !strings.Contains(plan, pods[2].Name) {
		t.Errorf("the plan does not show what is lost:\n%s", plan)
	}
	t.Logf("\n%s", p.settled(t, "raft", "recover", "hadoop", "--master", survivor, "--yes"))
	c.mastersReturned(t, namespace, before, w)
}

// TestEveryMasterLost loses all masters with their disks. They do not form another
// cluster, and continue with a snapshot that was saved before. A pod verifies every
// byte.
func TestEveryMasterLost(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "every-master-lost")
	w := c.watchSeed(t, namespace)
	p := c.plugin(t, namespace)
	before := c.runtimeReady(t, namespace, "hadoop").Status.Formation.ClusterID
	pods := c.readyPods(t, namespace, "hadoop-jindofs-master-", 3)

	saved := filepath.Join(t.TempDir(), "hadoop.snapshot")
	p.settled(t, "raft", "snapshot", "save", "hadoop", "--file", saved)
	p.fails(t, 1, "state", "raft", "snapshot", "restore", "hadoop", "--file", saved, "--master", pods[0].Name)
	c.loseMasters(t, namespace, pods...)
	w.readOn(t, 100)
	t.Logf("\n%s", p.settled(t, "raft", "snapshot", "restore", "hadoop", "--file", saved, "--master", pods[0].Name))
	c.mastersReturned(t, namespace, before, w)
}

// loseMasters kills masters of the seed's runtime and removes what is on their disks.
// All are stopped first, so that none joins a majority of the others in between.
func (c *cluster) loseMasters(t *testing.T, namespace string, pods ...corev1.Pod) {
	t.Helper()
	for _, pod := range pods {
		c.signal(t, pod, "jindofs-master", "STOP")
	}
	directory := names.NodeDirectory("/host/mnt/disk1", namespace, "hadoop", "master")
	for _, pod := range pods {
		eventually(t, "the disk of "+pod.Name+" is wiped", func(ctx context.Context) error {
			_, err := c.onNode(ctx, pod.Spec.NodeName, "ls "+directory+"/*/ && rm -r "+directory+"/*")
			return err
		})
	}
	for _, pod := range pods {
		c.signal(t, pod, "jindofs-master", "KILL")
	}
}

// mastersReturned waits until three masters of a cluster serve, and expects that no read
// of the watcher has failed and that a new pod reads every file.
func (c *cluster) mastersReturned(t *testing.T, namespace, id string, w *watcher) {
	t.Helper()
	c.readyPods(t, namespace, "hadoop-jindofs-master-", 3)
	c.checkRaft(t, namespace)
	if after := c.runtimeReady(t, namespace, "hadoop").Status.Formation.ClusterID; after != id {
		t.Errorf("the cluster was %s and is %s", id, after)
	}
	w.readOn(t, 200)
	w.unharmed(t)
	c.job(t, namespace, "after", "hbase", "/hadoop")
}
