package teardown_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/teardown"
)

func TestSweep(t *testing.T) {
	living := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Name: "hive", Namespace: namespace, UID: "uid-2"}}
	hive := map[string]string{names.LabelRuntimeNamespace: namespace, names.LabelRuntimeName: "hive", names.LabelRuntimeUID: "uid-2"}
	cleaner := func(name, uid string) *corev1.Pod {
		labels := names.Labels("x", "cleaner")
		labels[names.LabelRuntimeUID] = uid
		return &corev1.Pod{ObjectMeta: meta(system, name, labels)}
	}
	alluxio := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: "alluxio", Namespace: namespace}}
	alluxio.Status.Runtimes = []v1alpha1.Runtime{{Name: "alluxio", Type: "alluxio"}}
	removed := []client.Object{
		&corev1.PersistentVolume{ObjectMeta: meta("", "default-hbase", runtimeLabels()), Spec: corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: namespace, Name: "hbase"}}},
		&corev1.PersistentVolume{ObjectMeta: meta("", names.ScopeOf(namespace, "hadoop", "").MasterVolume(0), runtimeLabels())},
		&corev1.Secret{ObjectMeta: meta(system, names.AuthoritySecret("uid-1"), nil)},
		cleaner("c1", "uid-1"),
	}
	kept := []client.Object{
		&corev1.PersistentVolume{ObjectMeta: meta("", "default-hive", hive)},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "foreign"}},
		&corev1.PersistentVolume{ObjectMeta: meta("", "used", runtimeLabels()), Spec: corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: namespace, Name: "used", UID: "u"}}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "used", UID: "u"}},
		&corev1.Secret{ObjectMeta: meta(system, names.AuthoritySecret("uid-2"), nil)},
		&corev1.Secret{ObjectMeta: meta(system, "other", nil)},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "jindo-ca-mine"}},
		cleaner("c2", "uid-2"),
	}
	n := node("node-1", "fluid.io/s-default-hadoop", "fluid.io/f-default-hadoop", "fluid.io/s-default-hive", "fluid.io/f-default-hive",
		"fluid.io/s-default-alluxio", "fluid.io/s-alluxio-default-alluxio", "fluid.io/s-h-alluxio-t-default-alluxio", "fluid.io/dataset-num",
		"fluid.io/f-5b1c0d3e-7f55-4e6a-9a36-0f3c1d6c8f10", "fluid.io/s-5b1c0d3e-7f55-4e6a-9a36-0f3c1d6c8f10")
	s := newTestbed(t, slices.Concat(removed, kept, []client.Object{living, alluxio, n})...)
	for range 2 {
		s.must(teardown.Sweep(t.Context(), s.deps))
	}
	for _, o := range removed {
		if s.exists(o) {
			t.Errorf("%T %s still exists", o, o.GetName())
		}
	}
	for _, o := range kept {
		if !s.exists(o) {
			t.Errorf("%T %s was removed", o, o.GetName())
		}
	}
	s.exists(n)
	for label, want := range map[string]bool{
		"fluid.io/s-default-hadoop": false, "fluid.io/f-default-hadoop": false, "fluid.io/s-default-hive": true, "fluid.io/f-default-hive": true,
		"fluid.io/s-default-alluxio": true, "fluid.io/s-alluxio-default-alluxio": true, "fluid.io/s-h-alluxio-t-default-alluxio": true, "fluid.io/dataset-num": true, "keep": true,
		// Fluid's, of a Dataset with a long name.
		"fluid.io/f-5b1c0d3e-7f55-4e6a-9a36-0f3c1d6c8f10": true, "fluid.io/s-5b1c0d3e-7f55-4e6a-9a36-0f3c1d6c8f10": true,
	} {
		if _, got := n.Labels[label]; got != want {
			t.Errorf("label %s: %v, want %v", label, got, want)
		}
	}
}

// TestSweepWithoutRuntimes: if the runtimes cannot be listed, nothing is removed.
func TestSweepWithoutRuntimes(t *testing.T) {
	s := newTestbed(t, allObjects()...)
	s.deps.Live = interceptor.NewClient(s.c, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			if _, ok := l.(*v1alpha1.JindoRuntimeList); ok {
				return errors.New("unavailable")
			}
			return c.List(ctx, l, opts...)
		},
	})
	if err := teardown.Sweep(t.Context(), s.deps); err == nil {
		t.Error("Sweep returned no error")
	}
	for _, o := range allObjects() {
		if !s.exists(o) {
			t.Errorf("%T %s was removed", o, o.GetName())
		}
	}
}
