package runtime_test

import (
	"errors"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

func TestEditsAreNotApplied(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
		one := int32(1)
		r.Spec.Master.Replicas = &one
		r.Spec.TieredStore.Levels[0].Path = "/elsewhere"
	})
	runtime := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		for _, part := range []string{"spec.master.replicas remains 3", "spec.tieredstore is unchanged"} {
			if err := checkCondition(s, v1alpha1.RuntimeChangeNotApplied, corev1.ConditionTrue, part); err != nil {
				return err
			}
		}
		return nil
	})
	masters, workers := &appsv1.StatefulSet{}, &appsv1.StatefulSet{}
	c.mustGet(t, ns, "hadoop-jindofs-master", masters)
	c.mustGet(t, ns, "hadoop-jindofs-worker", workers)
	if *masters.Spec.Replicas != 3 {
		t.Errorf("%d masters", *masters.Spec.Replicas)
	}
	for _, v := range workers.Spec.Template.Spec.Volumes {
		if v.HostPath != nil && contains(v.HostPath.Path, "elsewhere") {
			t.Errorf("the workers' tier changed to %s", v.HostPath.Path)
		}
	}
	if phases(&runtime.Status) != "Ready/Ready/Ready" {
		t.Errorf("phases %s", phases(&runtime.Status))
	}
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
		three := int32(3)
		r.Spec.Master.Replicas = &three
		r.Spec.TieredStore.Levels[0].Path = "/mnt/disk1"
	})
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, "", "")
	})
}

// Pods that were created by a controller of another image keep their template, which
// their image supports, until an update is requested.
func TestControllerUpgradeKeepsTemplates(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	const earlier = "docker.io/jindo-io/jindo:earlier"
	// Simulate objects of the earlier controller. A pass in progress restores the
	// newer template, so repeat until the change persists.
	set := &appsv1.StatefulSet{}
	eventually(t, func() error {
		r, err := c.runtime(t.Context(), ns, "hadoop")
		if err != nil {
			return err
		}
		if r.Status.Effective.Renderer != earlier {
			r.Status.Effective.Renderer, r.Status.Effective.Images.Jindo = earlier, earlier
			return errors.Join(errors.New("the record was replaced"), c.Status().Update(t.Context(), r))
		}
		c.mustGet(t, ns, "hadoop-jindofs-worker", set)
		if args := set.Spec.Template.Spec.Containers[0].Args; len(args) != 1 {
			set.Spec.Template.Spec.Containers[0].Args = []string{"--as-it-was"}
			return errors.Join(errors.New("the template was replaced"), c.Update(t.Context(), set))
		}
		return checkCondition(&r.Status, v1alpha1.RuntimeUpdatePending, corev1.ConditionTrue, earlier)
	})
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
		four := int32(4)
		r.Spec.Replicas = &four
	})
	eventually(t, func() error {
		c.mustGet(t, ns, "hadoop-jindofs-worker", set)
		if *set.Spec.Replicas != 4 {
			return fmt.Errorf("%d workers, want 4", *set.Spec.Replicas)
		}
		return nil
	})
	if got := set.Spec.Template.Spec.Containers[0].Args; len(got) != 1 || got[0] != "--as-it-was" {
		t.Errorf("template changed: %v", got)
	}
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
		r.Annotations[v1alpha1.UpdatesAnnotation] = v1alpha1.UpdatesAutomatic
	})
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.Effective.Renderer != image || s.Images.Jindo != image {
			return fmt.Errorf("renderer %s, images %+v", s.Effective.Renderer, s.Images)
		}
		return checkCondition(s, v1alpha1.RuntimeUpdatePending, "", "")
	})
	eventually(t, func() error {
		c.mustGet(t, ns, "hadoop-jindofs-worker", set)
		if got := set.Spec.Template.Spec.Containers[0].Args; len(got) == 1 {
			return fmt.Errorf("template %v", got)
		}
		return nil
	})
}

