//go:build full

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// installing is the time for building an image, or for applying the manifests.
const installing = 10 * time.Minute

// tool runs a command of the tool of make cluster-up.
func tool(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), installing)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "../../bin/cluster", args...).CombinedOutput(); err != nil {
		t.Fatalf("cluster %s: %v: %s", args, err, out)
	}
}

// TestUpgradeAndBack starts with the manifests and the image of an earlier commit
// (EARLIER, the previous one by default), upgrades the system and then the pods that
// serve data to the present ones, and returns, while a pod verifies every byte: no
// read fails. It is for commits between which no format was raised.
func TestUpgradeAndBack(t *testing.T) {
	c := connect(t)
	tool(t, "earlier", cmp.Or(os.Getenv("EARLIER"), "HEAD^"))
	namespace := c.namespace(t, "upgrade")
	tool(t, "install", "earlier")
	defer tool(t, "install") // for the other tests
	w := c.watchSeed(t, namespace)
	c.kubectl(t, "annotate", "jindoruntime", "hadoop", "-n", namespace, v1alpha1.UpdatesAnnotation+"="+v1alpha1.UpdatesAutomatic)
	for _, step := range []struct {
		name  string
		words []string
	}{
		{"upgrade", []string{"install"}},
		{"return", []string{"install", "earlier"}},
	} {
		began, before := time.Now(), c.dataPods(t, namespace)
		tool(t, step.words...)
		eventually(t, step.name+": every pod that serves data is replaced", func(context.Context) error {
			after := c.dataPods(t, namespace)
			for uid, name := range after {
				if _, old := before[uid]; old {
					return fmt.Errorf("%s has not been replaced", name)
				}
			}
			if len(after) != len(before) {
				return fmt.Errorf("%d pods of %d", len(after), len(before))
			}
			return nil
		})
		c.runtimeIs(t, namespace, step.name+" ends", func(s *v1alpha1.RuntimeStatus) bool { return s.Transition == nil })
		c.runtimeReady(t, namespace, "hadoop")
		t.Logf("%s: %s", step.name, time.Since(began).Round(time.Second))
		w.readOn(t, 200)
		w.unharmed(t)
	}
	c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}})
}
