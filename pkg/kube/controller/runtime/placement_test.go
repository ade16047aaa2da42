package runtime_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestForeignVolumesAreKept checks that a volume with the name of a master's is neither
// used nor changed. Of an earlier runtime the removal is awaited; a runtime that finds
// others has names of its own.
func TestForeignVolumesAreKept(t *testing.T) {
	t.Parallel()
	c := start(t)
	for owner, row := range map[string]struct {
		name    string
		differs bool
	}{
		"an earlier runtime":           {"hadoop", false},
		"a runtime of other namespace": {"other", true},
		"a person":                     {"", true},
	} {
		ns := c.namespace(t)
		expected := names.ScopeOf(ns, "hadoop", "")
		c.foreignVolume(t, ns, row.name)
		c.create(t, ns, manifest(t, "seed.yaml"))
		scope := expected
		if row.differs {
			scope = expected.Distinct(0)
			c.waitFor(t, "", scope.MasterVolume(0), &corev1.PersistentVolume{})
		} else {
			c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
				return checkCondition(s, v1alpha1.RuntimePlacementBlocked, corev1.ConditionTrue, "of an earlier runtime still exists")
			})
		}
		r, err := c.runtime(t.Context(), ns, "hadoop")
		if err != nil {
			t.Fatal(err)
		}
		if r.Status.ScopeName != scope.Name {
			t.Errorf("volume of %s: the runtime has the scope %s, want %s", owner, r.Status.ScopeName, scope.Name)
		}
		volume := &corev1.PersistentVolume{}
		c.mustGet(t, "", expected.MasterVolume(0), volume)
		if volume.Spec.HostPath.Path != "/theirs" || volume.Labels[names.LabelRuntimeUID] != "another" || len(volume.ManagedFields) != 1 {
			t.Errorf("volume of %s was changed: %v, %v", owner, volume.Spec.HostPath, volume.Labels)
		}
	}
}

// foreignVolume creates a volume with the name of that of the first master of ns/hadoop.
// A volume without the name of a runtime is not managed.
func (c *cluster) foreignVolume(t *testing.T, ns, runtime string) {
	t.Helper()
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{
		Name: names.ScopeOf(ns, "hadoop", "").MasterVolume(0), Labels: map[string]string{names.LabelRuntimeUID: "another"},
	}}
	if runtime != "" {
		volume.Labels[names.LabelManagedBy], volume.Labels[names.LabelRuntimeNamespace], volume.Labels[names.LabelRuntimeName] = names.ManagedBy, ns, runtime
	}
	volume.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	volume.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	volume.Spec.HostPath = &corev1.HostPathVolumeSource{Path: "/theirs"}
	if err := c.Create(t.Context(), volume); err != nil {
		t.Fatal(err)
	}
}
