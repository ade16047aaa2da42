package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// restricted creates a namespace that enforces the Pod Security level "restricted",
// and a storage class with a volume on each of the first nodes, for the masters.
func (c *cluster) restricted(t *testing.T, name string, volumes int) (namespace, storageClass string) {
	t.Helper()
	namespace = c.namespace(t, name)
	c.kubectl(t, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	class := &storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{Name: namespace},
		Provisioner:       "kubernetes.io/no-provisioner",
		VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer),
	}
	c.ephemeral(t, class)
	var nodes corev1.NodeList
	if err := c.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) < volumes {
		t.Fatalf("%d nodes are too few for %d volumes", len(nodes.Items), volumes)
	}
	for _, node := range nodes.Items[:volumes] {
		c.localVolume(t, namespace, node.Name)
	}
	return namespace, class.Name
}

// localVolume creates a directory on a node, and a volume of it in the class.
func (c *cluster) localVolume(t *testing.T, class, node string) {
	t.Helper()
	path := "/mnt/disk1/volumes/" + class
	shell := func(command string) {
		err := wait(context.WithoutCancel(t.Context()), timeout, func(ctx context.Context) error {
			_, err := c.onNode(ctx, node, command)
			return err
		})
		if err != nil {
			t.Errorf("on node %s: %s: %v", node, command, err)
		}
	}
	shell("rm -rf /host" + path + " && mkdir -p /host" + path)
	t.Cleanup(func() { shell("rm -rf /host" + path) })
	c.ephemeral(t, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: class + "-" + node},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("20Gi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName:              class,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
	})
}

// ephemeral recreates a cluster-wide object that is deleted after the test.
func (c *cluster) ephemeral(t *testing.T, object client.Object) {
	t.Helper()
	c.remove(t, object.DeepCopyObject().(client.Object)) //nolint:forcetypeassert // it is one
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.WithoutCancel(t.Context()), object); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
}

// TestRestricted runs a runtime with emptyDir tiers, and pods that read, in a
// namespace that admits no privileges. It also serves a directory of a volume that is
// declared for the workers, and not one of their container.
func TestRestricted(t *testing.T) {
	t.Parallel()
	c := connect(t)
	c.bucket(t)
	namespace, class := c.restricted(t, "restricted", 3)
	c.create(t, namespace, c.seedDataset()+"    - {mountPoint: 'local:///mnt/scratch', name: scratch}\n    - {mountPoint: 'local:///etc/jindo/credentials', name: keys}\n")
	c.create(t, namespace, fmt.Sprintf(`
apiVersion: data.fluid.io/v1alpha1
kind: JindoRuntime
metadata: {name: hbase}
spec:
  replicas: 1
  master: {replicas: 3, storageClassName: %s}
  volumes: [{name: scratch, emptyDir: {}}]
  worker: {volumeMounts: [{name: scratch, mountPath: /mnt/scratch}]}
  tieredstore: {levels: [{mediumtype: MEM, volumeType: emptyDir, path: /dev/shm, quota: 256Mi}]}
`, class))
	c.runtimeReady(t, namespace, "hbase")
	c.datasetPhase(t, namespace, "hbase", "Bound")
	eventually(t, "the declared directory is served, and no other one", func(ctx context.Context) error {
		r := &v1alpha1.JindoRuntime{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "hbase"}, r); err != nil {
			return err
		}
		var mounts []string
		for _, m := range r.Status.Mounts {
			mounts = append(mounts, m.Name)
		}
		for _, condition := range r.Status.Conditions {
			if condition.Type == v1alpha1.RuntimeMountsReady && strings.HasPrefix(condition.Message, "mount keys: local:// is served") &&
				!strings.Contains(condition.Message, "mount scratch") && slices.Equal(mounts, []string{"hadoop", "scratch"}) {
				return nil
			}
		}
		return fmt.Errorf("mounts %q, conditions %v", mounts, r.Status.Conditions)
	})
}
