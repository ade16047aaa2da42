package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// unprivileged sets the security contexts that the level "restricted" requires.
func unprivileged(spec corev1.PodSpec) corev1.PodSpec {
	spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsNonRoot: new(true), RunAsUser: new(int64(1000)),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	for i := range spec.Containers {
		spec.Containers[i].SecurityContext = &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
	}
	return spec
}

// sidecarLabels returns the labels that request a sidecar.
func sidecarLabels() map[string]string { return map[string]string{names.LabelInject: "true"} }

// restarts returns the restarts of a pod's sidecar, or -1 while it is not running.
func restarts(pod corev1.Pod) int32 {
	i := slices.IndexFunc(pod.Status.InitContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.Name == names.SidecarContainer && s.State.Running != nil
	})
	if i < 0 {
		return -1
	}
	return pod.Status.InitContainerStatuses[i].RestartCount
}

// killSidecar kills the sidecar of a pod, and waits until the kubelet has restarted
// it.
func (c *cluster) killSidecar(t *testing.T, pod corev1.Pod) {
	t.Helper()
	before := restarts(pod)
	script := fmt.Sprintf(`for p in /proc/[0-9]*; do grep -q %s $p/cgroup 2>/dev/null && tr '\000' ' ' <$p/cmdline | grep -q 'fuse sidecar' && kill -9 ${p#/proc/} && echo killed; done; true`, pod.UID)
	eventually(t, "the sidecar is killed", func(ctx context.Context) error {
		out, err := c.onNode(ctx, pod.Spec.NodeName, script)
		if err == nil && !strings.Contains(out, "killed") {
			return fmt.Errorf("pod %s has no process of it", pod.UID)
		}
		return err
	})
	eventually(t, "the sidecar is started again", func(ctx context.Context) error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(&pod), &pod); err != nil {
			return err
		}
		if restarts(pod) <= before {
			return errors.New("it was not yet")
		}
		return nil
	})
}

// restartPlugin deletes the plugin's pod on a node, and waits for its successor.
func (c *cluster) restartPlugin(t *testing.T, node string) {
	t.Helper()
	find := func(ctx context.Context) (corev1.Pod, error) {
		pods, err := c.pods(ctx, names.SystemNamespace, "csi-nodeplugin-fluid-")
		for _, pod := range pods {
			if pod.Spec.NodeName == node && pod.DeletionTimestamp == nil {
				return pod, ready(&pod)
			}
		}
		return corev1.Pod{}, errors.Join(err, fmt.Errorf("node %s has none", node))
	}
	var before corev1.Pod
	eventually(t, "the plugin runs", func(ctx context.Context) (err error) { before, err = find(ctx); return err })
	if err := c.Delete(t.Context(), &before); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another plugin runs", func(ctx context.Context) error {
		now, err := find(ctx)
		if err == nil && now.UID == before.UID {
			err = errors.New("it is the one before")
		}
		return err
	})
}

// nothingOfPod waits until no mount, socket or directory of a pod is left on its
// node.
func (c *cluster) nothingOfPod(t *testing.T, pod corev1.Pod) {
	t.Helper()
	eventually(t, "the node has nothing left of pod "+pod.Name, func(ctx context.Context) error {
		out, err := c.onNode(ctx, pod.Spec.NodeName, fmt.Sprintf(
			`grep %[1]s /proc/1/mountinfo; ls -d /host/var/lib/kubelet/plugins/%[2]s/sidecars/%[1]s 2>/dev/null; true`, pod.UID, names.Driver))
		if err == nil && strings.TrimSpace(out) != "" {
			err = errors.New(out)
		}
		return err
	})
}

// TestSidecar injects sidecars into pods that admit no privileges: two Datasets in
// one pod, whose readers do not notice that the sidecar or the node's plugin was
// killed; and a Job, which completes while its sidecar is running.
func TestSidecar(t *testing.T) {
	t.Parallel()
	c := connect(t)
	c.bucket(t)
	namespace, class := c.restricted(t, "sidecar", 3)
	second := namespace + "-second"
	c.ephemeral(t, &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: second}, Provisioner: "kubernetes.io/no-provisioner",
		VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer),
	})
	var nodes corev1.NodeList
	if err := c.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	c.localVolume(t, second, nodes.Items[0].Name)
	for name, masters := range map[string]string{"first": "{replicas: 3, storageClassName: " + class + "}", "second": "{replicas: 1, storageClassName: " + second + "}"} {
		// Both workers may be on one node.
		c.create(t, namespace, strings.ReplaceAll(c.seedDataset(), "name: hbase\nspec:\n", "name: "+name+"\nspec:\n  placement: Shared\n"))
		c.create(t, namespace, fmt.Sprintf(`
apiVersion: data.fluid.io/v1alpha1
kind: JindoRuntime
metadata: {name: %s}
spec:
  replicas: 1
  master: %s
  tieredstore: {levels: [{mediumtype: MEM, volumeType: emptyDir, path: /dev/shm, quota: 128Mi}]}
`, name, masters))
	}
	for _, name := range []string{"first", "second"} {
		c.datasetPhase(t, namespace, name, v1alpha1.BoundDatasetPhase)
	}

	spec := readerSpec("first", "/hadoop", "-watch")
	spec.NodeSelector = map[string]string{corev1.LabelHostname: c.nodeOf(t, namespace, "first-jindofs-worker-0")}
	other := spec.Containers[0].DeepCopy()
	other.Name, other.VolumeMounts[0].Name = "other", "second"
	spec.Containers, spec.Volumes = append(spec.Containers, *other), append(spec.Volumes, claim("second"))
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader", Labels: sidecarLabels()}, Spec: unprivileged(spec)}
	if err := c.Create(t.Context(), &pod); err != nil {
		t.Fatal(err)
	}
	pod = c.readyPods(t, namespace, "reader", 1)[0]
	w := &watcher{c, namespace, pod.Name}
	w.readOn(t, 200)
	c.kernelReads(t, pod.Spec.NodeName, func(ctx context.Context) (string, error) {
		return c.run(ctx, "", "exec", "-n", namespace, pod.Name, "-c", names.SidecarContainer, "--", "fuse", "metrics")
	})
	c.killSidecar(t, pod)
	w.readOn(t, 200)
	c.restartPlugin(t, pod.Spec.NodeName)
	w.readOn(t, 200)
	w.unharmed(t)
	eventually(t, "the other Dataset is read", func(ctx context.Context) error {
		out, err := c.run(ctx, "", "logs", "-n", namespace, pod.Name, "-c", "other", "--tail=1")
		if err == nil && (!strings.Contains(out, `"failed":0,"wrong":0`) || strings.Contains(out, `"reads":0,`)) {
			err = fmt.Errorf("it prints %s", out)
		}
		return err
	})

	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "job"},
		Spec: batchv1.JobSpec{BackoffLimit: new(int32(0)), Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: sidecarLabels()}, Spec: unprivileged(readerSpec("first", "/hadoop")),
		}},
	}
	if err := c.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Job is complete", func(ctx context.Context) error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil || job.Status.Succeeded == 1 {
			return err
		}
		return fmt.Errorf("%+v", job.Status)
	})
	c.remove(t, pod.DeepCopy())
	c.nothingOfPod(t, pod)
}
