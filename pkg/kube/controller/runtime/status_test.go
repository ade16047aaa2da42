package runtime_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// A store that refuses costs one write of the status and one event, also when
// workers of earlier versions report other request ids.
func TestRefusingStoreIsReportedOnce(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	refuse := func(request int) {
		c.report(ns, 1<<30, 10, 4<<30, fmt.Sprintf("listing oss://a/: access key id \"LTAI\" lacks the right oss:ListObjects (403 AccessDenied, request R%d)", request))
		c.triggerReconcile(t, ns)
	}
	refuse(0)
	first := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeMountsReady, corev1.ConditionFalse, "lacks the right oss:ListObjects (403 AccessDenied)")
	})
	if message := condition(&first.Status, v1alpha1.RuntimeMountsReady).Message; strings.Contains(message, "LTAI") {
		t.Errorf("the message contains the id of the access key: %s", message)
	}
	before := c.settle(t, ns)
	for i := range 3 {
		refuse(i + 1)
	}
	if after, _ := c.counts.of(ns); after != before {
		t.Errorf("%d writes after the first, want none", after-before)
	}
	eventually(t, func() error {
		if n := len(c.events(t, ns, "StoreRefuses")); n != 1 {
			return fmt.Errorf("%d events, want 1", n)
		}
		return nil
	})
}

// The reason of MountsReady tells a runtime of which every mount refuses from one that
// serves others, with one event, also while masters do not respond, and another when the
// store recovers.
func TestOneMountRefuses(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	c.editDataset(t, ns, func(spec *v1alpha1.DatasetSpec) {
		other := spec.Mounts[0].DeepCopy()
		other.Name, other.Path, other.MountPoint = "other", "/other", "oss://other-bucket/"
		spec.Mounts = append(spec.Mounts, *other)
	})
	runtime := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, corev1.ConditionTrue, "mount other at /other waits for")
	})
	revision := uint64(runtime.Status.Effective.Dataset.CredentialsRevision)
	c.reportRevision(ns, revision)
	c.triggerReconcile(t, ns)
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if len(s.Mounts) != 2 {
			return fmt.Errorf("mounts %+v", s.Mounts)
		}
		return nil
	})
	// refuse makes the stores of the named mounts refuse.
	refuse := func(request int, refusing ...string) {
		c.reportRevision(ns, revision)
		c.masters.change(ns, func(s *fakeSet) {
			for i, m := range s.view.GetMounts() {
				if slices.Contains(refusing, m.GetName()) {
					s.workers[0].Report.Mounts[i].Error = fmt.Sprintf("listing %s: the bucket does not exist (404 NoSuchBucket, request R%d)", m.GetUri(), request)
				}
			}
		})
		c.triggerReconcile(t, ns)
	}
	want := func(reason, message string) {
		t.Helper()
		c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
			if got := condition(s, v1alpha1.RuntimeMountsReady); got.Reason != reason || !strings.Contains(got.Message, message) {
				return fmt.Errorf("condition %+v", got)
			}
			return nil
		})
	}
	refuse(0, "other")
	want("SomeStoresRefuse", "mount other: listing oss://other-bucket/")
	before := c.settle(t, ns)
	refuse(1, "other")
	refuse(2, "other")
	if after, _ := c.counts.of(ns); after != before {
		t.Errorf("%d writes after the first, want none", after-before)
	}
	refuse(3, "other", "hadoop")
	want("StoreRefuses", "mount hadoop: ")
	refuse(4)
	want("Mounted", "")
	for reason, n := range map[string]int{"SomeStoresRefuse": 1, "StoreRefuses": 1} {
		eventually(t, func() error {
			if got := len(c.events(t, ns, reason)); got != n {
				return fmt.Errorf("%d events %s, want %d", got, reason, n)
			}
			return nil
		})
	}
}

// HostNetwork is accepted, and what it does instead is in a condition: the pods have a
// network of their own, and the runtime becomes ready.
func TestHostNetworkIsNotSupportedYet(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Spec.NetworkMode = v1alpha1.HostNetworkMode })
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.Transition != nil {
			return fmt.Errorf("pods are replaced: %+v", s.Transition)
		}
		if err := checkCondition(s, v1alpha1.RuntimeChangeNotApplied, "", ""); err != nil {
			return err
		}
		if err := checkCondition(s, v1alpha1.RuntimeReady, corev1.ConditionTrue, ""); err != nil {
			return err
		}
		return checkCondition(s, v1alpha1.RuntimeNotSupportedYet, corev1.ConditionTrue, "spec.networkmode: HostNetwork is not supported yet")
	})
	set := &appsv1.DaemonSet{}
	c.mustGet(t, ns, "hadoop-jindofs-fuse", set)
	if set.Spec.Template.Spec.HostNetwork {
		t.Error("FUSE servers use the ports of the node, of which the workers have one")
	}
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Spec.NetworkMode = "" })
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeNotSupportedYet, "", "")
	})
}

// A runtime without masters and workers serves nothing: no field of the status says that
// it does.
func TestFuseOnlyIsNotSupportedYet(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	c.create(t, ns, strings.Replace(manifest(t, "seed.yaml"), "  master:\n", "  worker: {disabled: true}\n  master:\n    disabled: true\n", 1))
	c.waitFor(t, ns, "hadoop-jindofs-fuse", &appsv1.DaemonSet{})
	c.runFuse(t, ns, "hadoop", 3)
	r := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		for _, kind := range []v1alpha1.RuntimeConditionType{v1alpha1.RuntimeMountsReady, v1alpha1.RuntimeFusesReady, v1alpha1.RuntimeReady} {
			if err := checkCondition(s, kind, corev1.ConditionFalse, "not supported yet"); err != nil {
				return err
			}
		}
		return checkCondition(s, v1alpha1.RuntimeNotSupportedYet, corev1.ConditionTrue, "spec.worker.disabled")
	})
	if s := r.Status; s.FusePhase != v1alpha1.RuntimePhaseNotReady || len(s.Mounts) > 0 || s.UfsTotal != "" {
		t.Errorf("phase %s, mounts %+v, total %q", s.FusePhase, s.Mounts, s.UfsTotal)
	}
}

// settle waits until passes write nothing, also none that read an older status from the
// cache, and returns the number of writes.
func (c *cluster) settle(t *testing.T, ns string) int {
	t.Helper()
	settled := 0
	eventually(t, func() error {
		before, _ := c.counts.of(ns)
		c.triggerReconcile(t, ns)
		if settled, _ = c.counts.of(ns); settled != before {
			return fmt.Errorf("%d writes", settled-before)
		}
		return nil
	})
	return settled
}