// An edit that only the validator refuses is reported, and what runs is served on.
func TestInvalidEditServesOn(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Annotations[v1alpha1.DatasetAnnotation] = "My Data" })
	c.run(t, ns, "hadoop", plan.RoleMaster, 0)
	r := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.MasterPhase != v1alpha1.RuntimePhaseNotReady {
			return fmt.Errorf("no master is ready, and the phase is %s", s.MasterPhase)
		}
		return checkCondition(s, v1alpha1.RuntimeSpecValid, corev1.ConditionFalse, "not a valid Dataset name")
	})
	if r.Status.Effective.Dataset == nil || len(r.Status.Mounts) != 1 {
		t.Errorf("the Dataset is not served any more: %+v", r.Status.Mounts)
	}
}

// The mounts remain while pods mount the claim of the Dataset.
func TestUnbindingWaitsForPods(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	reader := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node1", Containers: []corev1.Container{{Name: "c", Image: "i"}}, Volumes: []corev1.Volume{{
		Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "hbase"}},
	}}}}
	reader.Namespace, reader.Name = ns, "reader"
	if err := c.Create(t.Context(), reader); err != nil {
		t.Fatal(err)
	}
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Annotations = nil })
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if len(s.Mounts) != 1 {
			return fmt.Errorf("mounts %+v", s.Mounts)
		}
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, corev1.ConditionTrue, "reader")
	})
	if err := c.Delete(t.Context(), reader, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	c.triggerReconcile(t, ns)
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if len(s.Mounts) > 0 {
			return fmt.Errorf("still mounted: %+v", s.Mounts)
		}
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, "", "")
	})
}

// An edit of tiers that leaves the masters' volumes where they are replaces the workers,
// and nothing else.
func TestTiersAreChanged(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
		r.Spec.TieredStore.Levels[0].Path, r.Spec.TieredStore.Levels[0].Quota = "/mnt/disk1,/mnt/disk2", "4Gi"
	})
	runtime := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.Transition == nil {
			return fmt.Errorf("no transition: %+v", s.Conditions)
		}
		if err := checkCondition(s, v1alpha1.RuntimeChangeNotApplied, "", ""); err != nil {
			return err
		}
		return checkCondition(s, v1alpha1.RuntimeUpdating, corev1.ConditionTrue, "of 3: replace hadoop-jindofs-worker-")
	})
	for _, step := range runtime.Status.Transition.Steps {
		if step.Role != string(plan.RoleWorker) {
			t.Errorf("step %+v", step)
		}
	}
	workers := &appsv1.StatefulSet{}
	c.mustGet(t, ns, "hadoop-jindofs-worker", workers)
	tiers := 0
	for _, arg := range workers.Spec.Template.Spec.Containers[0].Args {
		if contains(arg, "--tier=HDD:") && contains(arg, ":2147483648:") {
			tiers++
		}
	}
	if tiers != 2 {
		t.Errorf("%d tiers of 2Gi in %v", tiers, workers.Spec.Template.Spec.Containers[0].Args)
	}
}

// Each valid spec is in the history, and with an earlier one the runtime gets the pod
// templates that it had then.
func TestAnEditIsUndone(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	template := func() string {
		set := &appsv1.StatefulSet{}
		c.mustGet(t, ns, "hadoop-jindofs-worker", set)
		return set.Spec.Template.Annotations[names.AnnotationTemplate]
	}
	before := template()
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Spec.Worker.Env = map[string]string{"A": "1"} })
	eventually(t, func() error {
		if template() == before {
			return errors.New("the template is not changed yet")
		}
		return nil
	})
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
		r.Spec.Worker.VolumeMounts = []corev1.VolumeMount{{Name: "missing", MountPath: "/missing"}} // not valid
	})
	edited := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeSpecValid, corev1.ConditionFalse, "the runtime continues as before this edit")
	})
	history := edited.Status.History
	if len(history) != 2 || history[0].Spec.Worker.Env != nil || history[1].Spec.Worker.Env["A"] != "1" || history[1].Generation != 2 {
		t.Fatalf("history %+v", history)
	}
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Spec = history[0].Spec })
	eventually(t, func() error {
		if now := template(); now != before {
			return fmt.Errorf("template %s, before the edit %s", now, before)
		}
		return nil
	})
}
