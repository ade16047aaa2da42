package dataset_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestForeignVolumes: foreign volumes of the same name are not changed.
func TestForeignVolumes(t *testing.T) {
	for _, object := range []client.Object{
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "hbase", Namespace: namespace}},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "default-hbase"}},
	} {
		s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1), object, pod("reader", "hbase", corev1.PodRunning))
		s.settle()
		s.makeReady("hadoop")
		s.settle()
		s.checkStatus(v1alpha1.FailedDatasetPhase, "Ready=False/VolumeConflict: does not belong to this Dataset")
		s.delete(newDataset())
		s.settle()
		if s.get(hbase, &v1alpha1.Dataset{}) {
			t.Error("the Dataset still exists")
		}
		if err := s.c.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			t.Errorf("the foreign object was removed: %v", err)
		}
	}
}

// TestReleasedVolume: a claim is deleted manually and created again while the volume
// still refers to the old claim.
func TestReleasedVolume(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.makeReady("hadoop")
	s.settle()
	pvc := &corev1.PersistentVolumeClaim{}
	s.get(hbase, pvc)
	s.delete(pvc)
	s.reconcile()
	pv := &corev1.PersistentVolume{}
	if s.get(types.NamespacedName{Name: "default-hbase"}, pv); pv.Spec.ClaimRef.UID == "claim-uid" && !s.get(hbase, pvc) {
		t.Error("the volume still refers to the deleted claim")
	}
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady")
}

func TestDeletion(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1), pod("done", "hbase", corev1.PodSucceeded), pod("other", "else", corev1.PodRunning))
	waiting := pod("pending", "hbase", corev1.PodPending)
	waiting.Spec.NodeName = ""
	s.create(waiting)
	s.create(pod("reader", "hbase", corev1.PodRunning))
	s.settle()
	s.makeReady("hadoop")
	s.settle()
	s.delete(newDataset())
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "DeletionBlocked=True/PodsMountIt: pod reader mounts PersistentVolumeClaim hbase", "Ready=True/DatasetReady")
	if n := s.countEvents("pod reader mounts"); n != 1 {
		t.Errorf("%d events", n)
	}
	if result := s.reconcile(); result.RequeueAfter == 0 || result.RequeueAfter > 30*time.Second {
		t.Errorf("requeued after %s", result.RequeueAfter)
	}
	s.checkVolume("hadoop")
	s.delete(pod("reader", "hbase", ""))
	s.settle()
	if s.get(hbase, &v1alpha1.Dataset{}) || s.get(hbase, &corev1.PersistentVolumeClaim{}) || s.get(types.NamespacedName{Name: "default-hbase"}, &corev1.PersistentVolume{}) {
		t.Error("objects left")
	}
}

// TestStuckVolumes: Kubernetes does not remove its finalizers from unused objects.
func TestStuckVolumes(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	for _, object := range []client.Object{&corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}} {
		name, finalizer := hbase, "kubernetes.io/pvc-protection"
		if _, ok := object.(*corev1.PersistentVolume); ok {
			name, finalizer = types.NamespacedName{Name: "default-hbase"}, "kubernetes.io/pv-protection"
		}
		s.get(name, object)
		object.SetFinalizers([]string{finalizer})
		s.update(object)
	}
	s.delete(newDataset())
	s.settle()
	if !s.get(hbase, &v1alpha1.Dataset{}) {
		t.Fatal("finalizers were removed too early")
	}
	s.r.ProtectionTimeout = time.Nanosecond
	s.settle()
	if s.get(hbase, &v1alpha1.Dataset{}) {
		t.Error("the Dataset still exists")
	}
}

// TestOtherRuntimes: Datasets of other kinds of runtimes are not changed.
func TestOtherRuntimes(t *testing.T) {
	d := newDataset()
	d.Finalizers = []string{names.DatasetFinalizer}
	d.Status = v1alpha1.DatasetStatus{Phase: v1alpha1.BoundDatasetPhase, Runtimes: []v1alpha1.Runtime{{Name: "hbase", Type: "alluxio"}}, Conditions: []v1alpha1.DatasetCondition{{Type: "Ready", Status: "True"}}}
	s := newTestbed(t, d, pod("reader", "hbase", corev1.PodRunning))
	s.settle()
	if s.writes.n != 0 {
		t.Errorf("%d writes", s.writes.n)
	}
	s.delete(newDataset())
	s.settle()
	got := s.dataset().Status
	if len(got.Conditions) != 2 || got.Runtimes[0].Type != "alluxio" {
		t.Errorf("status %+v", got)
	}
	s.delete(pod("reader", "hbase", ""))
	s.settle()
	if s.get(hbase, &v1alpha1.Dataset{}) {
		t.Error("the Dataset still exists")
	}
}

// TestTerminatingRuntime: a terminating runtime serves until its volume is removed,
// and the Dataset does not create it again.
func TestTerminatingRuntime(t *testing.T) {
	runtime := newRuntime("hadoop", "hbase", 1)
	s := newTestbed(t, newDataset(), runtime)
	s.settle()
	s.makeReady("hadoop")
	s.settle()
	s.delete(runtime)
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady")
	pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	s.get(hbase, pvc)
	s.delete(pvc)
	s.get(types.NamespacedName{Name: "default-hbase"}, pv)
	s.delete(pv)
	s.settle()
	s.checkStatus(v1alpha1.NotBoundDatasetPhase, "Ready=False/NotBound: is being deleted")
	if s.get(hbase, pvc) {
		t.Error("the claim was created again")
	}
	if status := s.dataset().Status; len(status.Runtimes)+len(status.Mounts)+len(status.CacheStates) > 0 || status.HCFSStatus != nil {
		t.Errorf("status %+v", status)
	}
}
