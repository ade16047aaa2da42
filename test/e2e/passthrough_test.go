package e2e

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/topology"
)

// kernelReads expects that the kernel opens files of a FUSE server's mount itself
// while a pod reads them repeatedly. It is skipped on nodes that cannot.
func (c *cluster) kernelReads(t *testing.T, node string, metrics func(context.Context) (string, error)) {
	t.Helper()
	t.Run("kernel reads", func(t *testing.T) {
		n := &corev1.Node{}
		if err := c.Get(t.Context(), client.ObjectKey{Name: node}, n); err != nil {
			t.Fatal(err)
		}
		var major, minor int
		release := n.Status.NodeInfo.KernelVersion
		if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil || major < 6 || major == 6 && minor < 9 {
			t.Skipf("not run: kernel %s of node %s has no FUSE passthrough", release, node)
		}
		stacked := false
		eventually(t, "the kernel opens files itself", func(ctx context.Context) error {
			text, err := metrics(ctx)
			if err != nil {
				return err
			}
			found := valuesOf(text, "jindo_fuse_passthrough_")
			opens := 0.0
			for name, value := range found {
				if strings.HasPrefix(name, "jindo_fuse_passthrough_opens_total") {
					opens += value
				}
				stacked = stacked || strings.Contains(name, `"stack_depth"`) && value > 0
			}
			if opens == 0 && !stacked {
				return fmt.Errorf("%v", found)
			}
			t.Logf("%v", found)
			return nil
		})
		if stacked {
			t.Skip("not run: the tiers of this cluster are on a stacked file system")
		}
	})
}

// kernelReadsOfDaemonSet is kernelReads for the FUSE server of a runtime's DaemonSet on
// a node.
func (c *cluster) kernelReadsOfDaemonSet(t *testing.T, namespace, runtime, node string) {
	t.Helper()
	pods, err := c.pods(t.Context(), namespace, runtime+"-jindofs-fuse-")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == node })
	if i < 0 {
		t.Fatalf("no FUSE server on node %s", node)
	}
	c.kernelReads(t, node, func(ctx context.Context) (string, error) {
		return c.run(ctx, "", "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:%d/proxy/metrics", namespace, pods[i].Name, topology.HealthPort))
	})
}

// valuesOf returns the values of metrics with a prefix, by name and labels.
func valuesOf(text, prefix string) map[string]float64 {
	values := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		i := strings.LastIndexByte(lines.Text(), ' ')
		if i < 0 || !strings.HasPrefix(lines.Text(), prefix) {
			continue
		}
		if value, err := strconv.ParseFloat(lines.Text()[i+1:], 64); err == nil {
			values[lines.Text()[:i]] = value
		}
	}
	return values
}

// nodeOf returns the node of a pod.
func (c *cluster) nodeOf(t *testing.T, namespace, pod string) string {
	t.Helper()
	found := &corev1.Pod{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: pod}, found); err != nil {
		t.Fatal(err)
	}
	return found.Spec.NodeName
}
