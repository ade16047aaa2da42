//go:build full

package e2e

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// autoscaler scales the workers of the seed's runtime by their processors, of which it
// grants each a number of thousandths. It removes one as soon as the use allows it.
const autoscaler = `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: workers}
spec:
  scaleTargetRef: {apiVersion: data.fluid.io/v1alpha1, kind: JindoRuntime, name: hadoop}
  minReplicas: 2
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: %dm}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
`

// TestAutoscaler has a horizontal pod autoscaler scale the workers by what the metrics
// server measures, while a pod verifies every byte: it adds one while they use more
// than it grants, which is next to nothing at first, and removes one when it grants
// them a processor each.
func TestAutoscaler(t *testing.T) {
	c := connect(t)
	tool(t, "metrics")
	namespace := c.namespace(t, "autoscaler")
	w := c.watchSeed(t, namespace)
	c.kubectl(t, "scale", "jindoruntime", "hadoop", "-n", namespace, "--replicas=2")
	c.readyPods(t, namespace, "hadoop-jindofs-worker-", 2)
	for _, step := range []struct {
		name    string
		grant   int
		workers int32
	}{
		{"a worker is added", 1, 3},
		{"a worker is removed", 1000, 2},
	} {
		if _, err := c.run(t.Context(), fmt.Sprintf(autoscaler, step.grant), "apply", "-n", namespace, "-f", "-"); err != nil {
			t.Fatal(err)
		}
		eventually(t, step.name, func(ctx context.Context) error {
			r := &v1alpha1.JindoRuntime{}
			if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "hadoop"}, r); err != nil {
				return err
			}
			if n := r.Spec.Replicas; n == nil || *n != step.workers {
				out, _ := c.run(ctx, "", "get", "hpa", "workers", "-n", namespace, "-o", "jsonpath={.status}")
				return fmt.Errorf("not %d workers; the autoscaler: %s", step.workers, out)
			}
			return nil
		})
		c.readyPods(t, namespace, "hadoop-jindofs-worker-", int(step.workers))
		c.runtimeReady(t, namespace, "hadoop")
		w.readOn(t, 200)
		w.unharmed(t)
	}
	c.kubectl(t, "delete", "hpa", "workers", "-n", namespace)
	c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}})
}
