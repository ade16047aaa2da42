package runtime_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// A volume with the name of a master's that belongs to an earlier runtime, to one of
// another namespace or to no runtime is neither used nor changed, and what to do is
// said.
func TestForeignVolumesAreKept(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	for ordinal, row := range []struct{ namespace, name, says string }{
		{ns, "hadoop", "of an earlier runtime still exists"},
		{ns + "-x", "other", "give this runtime another name"},
		{"", "", "does not belong to a JindoRuntime"},
	} {
		volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{
			Name: names.MasterVolume(ns, "hadoop", ordinal),
			Labels: map[string]string{
				names.LabelRuntimeNamespace: row.namespace, names.LabelRuntimeName: row.name, names.LabelRuntimeUID: "another",
			},
		}}
		if row.name != "" {
			volume.Labels[names.LabelManagedBy] = names.ManagedBy
		}
		volume.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		volume.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
		volume.Spec.HostPath = &corev1.HostPathVolumeSource{Path: "/theirs"}
		if err := c.Create(t.Context(), volume); err != nil {
			t.Fatal(err)
		}
	}
	c.create(t, ns, manifest(t, "seed.yaml"))
	for ordinal, says := range []string{"of an earlier runtime still exists", "give this runtime another name", "does not belong to a JindoRuntime"} {
		c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
			return checkCondition(s, v1alpha1.RuntimePlacementBlocked, corev1.ConditionTrue, says)
		})
		volume := &corev1.PersistentVolume{}
		c.mustGet(t, "", names.MasterVolume(ns, "hadoop", ordinal), volume)
		if volume.Spec.HostPath.Path != "/theirs" || volume.Labels[names.LabelRuntimeUID] != "another" || len(volume.ManagedFields) != 1 {
			t.Errorf("volume %d was changed: %v, %v", ordinal, volume.Spec.HostPath, volume.Labels)
		}
	}
}
