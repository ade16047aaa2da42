package runtime_test

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/controller/runtime"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// startReady creates the seed's pair and waits until it is ready, with mounts and usage
// figures.
func (c *cluster) startReady(t *testing.T) string {
	t.Helper()
	ns := c.namespace(t)
	c.create(t, ns, manifest(t, "seed.yaml"))
	c.startAll(t, ns, "hadoop")
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if len(s.Mounts) == 0 {
			return fmt.Errorf("no mounts")
		}
		return nil
	})
	c.report(ns, 1<<30, 10, 4<<30, "")
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.FileNum != "10" {
			return fmt.Errorf("%s files", s.FileNum)
		}
		return checkCondition(s, v1alpha1.RuntimeReady, corev1.ConditionTrue, "")
	})
	return ns
}

// change updates a runtime, and retries after conflicts.
func (c *cluster) change(t *testing.T, ns, name string, change func(r *v1alpha1.JindoRuntime)) {
	t.Helper()
	eventually(t, func() error {
		r, err := c.runtime(t.Context(), ns, name)
		if err != nil {
			return err
		}
		change(r)
		return c.Update(t.Context(), r)
	})
}

// triggerReconcile triggers several passes of the controller and waits for them.
func (c *cluster) triggerReconcile(t *testing.T, ns string) {
	t.Helper()
	_, before := c.counts.of(ns)
	for i := range 3 {
		eventually(t, func() error {
			pod := &corev1.Pod{}
			c.mustGet(t, ns, "hadoop-jindofs-worker-0", pod)
			pod.Annotations = map[string]string{"touched": fmt.Sprint(before, i)}
			return c.Update(t.Context(), pod)
		})
		eventually(t, func() error {
			if _, now := c.counts.of(ns); now <= before+i {
				return fmt.Errorf("no new pass")
			}
			return nil
		})
	}
}

func TestIdleRuntimeWritesNothing(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	eventually(t, func() error {
		before, _ := c.counts.of(ns)
		c.triggerReconcile(t, ns)
		if now, _ := c.counts.of(ns); now != before {
			return fmt.Errorf("%d writes while idle", now-before)
		}
		return nil
	})
	// Figures with the same printed value cause no writes.
	c.report(ns, 1<<30+1000, 10, 4<<30, "")
	before, _ := c.counts.of(ns)
	c.triggerReconcile(t, ns)
	if now, _ := c.counts.of(ns); now != before {
		t.Errorf("%d writes for figures with the same printed value", now-before)
	}
}

func TestDeletedDataset(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	d := &v1alpha1.Dataset{}
	c.mustGet(t, ns, "hbase", d)
	if err := c.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if len(s.Mounts) > 0 || s.MountTime != nil {
			return fmt.Errorf("still mounted: %v", s.Mounts)
		}
		return checkCondition(s, v1alpha1.RuntimeDatasetBound, corev1.ConditionFalse, "hbase")
	})
	c.masters.change(ns, func(s *fakeSet) {
		if len(s.view.GetMounts()) > 0 {
			t.Errorf("the masters still have mounts %v", s.view.GetMounts())
		}
	})
}

func TestLostStatusIsRestored(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	before, err := c.runtime(t.Context(), ns, "hadoop")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		r, err := c.runtime(t.Context(), ns, "hadoop")
		if err != nil {
			return err
		}
		r.Status = v1alpha1.RuntimeStatus{}
		return c.Status().Update(t.Context(), r)
	})
	c.triggerReconcile(t, ns)
	after := c.status(t, ns, "hadoop", wantPhases("Ready/Ready/Ready"))
	if after.Status.Formation == nil || after.Status.Formation.ClusterID != before.Status.Formation.ClusterID || !after.Status.Formation.Formed {
		t.Errorf("formation was %+v, is %+v", before.Status.Formation, after.Status.Formation)
	}
}

func TestUnschedulablePods(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
		four := int32(4)
		r.Spec.Replicas = &four
	})
	eventually(t, func() error {
		set := &appsv1.StatefulSet{}
		c.mustGet(t, ns, "hadoop-jindofs-worker", set)
		if *set.Spec.Replicas != 4 {
			return fmt.Errorf("%d workers, want 4", *set.Spec.Replicas)
		}
		return nil
	})
	secret := &corev1.Secret{}
	c.mustGet(t, ns, names.Secret("hadoop", "worker"), secret)
	if len(secret.Data["hadoop-jindofs-worker-3.crt"]) == 0 {
		t.Error("the fourth worker has no certificate")
	}
	labels := names.Labels("hadoop", "worker")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "hadoop-jindofs-worker-3", Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes are available",
	}}
	if err := c.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		c.triggerReconcile(t, ns)
		r, err := c.runtime(t.Context(), ns, "hadoop")
		if err != nil {
			return err
		}
		return checkCondition(&r.Status, v1alpha1.RuntimePlacementBlocked, corev1.ConditionTrue, "placement: Shared")
	})
}

