package cluster

import (
	"errors"
	"log/slog"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// owned returns metadata with an owner reference.
func owned(name, uid, kind, owner, ownerUID string, controller bool) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(uid), OwnerReferences: []metav1.OwnerReference{{
		APIVersion: "v1", Kind: kind, Name: owner, UID: types.UID(ownerUID), Controller: &controller,
	}}}
}

func TestCheckOwned(t *testing.T) {
	const worker, fuse = "hadoop-jindofs-worker", "hadoop-jindofs-fuse"
	podOf := func(name, kind, owner, uid string, controller bool) *corev1.Pod {
		pod := &corev1.Pod{ObjectMeta: owned(name, "pod-"+name, kind, owner, uid, controller)}
		pod.Spec.NodeName = "node-a"
		return pod
	}
	set := func(name, uid, runtimeName, runtimeUID string) *appsv1.StatefulSet {
		return &appsv1.StatefulSet{ObjectMeta: owned(name, uid, "JindoRuntime", runtimeName, runtimeUID, true)}
	}
	objects := []runtime.Object{
		set(worker, "sts", "hadoop", "rt"),
		&appsv1.DaemonSet{ObjectMeta: owned(fuse, "ds", "JindoRuntime", "hadoop", "rt", true)},
		// A workload that a user created in the place of a runtime's.
		set("other-jindofs-worker", "sts-other", "other", "earlier"),
		&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lone-jindofs-worker", UID: "sts-lone"}},
		podOf("worker", "StatefulSet", worker, "sts", true),
		podOf("fuse", "DaemonSet", fuse, "ds", true),
		podOf("old", "StatefulSet", worker, "sts-before", true),
		podOf("owner", "StatefulSet", worker, "sts", false),
		podOf("master", "StatefulSet", "hadoop-jindofs-master", "sts-master", true),
		podOf("of-other", "StatefulSet", "other-jindofs-worker", "sts-other", true),
		podOf("of-lone", "StatefulSet", "lone-jindofs-worker", "sts-lone", true),
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "plain", UID: "pod-plain", Labels: names.Labels("hadoop", "worker")}, Spec: corev1.PodSpec{NodeName: "node-a"}},
	}
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	runtimeOf := func(name, uid string) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "data.fluid.io/v1alpha1", Kind: "JindoRuntime"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(uid)},
		}
	}
	metadata := metadatafake.NewSimpleMetadataClient(scheme, runtimeOf("hadoop", "rt"), runtimeOf("other", "now"), runtimeOf("lone", "l"))
	c, err := New(fake.NewClientset(objects...), metadata, "node-a", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		pod, runtime, role string
		owned              bool
	}{
		{"worker", "hadoop", names.RoleWorker, true},
		{"fuse", "hadoop", names.RoleFuse, true},
		{"worker", "hadoop", names.RoleFuse, false},
		{"fuse", "hadoop", names.RoleWorker, false},
		{"master", "hadoop", names.RoleWorker, false},
		{"worker", "other", names.RoleWorker, false},
		{"plain", "hadoop", names.RoleWorker, false},
		{"old", "hadoop", names.RoleWorker, false},
		{"owner", "hadoop", names.RoleWorker, false},
		{"of-other", "other", names.RoleWorker, false},
		{"of-lone", "lone", names.RoleWorker, false},
		{"worker", "hadoop", "master", false},
	} {
		err := c.CheckOwned(t.Context(), records.Pod{Namespace: "ns", Name: test.pod, UID: "pod-" + test.pod}, records.Runtime{Namespace: "ns", Name: test.runtime}, test.role)
		if (err == nil) != test.owned || err != nil && !errors.Is(err, ErrNotOwned) {
			t.Errorf("pod %s, runtime %s, role %s: %v", test.pod, test.runtime, test.role, err)
		}
	}
	for pod, uid := range map[string]string{"worker": "another", "gone": "pod-gone"} {
		if err := c.CheckOwned(t.Context(), records.Pod{Namespace: "ns", Name: pod, UID: uid}, records.Runtime{Namespace: "ns", Name: "hadoop"}, names.RoleWorker); err == nil {
			t.Errorf("pod %s with uid %s is accepted", pod, uid)
		}
	}
	if err := c.CheckOwned(t.Context(), records.Pod{Namespace: "ns", Name: "worker", UID: "pod-worker"}, records.Runtime{Namespace: "ns", Name: "none"}, names.RoleWorker); err == nil || errors.Is(err, ErrNotOwned) {
		t.Errorf("a runtime without workloads: %v", err)
	}
}
