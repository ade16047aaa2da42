package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestHostPathAttacks tries what a user of a namespace could gain from the directories
// that are created on nodes as root.
func TestHostPathAttacks(t *testing.T) {
	t.Parallel()
	c := connect(t)
	t.Run("own volume", func(t *testing.T) {
		t.Parallel()
		c.attackThroughOwnVolume(t)
	})
	t.Run("link on the node", func(t *testing.T) {
		t.Parallel()
		c.attackThroughLink(t)
	})
}

// attackThroughOwnVolume names a directory of a pod's own emptyDir as a tier, in which
// the pod replaced the directory of a master by a link to the root of the node.
func (c *cluster) attackThroughOwnVolume(t *testing.T) {
	namespace := c.namespace(t, "attack")
	c.kubectl(t, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline")
	attacker := &corev1.Pod{Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64(1)),
		Containers: []corev1.Container{{
			Name: "attacker", Image: toolImage,
			Command:      []string{"sh", "-c", fmt.Sprintf("mkdir -p /v/%[1]s/evil/jindofs && ln -s / /v/%[1]s/evil/jindofs/master && ln -s / /v/%[1]s/evil/jindofs/tier; trap 'exit 0' TERM; while :; do sleep 1; done", namespace)},
			VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/v"}},
		}},
		Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
	}}
	attacker.Namespace, attacker.Name = namespace, "attacker"
	if err := c.Create(t.Context(), attacker); err != nil {
		t.Fatal(err)
	}
	path := "/var/lib/kubelet/pods/" + string(attacker.UID) + "/volumes/kubernetes.io~empty-dir/v"
	runtime := func(tier string) string {
		return "apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: evil}\nspec: {tieredstore: {levels: [{mediumtype: SSD, " + tier + ", quota: 1Gi}]}}\n"
	}
	if _, err := c.run(t.Context(), runtime("path: "+path), "create", "-n", namespace, "-f", "-"); err == nil || !strings.Contains(err.Error(), "no setting can allow") {
		t.Errorf("the tier is admitted: %v", err)
	}
	inline := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: server}\nspec: {containers: [{name: c, image: %s}], volumes: [{name: v, csi: {driver: %s, volumeAttributes: {role: worker, runtime_name: evil}}}]}\n", toolImage, names.Driver)
	if _, err := c.run(t.Context(), inline, "create", "-n", namespace, "-f", "-"); err == nil || !strings.Contains(err.Error(), "are reserved") {
		t.Errorf("a pod with the volume of a worker is admitted: %v", err)
	}
	// The record of the tiers was an annotation that users of the namespace can write. They
	// cannot write the effective spec, and nothing else is used.
	c.create(t, namespace, runtime("volumeType: emptyDir, path: /cache"))
	eventually(t, "the record is written", func(ctx context.Context) error { return c.editTiers(ctx, namespace, path) })
	c.kubectl(t, "create", "rolebinding", "tenant", "--clusterrole=edit", "--user=tenant", "-n", namespace)
	status := fmt.Sprintf(`{"status":{"effective":{"runtime":{"tieredstore":{"levels":[{"mediumtype":"SSD","path":%q,"quota":"1Gi"}]}}}}}`, path)
	if _, err := c.run(t.Context(), "", "patch", "jindoruntime", "evil", "-n", namespace, "--subresource=status", "--type=merge", "-p", status, "--as=tenant"); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("a user of the namespace can write the effective spec: %v", err)
	}
	c.kubectl(t, "annotate", "jindoruntime", "evil", "-n", namespace, "touched=yes", "--as=tenant")
	eventually(t, "the effective spec has the declared tier", func(ctx context.Context) error {
		r := &v1alpha1.JindoRuntime{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "evil"}, r); err != nil {
			return err
		}
		if e := r.Status.Effective; e == nil || e.Runtime.TieredStore.Levels[0].Path != "/cache" {
			return fmt.Errorf("effective spec %+v", e)
		}
		return nil
	})
	var volumes corev1.PersistentVolumeList
	if err := c.List(t.Context(), &volumes); err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Items {
		if v.Spec.HostPath != nil && strings.HasPrefix(v.Spec.HostPath.Path, "/var/lib/kubelet/") {
			t.Errorf("PersistentVolume %s is the directory %s", v.Name, v.Spec.HostPath.Path)
		}
	}
}

// editTiers writes a record of tiers of an earlier version.
func (c *cluster) editTiers(ctx context.Context, namespace, path string) error {
	config := &corev1.ConfigMap{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: names.Config("evil")}, config); err != nil {
		return err
	}
	config.Annotations = map[string]string{"jindo.io/applied": fmt.Sprintf(`{"masterReplicas":1,"tieredstore":{"levels":[{"mediumtype":"SSD","volumeType":"hostPath","path":%q,"quota":"1Gi"}]}}`, path)}
	return c.Update(ctx, config)
}

// attackThroughLink places a link in an allowed directory on every node, where a worker
// would get its data directory: the kubelet follows it, and the worker does not use it.
func (c *cluster) attackThroughLink(t *testing.T) {
	namespace := c.namespace(t, "link")
	own, victim := "/mnt/disk1/"+namespace, "/mnt/disk1/victim-"+namespace
	var nodes corev1.NodeList
	if err := c.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	everywhere := func(command string) (output string) {
		for _, node := range nodes.Items {
			err := wait(context.WithoutCancel(t.Context()), timeout, func(ctx context.Context) error {
				out, err := c.onNode(ctx, node.Name, command)
				output += out
				return err
			})
			if err != nil {
				t.Errorf("on node %s: %s: %v", node.Name, command, err)
			}
		}
		return output
	}
	everywhere(fmt.Sprintf("rm -rf /host%[1]s /host%[2]s; mkdir -p /host%[1]s/linked/jindofs /host%[2]s && echo mine > /host%[2]s/file && ln -s %[2]s /host%[1]s/linked/jindofs/data", own, victim))
	t.Cleanup(func() { everywhere("rm -rf /host" + own + " /host" + victim) })
	c.create(t, namespace, "apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: linked}\nspec: {replicas: 1, master: {storageClassName: none}, tieredstore: {levels: [{mediumtype: HDD, path: /mnt/disk1, quota: 1Gi}]}}\n")
	eventually(t, "the worker refuses the link", func(ctx context.Context) error {
		pods, err := c.pods(ctx, namespace, "linked-jindofs-worker-")
		if err != nil {
			return err
		}
		for _, pod := range pods {
			for _, s := range pod.Status.ContainerStatuses {
				for _, state := range []corev1.ContainerState{s.State, s.LastTerminationState} {
					if state.Terminated != nil && strings.Contains(state.Terminated.Message, "symbolic link") {
						return nil
					}
				}
			}
			err = fmt.Errorf("%s: %+v", pod.Name, pod.Status.ContainerStatuses)
		}
		return errors.Join(errors.New("no worker has refused it"), err)
	})
	c.kubectl(t, "delete", "jindoruntime", "linked", "-n", namespace, "--timeout=120s")
	if got := strings.Fields(everywhere("ls -A /host" + victim)); len(got) != len(nodes.Items) || strings.Join(got, "") != strings.Repeat("file", len(nodes.Items)) {
		t.Errorf("the link's target has %q on %d nodes", got, len(nodes.Items))
	}
}
