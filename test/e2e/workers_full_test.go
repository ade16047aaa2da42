//go:build full

package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// TestWorkersScaled removes a worker and adds it again through the scale subresource,
// while a pod verifies every byte. What the worker had cached is moved to the others:
// the store is not read again.
func TestWorkersScaled(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "workers")
	w := c.watchSeed(t, namespace)
	c.job(t, namespace, "warm", "hbase", "/hadoop")
	before := c.storeBytes(t, namespace, 0, 1, 2)
	if before[2] == 0 {
		t.Fatal("the worker to remove has read nothing from the store: the test proves nothing")
	}
	scale := func(n int) {
		c.kubectl(t, "scale", "jindoruntime", "hadoop", "-n", namespace, "--replicas="+strconv.Itoa(n))
	}
	scale(2)
	c.readyPods(t, namespace, "hadoop-jindofs-worker-", 2)
	c.runtimeIs(t, namespace, "the removal is reported", func(s *v1alpha1.RuntimeStatus) bool {
		for _, cond := range s.Conditions {
			if cond.Type == v1alpha1.RuntimeWorkersScaledIn {
				return strings.Contains(cond.Message, "the caches of hadoop-jindofs-worker-2 are moved")
			}
		}
		return false
	})
	c.job(t, namespace, "without", "hbase", "/hadoop")
	after := c.storeBytes(t, namespace, 0, 1)
	for i, n := range after {
		if n != before[i] {
			t.Errorf("worker %d has read %d bytes from the store since", i, n-before[i])
		}
	}
	w.unharmed(t)
	scale(3)
	c.readyPods(t, namespace, "hadoop-jindofs-worker-", 3)
	c.runtimeReady(t, namespace, "hadoop")
	c.job(t, namespace, "again", "hbase", "/hadoop")
	w.readOn(t, 200)
	w.unharmed(t)
}

// storeBytes returns the bytes that workers have read from the store.
func (c *cluster) storeBytes(t *testing.T, namespace string, ordinals ...int) []uint64 {
	t.Helper()
	var all []uint64
	for _, i := range ordinals {
		var n uint64
		name := fmt.Sprintf("hadoop-jindofs-worker-%d", i)
		eventually(t, "the metrics of "+name, func(ctx context.Context) error {
			out, err := c.run(ctx, "", "get", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+name+":18008/proxy/metrics")
			if err != nil {
				return err
			}
			for line := range strings.SplitSeq(out, "\n") {
				if value, ok := strings.CutPrefix(line, `jindo_worker_bytes_total{source="store"} `); ok {
					f, err := strconv.ParseFloat(value, 64)
					n = uint64(f)
					return err
				}
			}
			return fmt.Errorf("no bytes of the store")
		})
		all = append(all, n)
	}
	return all
}
