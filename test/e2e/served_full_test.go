//go:build full

package e2e

import (
	"context"
	"fmt"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/manifests/samples"
	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// watchSeed creates the seed's pair, waits until it is served, and starts a watcher.
func (c *cluster) watchSeed(t *testing.T, namespace string) *watcher {
	t.Helper()
	c.serveSeed(t, namespace)
	return c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
}

// serveSeed creates the seed's pair and waits until it is bound.
func (c *cluster) serveSeed(t *testing.T, namespace string) {
	t.Helper()
	c.bucket(t)
	c.create(t, namespace, c.seedDataset())
	c.create(t, namespace, samples.Runtime)
	c.runtimeReady(t, namespace, "hadoop")
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
}

// runtimeIs waits until the status of the seed's runtime is as holds requires.
func (c *cluster) runtimeIs(t *testing.T, namespace, what string, holds func(s *v1alpha1.RuntimeStatus) bool) {
	t.Helper()
	eventually(t, what, func(ctx context.Context) error {
		r := &v1alpha1.JindoRuntime{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "hadoop"}, r); err != nil {
			return err
		}
		if s := &r.Status; !holds(s) {
			return fmt.Errorf("mounts %+v, transition %+v, effective spec %+v, raft %+v, conditions %+v", s.Mounts, s.Transition, s.Effective, s.Raft, s.Conditions)
		}
		return nil
	})
}
