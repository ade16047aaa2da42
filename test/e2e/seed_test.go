package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/manifests/samples"
	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestSeed follows the walk-through of three masters line by line, then kills the
// leader while a pod verifies every byte.
func TestSeed(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "seed")
	c.bucket(t)

	t.Run("components", func(t *testing.T) { c.checkSystem(t) })
	if got, want := c.create(t, namespace, c.seedDataset()), "dataset.data.fluid.io/hbase created\n"; got != want {
		t.Errorf("kubectl printed %q, want %q", got, want)
	}
	if got, want := c.create(t, namespace, samples.Runtime), "jindoruntime.data.fluid.io/hadoop created\n"; got != want {
		t.Errorf("kubectl printed %q, want %q", got, want)
	}
	c.checkPods(t, namespace)
	c.runtimeReady(t, namespace, "hadoop")
	c.checkColumns(t, namespace)
	leader := c.checkRaft(t, namespace)
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)

	w := c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
	c.kernelReadsOfDaemonSet(t, namespace, "hadoop", c.nodeOf(t, namespace, "reader"))
	t.Logf("%s leads; it is killed", leader)
	c.kubectl(t, "delete", "pod", "-n", namespace, leader, "--grace-period=0", "--force")
	w.readOn(t, 500)
	c.readyPods(t, namespace, "hadoop-jindofs-master", 3)
	c.runtimeReady(t, namespace, "hadoop")
	t.Logf("%s leads now", c.checkRaft(t, namespace))
	w.readOn(t, 200)
	w.unharmed(t)

	c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}})
	c.kubectl(t, "delete", "jindoruntime/hadoop", "dataset/hbase", "-n", namespace, "--wait=false")
	c.waitDeleted(t, &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hadoop"}})
	c.waitDeleted(t, &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hbase"}})
	c.nothingLeft(t, namespace)
}

// checkSystem expects a plugin with two containers on every node, and the
// controllers.
func (c *cluster) checkSystem(t *testing.T) {
	t.Helper()
	var nodes corev1.NodeList
	if err := c.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	for _, pod := range c.readyPods(t, names.SystemNamespace, "csi-nodeplugin-fluid-", len(nodes.Items)) {
		if len(pod.Spec.Containers) != 2 {
			t.Errorf("pod %s has %d containers, want 2", pod.Name, len(pod.Spec.Containers))
		}
	}
	c.readyPods(t, names.SystemNamespace, "dataset-controller-", 2)
	c.readyPods(t, names.SystemNamespace, "jindoruntime-controller-", 2)
}

// checkPods expects the names and numbers of the walk-through, without restarts.
func (c *cluster) checkPods(t *testing.T, namespace string) {
	t.Helper()
	pods := slices.Concat(
		c.readyPods(t, namespace, "hadoop-jindofs-master-", 3),
		c.readyPods(t, namespace, "hadoop-jindofs-worker-", 3),
		c.readyPods(t, namespace, "hadoop-jindofs-fuse-", 3),
	)
	for _, pod := range pods {
		for _, s := range pod.Status.ContainerStatuses {
			if s.RestartCount > 0 {
				t.Errorf("container %s of pod %s was restarted %d times", s.Name, pod.Name, s.RestartCount)
			}
		}
	}
	for _, role := range []string{"master", "worker"} {
		for i := range 3 {
			name := fmt.Sprintf("hadoop-jindofs-%s-%d", role, i)
			if !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Name == name }) {
				t.Errorf("pod %s not found", name)
			}
		}
	}
}

func (c *cluster) checkColumns(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, "kubectl get jindoruntime prints three phases", func(ctx context.Context) error {
		out, err := c.run(ctx, "", "get", "jindoruntime", "hadoop", "-n", namespace)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if err == nil && (len(lines) != 2 || !regexp.MustCompile(`^NAME +MASTER PHASE +WORKER PHASE +FUSE PHASE +AGE$`).MatchString(lines[0]) ||
			!regexp.MustCompile(`^hadoop +Ready +Ready +Ready +\S+$`).MatchString(lines[1])) {
			err = fmt.Errorf("it prints\n%s", out)
		}
		return err
	})
}

// checkRaft expects one leader and two followers in the block of the walk-through,
// and returns the leader's name.
func (c *cluster) checkRaft(t *testing.T, namespace string) string {
	t.Helper()
	leader := ""
	eventually(t, "one master leads and two follow", func(ctx context.Context) error {
		out, err := c.run(ctx, "", "exec", "-n", namespace, "hadoop-jindofs-master-0", "--", "jindo", "jfs", "-metaStatus", "-detail")
		if err != nil {
			return err
		}
		i, err := leaderOf(out)
		leader = fmt.Sprintf("hadoop-jindofs-master-%d", i)
		return err
	})
	return leader
}
