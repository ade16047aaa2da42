package runtime_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// TestWorkersAreDrained removes two of three workers. Each is drained, and not in the
// ring any more, before Kubernetes is requested to remove it. One that cannot be drained
// is removed too, and reported.
func TestWorkersAreDrained(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	c.create(t, ns, manifest(t, "seed.yaml"))
	c.startAll(t, ns, "hadoop")
	c.report(ns, 1<<30, 10, 4<<30, "")
	c.status(t, ns, "hadoop", wantPhases("Ready/Ready/Ready"))
	c.masters.change(ns, func(s *fakeSet) {
		s.view.Ring = &commonv1.Ring{Epoch: 1}
		for i := range 3 {
			s.view.Ring.Members = append(s.view.Ring.Members, &commonv1.RingMember{Name: fmt.Sprintf("hadoop-jindofs-worker-%d", i), Host: ns})
		}
	})
	set := &appsv1.StatefulSet{}
	var mu sync.Mutex
	var drained []string
	c.mu.Lock()
	c.drains[ns] = func(worker string, timeout time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "hadoop-jindofs-worker"}, set); err != nil || *set.Spec.Replicas != 3 {
			t.Errorf("%s is drained when there are %v replicas: %v", worker, *set.Spec.Replicas, err)
		}
		if timeout < time.Minute || timeout >= time.Duration(*set.Spec.Template.Spec.TerminationGracePeriodSeconds)*time.Second {
			t.Errorf("the timeout of %s is %s, of a grace period of %d s", worker, timeout, *set.Spec.Template.Spec.TerminationGracePeriodSeconds)
		}
		if worker == "hadoop-jindofs-worker-1" {
			return errors.New("connection refused")
		}
		drained = append(drained, worker)
		return nil
	}
	c.mu.Unlock()
	eventually(t, func() error {
		rt, err := c.runtime(t.Context(), ns, "hadoop")
		if err != nil {
			return err
		}
		rt.Spec.Replicas = new(int32(1))
		return c.Update(t.Context(), rt)
	})
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if scaled := condition(s, v1alpha1.RuntimeWorkersScaledIn); !strings.Contains(scaled.Message, "the caches of hadoop-jindofs-worker-2 are moved") ||
			!strings.Contains(scaled.Message, "hadoop-jindofs-worker-1: connection refused") {
			return fmt.Errorf("condition %+v", scaled)
		}
		return nil
	})
	eventually(t, func() error {
		c.mustGet(t, ns, "hadoop-jindofs-worker", set)
		if *set.Spec.Replicas != 1 {
			return fmt.Errorf("%d replicas", *set.Spec.Replicas)
		}
		return nil
	})
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(slices.Compact(drained), []string{"hadoop-jindofs-worker-2"}) {
		t.Errorf("drained were %v", drained)
	}
	c.masters.change(ns, func(s *fakeSet) {
		var left []string
		for _, m := range s.view.GetRing().GetMembers() {
			left = append(left, m.GetName())
		}
		if !slices.Equal(left, []string{"hadoop-jindofs-worker-0", "hadoop-jindofs-worker-1"}) {
			t.Errorf("the ring has %v", left)
		}
	})
}
