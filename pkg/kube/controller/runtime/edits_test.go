package runtime_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

func TestEditsAreNotApplied(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
		one := int32(1)
		r.Spec.Master.Replicas = &one
		r.Spec.TieredStore.Levels[0].Path = "/elsewhere"
		r.Spec.JindoVersion.ImageTag = "v99"
	})
	runtime := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		for _, part := range []string{"spec.master.replicas remains 3", "spec.tieredstore is unchanged", "docker.io/jindo-io/jindo:v99"} {
			if err := checkCondition(s, v1alpha1.RuntimeChangeNotApplied, corev1.ConditionTrue, part); err != nil {
				return err
			}
		}
		return nil
	})
	masters, workers := &appsv1.StatefulSet{}, &appsv1.StatefulSet{}
	c.mustGet(t, ns, "hadoop-jindofs-master", masters)
	c.mustGet(t, ns, "hadoop-jindofs-worker", workers)
	if *masters.Spec.Replicas != 3 || masters.Spec.Template.Spec.Containers[0].Image != image {
		t.Errorf("masters changed: %d of %s", *masters.Spec.Replicas, masters.Spec.Template.Spec.Containers[0].Image)
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
		r.Spec.JindoVersion.ImageTag = ""
	})
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, "", "")
	})
}

func TestMountEditsAreNotApplied(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	edit := func(endpoint string) {
		t.Helper()
		eventually(t, func() error {
			d := &v1alpha1.Dataset{}
			c.mustGet(t, ns, "hbase", d)
			d.Spec.Mounts[0].Options["fs.oss.endpoint"] = endpoint
			return c.Update(t.Context(), d)
		})
	}
	mounted := func() string {
		endpoint := ""
		c.masters.change(ns, func(s *fakeSet) { endpoint = s.view.GetMounts()[0].GetOptions()["fs.oss.endpoint"] })
		return endpoint
	}
	edit("another.example.com")
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, corev1.ConditionTrue, "mount hadoop")
	})
	if got := mounted(); got == "another.example.com" {
		t.Error("a mount in use was changed")
	}
	// A mount that never worked is changed.
	c.report(ns, 0, -1, -1, "no such host")
	c.triggerReconcile(t, ns)
	eventually(t, func() error {
		if got := mounted(); got != "another.example.com" {
			return fmt.Errorf("mounted with endpoint %s", got)
		}
		return nil
	})
}

// Pods that were created by a controller of another image keep their template, which
// their image supports.
func TestControllerUpgradeKeepsTemplates(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	const earlier = "docker.io/jindo-io/jindo:earlier"
	// Simulate objects of the earlier controller. A pass in progress restores the
	// newer template, so repeat until the change persists.
	set, config := &appsv1.StatefulSet{}, &corev1.ConfigMap{}
	eventually(t, func() error {
		c.mustGet(t, ns, "hadoop-jindofs-config", config)
		if applied := config.Annotations["jindo.io/applied"]; !strings.Contains(applied, earlier) {
			config.Annotations["jindo.io/applied"] = strings.Replace(applied, image, earlier, 1)
			return errors.Join(errors.New("the annotation was replaced"), c.Update(t.Context(), config))
		}
		c.mustGet(t, ns, "hadoop-jindofs-worker", set)
		if args := set.Spec.Template.Spec.Containers[0].Args; len(args) != 1 {
			set.Spec.Template.Spec.Containers[0].Args = []string{"--as-it-was"}
			return errors.Join(errors.New("the template was replaced"), c.Update(t.Context(), set))
		}
		latest, err := c.runtime(t.Context(), ns, "hadoop")
		if err != nil {
			return err
		}
		return checkCondition(&latest.Status, v1alpha1.RuntimeUpdatePending, corev1.ConditionTrue, earlier)
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
}
