//go:build full

package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	w := c.watchSeed(t, namespace)
	before := c.dataPods(t, namespace)

	c.kubectl(t, "patch", "jindoruntime", "hadoop", "-n", namespace, "--type=merge", "-p",
		`{"spec":{"master":{"env":{"ROLLOUT":"1"}},"worker":{"env":{"ROLLOUT":"1"}},"fuse":{"env":{"ROLLOUT":"1"}}}}`)
	c.runtimeIs(t, namespace, "the first workers are replaced", func(s *v1alpha1.RuntimeStatus) bool {
		return s.Transition != nil && len(s.Transition.Steps) == 9 && s.Transition.Steps[3].Done
	})
	c.kubectl(t, "delete", "pod", "-n", names.SystemNamespace, "-l", "app=jindoruntime-controller", "--grace-period=0", "--force")
	c.runtimeIs(t, namespace, "all pods are replaced", func(s *v1alpha1.RuntimeStatus) bool {
		return s.Transition == nil && s.Effective.Revision == 2
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

// TestRolloutUndone edits the template of FUSE servers and takes the edit back with
// rollout undo, while a pod verifies every byte: each time the three FUSE servers are
// replaced, and nothing else.
func TestRolloutUndone(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "undone")
	w := c.watchSeed(t, namespace)
	p := c.plugin(t, namespace)
	for revision, edit := range []func(){
		func() {
			c.kubectl(t, "patch", "jindoruntime", "hadoop", "-n", namespace, "--type=merge", "-p", `{"spec":{"fuse":{"env":{"ROLLOUT":"1"}}}}`)
		},
		func() { p.ok(t, "rollout", "undo", "hadoop") },
	} {
		before := c.dataPods(t, namespace)
		edit()
		c.runtimeIs(t, namespace, "the edit is being carried out", func(s *v1alpha1.RuntimeStatus) bool {
			return s.Transition != nil && s.Effective.Revision == int64(revision)+2
		})
		c.runtimeIs(t, namespace, "the edit is carried out", func(s *v1alpha1.RuntimeStatus) bool { return s.Transition == nil })
		c.runtimeReady(t, namespace, "hadoop")
		for uid, name := range c.dataPods(t, namespace) {
			_, kept := before[uid]
			if fuse := strings.Contains(name, "-fuse-"); kept == fuse {
				t.Errorf("revision %d: pod %s was kept: %t", revision+2, name, kept)
			}
		}
		w.readOn(t, 200)
		w.unharmed(t)
	}
	r := &v1alpha1.JindoRuntime{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "hadoop"}, r); err != nil || len(r.Spec.Fuse.Env) != 0 {
		t.Errorf("environment of FUSE servers after undo: %v, %v", r.Spec.Fuse.Env, err)
	}
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
