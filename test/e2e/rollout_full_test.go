//go:build full

package e2e

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/manifests/samples"
	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestRollout edits the templates of masters, workers and FUSE servers while a pod
// verifies every byte: all nine pods are replaced by themselves, and no read fails. In
// the middle of it the controllers are killed.
func TestRollout(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "rollout")
	c.bucket(t)
	c.create(t, namespace, c.seedDataset())
	c.create(t, namespace, samples.Runtime)
	c.runtimeReady(t, namespace, "hadoop")
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	w := c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
	before := c.dataPods(t, namespace)

	c.kubectl(t, "patch", "jindoruntime", "hadoop", "-n", namespace, "--type=merge", "-p",
		`{"spec":{"master":{"env":{"ROLLOUT":"1"}},"worker":{"env":{"ROLLOUT":"1"}},"fuse":{"env":{"ROLLOUT":"1"}}}}`)
	eventually(t, "the first workers are replaced", func(ctx context.Context) error {
		r := &v1alpha1.JindoRuntime{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "hadoop"}, r); err != nil {
			return err
		}
		if tr := r.Status.Transition; tr == nil || len(tr.Steps) != 9 || !tr.Steps[3].Done {
			return fmt.Errorf("transition %+v", tr)
		}
		return nil
	})
	c.kubectl(t, "delete", "pod", "-n", names.SystemNamespace, "-l", "app=jindoruntime-controller", "--grace-period=0", "--force")
	eventually(t, "all pods are replaced", func(ctx context.Context) error {
		r := &v1alpha1.JindoRuntime{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "hadoop"}, r); err != nil {
			return err
		}
		if r.Status.Transition != nil || r.Status.Effective.Revision != 2 {
			return fmt.Errorf("revision %d, transition %+v", r.Status.Effective.Revision, r.Status.Transition)
		}
		return nil
	})
	c.runtimeReady(t, namespace, "hadoop")
	for uid, name := range c.dataPods(t, namespace) {
		if _, old := before[uid]; old {
			t.Errorf("pod %s was not replaced", name)
		}
	}
	w.readOn(t, 200)
	w.unharmed(t)
	c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}})
}

// dataPods returns the names of the pods of masters, workers and FUSE servers by uid.
func (c *cluster) dataPods(t *testing.T, namespace string) map[string]string {
	t.Helper()
	pods, err := c.pods(t.Context(), namespace, "hadoop-jindofs-")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, pod := range pods {
		all[string(pod.UID)] = pod.Name
	}
	return all
}