func TestPodSecurityForbidsPods(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	c.create(t, ns, manifest(t, "seed.yaml"))
	set := &appsv1.StatefulSet{}
	c.waitFor(t, ns, "hadoop-jindofs-worker", set)
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: ns, Name: "refused"},
		InvolvedObject: corev1.ObjectReference{Kind: "StatefulSet", Namespace: ns, Name: set.Name, UID: set.UID},
		Reason:         "FailedCreate", Message: `pods "hadoop-jindofs-worker-0" is forbidden: violates PodSecurity "restricted:latest": hostPath volumes`,
		LastTimestamp: metav1.Now(), Type: corev1.EventTypeWarning,
	}
	if err := c.Create(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimePodSecurityForbidden, corev1.ConditionTrue, "volumeType: emptyDir")
	})
}

func TestMissingCredentials(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	set := func(problems ...runtime.Problem) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.problems[ns] = problems
	}
	set(runtime.Problem{Mount: "hadoop", Message: "Secret keys not found: create it"})
	c.create(t, ns, manifest(t, "seed.yaml"))
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeCredentialsReady, corev1.ConditionFalse, "mount hadoop: Secret keys not found")
	})
	set()
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeCredentialsReady, corev1.ConditionTrue, "")
	})
}

func TestDeletion(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	step := func(s runtime.Teardown) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.steps[ns] = s
	}
	step(runtime.Teardown{Blocked: "pod reader mounts PersistentVolumeClaim hbase"})
	r, err := c.runtime(t.Context(), ns, "hadoop")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeDeletionBlocked, corev1.ConditionTrue, "pod reader")
	})
	// The pods that block it are served on: their credentials are renewed.
	synced := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.synced[ns]
	}
	before := synced()
	eventually(t, func() error {
		if now := synced(); now == before {
			return fmt.Errorf("credentials are not renewed: %d synchronizations", now)
		}
		return nil
	})
	step(runtime.Teardown{Done: true})
	eventually(t, func() error {
		_, err := c.runtime(t.Context(), ns, "hadoop")
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("the runtime still exists: %w", err)
		}
		return nil
	})
}

// The volume of a deleted claim is released for the next claim.
func TestReleasedVolume(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	name := names.ScopeOf(ns, "hadoop", "").MasterVolume(0)
	eventually(t, func() error {
		volume := &corev1.PersistentVolume{}
		c.mustGet(t, "", name, volume)
		volume.Spec.ClaimRef.UID, volume.Spec.ClaimRef.ResourceVersion = "gone", "1"
		return c.Update(t.Context(), volume)
	})
	eventually(t, func() error {
		volume := &corev1.PersistentVolume{}
		c.mustGet(t, "", name, volume)
		volume.Status.Phase = corev1.VolumeReleased
		return c.Status().Update(t.Context(), volume)
	})
	eventually(t, func() error {
		volume := &corev1.PersistentVolume{}
		c.mustGet(t, "", name, volume)
		if volume.Spec.ClaimRef.UID != "" || volume.Spec.ClaimRef.Name != names.MasterClaim("hadoop", 0) {
			return fmt.Errorf("claimRef %+v", volume.Spec.ClaimRef)
		}
		return nil
	})
}

// The status follows changes of the leader and the loss of masters.
func TestLeaderChanges(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	c.masters.change(ns, func(s *fakeSet) { s.leader, s.term = "hadoop-jindofs-master-2", 4 })
	c.run(t, ns, "hadoop", plan.RoleMaster, 2)
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.Raft.Leader != "hadoop-jindofs-master-2" || s.Raft.Term != 4 || s.MasterPhase != v1alpha1.RuntimePhasePartialReady {
			return fmt.Errorf("raft %+v, phase %s", s.Raft, s.MasterPhase)
		}
		return nil
	})
	c.masters.change(ns, func(s *fakeSet) { s.leader = "" })
	c.run(t, ns, "hadoop", plan.RoleMaster, 0)
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.Raft.Leader != "" || s.Raft.Members[0].State != "UNKNOWN" {
			return fmt.Errorf("raft %+v", s.Raft)
		}
		if !s.Formation.Formed {
			return fmt.Errorf("the cluster is not formed any more")
		}
		return wantPhases("NotReady/Ready/Ready")(s)
	})
}
