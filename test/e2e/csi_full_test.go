//go:build full

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestServersKilled kills each process between a pod and its data: the pod keeps
// reading its open files, and new ones.
func TestServersKilled(t *testing.T) {
	c := connect(t)
	namespace := c.namespace(t, "killed")
	c.bucket(t)
	c.create(t, namespace, c.seedDataset())
	c.create(t, namespace, small)
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	w := c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
	pod := c.readyPods(t, namespace, "reader", 1)[0]
	node := pod.Spec.NodeName
	fuse := func(t *testing.T) corev1.Pod { return c.onNodeOf(t, namespace, "hbase-jindofs-fuse-", node) }
	plugin := func(t *testing.T) corev1.Pod {
		return c.onNodeOf(t, names.SystemNamespace, "csi-nodeplugin-fluid-", node)
	}
	for i, row := range []struct {
		name string
		kill func(t *testing.T)
	}{
		{"FUSE server", func(t *testing.T) { c.killContainer(t, fuse(t), "jindofs-fuse") }},
		{"FUSE pod", func(t *testing.T) { p := fuse(t); c.remove(t, &p) }},
		{"plugin", func(t *testing.T) { c.killContainer(t, plugin(t), "plugin") }},
		{"keeper", func(t *testing.T) { c.killContainer(t, plugin(t), "keeper") }},
		{"plugin and FUSE server", func(t *testing.T) {
			c.killContainer(t, plugin(t), "plugin")
			c.killContainer(t, fuse(t), "jindofs-fuse")
		}},
		{"worker", func(t *testing.T) {
			c.killContainer(t, c.readyPods(t, namespace, "hbase-jindofs-worker-", 1)[0], "jindofs-worker")
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.kill(t)
			w.readOn(t, 300)
			fuse(t)
			c.checkSystem(t)
			w.readOn(t, 300)
			w.unharmed(t)
			c.job(t, namespace, fmt.Sprintf("after-%d", i), "hbase", "/hadoop")
		})
	}
	c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}})
}

// onNodeOf returns the ready pod with a name prefix on a node.
func (c *cluster) onNodeOf(t *testing.T, namespace, prefix, node string) corev1.Pod {
	t.Helper()
	var found corev1.Pod
	eventually(t, fmt.Sprintf("a pod %s* is ready on %s", prefix, node), func(ctx context.Context) error {
		pods, err := c.pods(ctx, namespace, prefix)
		if err != nil {
			return err
		}
		for _, pod := range pods {
			if pod.Spec.NodeName == node && ready(&pod) == nil {
				found = pod
				return nil
			}
		}
		return fmt.Errorf("none of %d is", len(pods))
	})
	return found
}

// killContainer sends SIGKILL to a container's processes, and waits until the
// kubelet has restarted it.
func (c *cluster) killContainer(t *testing.T, pod corev1.Pod, container string) {
	t.Helper()
	restarts := func(p corev1.Pod) int32 {
		for _, s := range p.Status.ContainerStatuses {
			if s.Name == container && s.State.Running != nil {
				return s.RestartCount
			}
		}
		return -1
	}
	before := restarts(pod)
	c.signal(t, pod, container, "KILL")
	eventually(t, container+" is started again", func(ctx context.Context) error {
		pods, err := c.pods(ctx, pod.Namespace, pod.Name)
		if err != nil {
			return err
		}
		if len(pods) != 1 || restarts(pods[0]) <= before {
			return fmt.Errorf("it was not started again yet")
		}
		return nil
	})
}

// signal sends a signal to the processes of a container.
func (c *cluster) signal(t *testing.T, pod corev1.Pod, container, signal string) {
	t.Helper()
	// The cgroup of each process contains the pod's uid; the command identifies the
	// container.
	command := map[string]string{
		"plugin": "csi node", "keeper": "csi keep",
		"jindofs-fuse": "bin/fuse ", "jindofs-worker": "bin/worker ", "jindofs-master": "bin/master ",
	}[container]
	script := fmt.Sprintf(`for p in /proc/[0-9]*; do grep -q %s $p/cgroup 2>/dev/null && tr '\000' ' ' <$p/cmdline | grep -q %q && kill -%s ${p#/proc/} && echo sent; done; true`, pod.UID, command, signal)
	eventually(t, container+" receives SIG"+signal, func(ctx context.Context) error {
		out, err := c.onNode(ctx, pod.Spec.NodeName, script)
		if err == nil && !strings.Contains(out, "sent") {
			return fmt.Errorf("no process of pod %s is %q", pod.Name, command)
		}
		return err
	})
}

// TestClaims mounts a claim in several ways.
func TestClaims(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "claims")
	c.bucket(t)
	c.create(t, namespace, c.seedDataset())
	c.create(t, namespace, small)
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	t.Run("subPath", func(t *testing.T) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "sub-path"},
			Spec:       readerSpec("hbase", ""),
		}
		pod.Spec.Containers[0].VolumeMounts[0].SubPath = "hadoop"
		if err := c.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		c.succeeded(t, pod)
	})
	t.Run("read-only", func(t *testing.T) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "read-only"},
			Spec:       readerSpec("hbase", ""),
		}
		pod.Spec.Containers[0].Image = toolImage
		pod.Spec.Containers[0].Args = nil
		pod.Spec.Containers[0].Command = []string{"sh", "-c", "if touch /data/hadoop/new; then exit 1; fi; ls /data/hadoop | grep -q SHA256SUMS"}
		if err := c.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		c.succeeded(t, pod)
	})
}

// TestTwoDatasets mounts two Datasets, each with its own runtime, in one pod.
func TestTwoDatasets(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "two")
	c.bucket(t)
	for _, name := range []string{"first", "second"} {
		// Both workers may be on one node.
		c.create(t, namespace, strings.ReplaceAll(c.seedDataset(), "name: hbase\nspec:\n", "name: "+name+"\nspec:\n  placement: Shared\n"))
		c.create(t, namespace, strings.ReplaceAll(small, "name: hbase", "name: "+name))
	}
	for _, name := range []string{"first", "second"} {
		c.datasetPhase(t, namespace, name, v1alpha1.BoundDatasetPhase)
	}
	spec := readerSpec("first", "/hadoop", "-watch")
	spec.RestartPolicy = corev1.RestartPolicyAlways
	second := spec.Containers[0].DeepCopy()
	second.Name, second.VolumeMounts[0].Name = "second", "second"
	spec.Containers = append(spec.Containers, *second)
	spec.Volumes = append(spec.Volumes, claim("second"))
	labels := map[string]string{"app": "two"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "two"},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
	if err := c.Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	for _, pod := range c.readyPods(t, namespace, "two-", 2) {
		for _, container := range []string{"reader", "second"} {
			eventually(t, container+" reads in "+pod.Name, func(ctx context.Context) error {
				out, err := c.run(ctx, "", "logs", "-n", namespace, pod.Name, "-c", container, "--tail=1")
				if err == nil && (!strings.Contains(out, `"failed":0,"wrong":0`) || strings.Contains(out, `"reads":0,`)) {
					return fmt.Errorf("it prints %s", out)
				}
				return err
			})
		}
	}
}

func (c *cluster) succeeded(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	eventually(t, "pod "+pod.Name+" succeeds", func(ctx context.Context) error {
		pods, err := c.pods(ctx, pod.Namespace, pod.Name)
		if err != nil {
			return err
		}
		if len(pods) != 1 || pods[0].Status.Phase != corev1.PodSucceeded {
			return fmt.Errorf("it is %+v", pods)
		}
		return nil
	})
}
