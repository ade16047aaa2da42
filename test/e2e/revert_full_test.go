//go:build full

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// TestRolloutReverted sets templates with which the first master, worker and FUSE server
// fail, one after the other, while a pod on the node of that FUSE server verifies every
// byte. Each time one pod is replaced and comes back with the previous template by itself,
// and no read fails.
func TestRolloutReverted(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "reverted")
	c.serveSeed(t, namespace)
	fuse, err := c.pods(t.Context(), namespace, "hadoop-jindofs-fuse-")
	if err != nil || len(fuse) == 0 {
		t.Fatalf("FUSE servers: %d, %v", len(fuse), err)
	}
	first := slices.MinFunc(fuse, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	w := c.watch(t, namespace, "reader", "hbase", "/hadoop", first.Spec.NodeName)
	for _, edit := range []struct{ role, component, patch, cause string }{
		{"master", "-master-", `{"jindoVersion":{"imageTag":"missing"}}`, "Image"},
		// Go programs end at once with such a limit.
		{"worker", "-worker-", `{"jindoVersion":{"imageTag":null},"worker":{"env":{"GOMEMLIMIT":"none"}}}`, "container jindofs-worker"},
		{"fuse", "-fuse-", `{"worker":{"env":null},"fuse":{"imageTag":"missing"}}`, "Image"},
	} {
		before := c.dataPods(t, namespace)
		c.kubectl(t, "patch", "jindoruntime", "hadoop", "-n", namespace, "--type=merge", "-p", fmt.Sprintf(`{"spec":%s}`, edit.patch))
		c.runtimeIs(t, namespace, "the update of "+edit.role+" is reverted", func(s *v1alpha1.RuntimeStatus) bool {
			return s.Reverted != nil && s.Reverted.Role == edit.role && strings.Contains(s.Reverted.Message, edit.cause) && s.Transition == nil
		})
		c.runtimeReady(t, namespace, "hadoop")
		var replaced []string
		for uid, name := range c.dataPods(t, namespace) {
			if _, kept := before[uid]; !kept {
				replaced = append(replaced, name)
			}
		}
		if len(replaced) != 1 || !strings.Contains(replaced[0], edit.component) {
			t.Errorf("%s: replaced %v", edit.role, replaced)
		}
		w.readOn(t, 200)
		w.unharmed(t)
	}
	before := c.dataPods(t, namespace)
	c.kubectl(t, "patch", "jindoruntime", "hadoop", "-n", namespace, "--type=merge", "-p", `{"spec":{"fuse":{"imageTag":null}}}`)
	c.runtimeIs(t, namespace, "the corrected spec is in effect", func(s *v1alpha1.RuntimeStatus) bool {
		return s.Reverted == nil && len(s.Fallbacks) == 0 && s.Transition == nil && s.Effective.Revision == 5
	})
	for uid, name := range c.dataPods(t, namespace) {
		if _, kept := before[uid]; !kept {
			t.Errorf("the previous spec replaced %s", name)
		}
	}
	w.readOn(t, 200)
	w.unharmed(t)
	c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}})
}
