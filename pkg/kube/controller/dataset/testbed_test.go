package dataset_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/controller/dataset"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// testbed is a reconciler with a fake API server that binds volumes immediately.
type testbed struct {
	t      *testing.T
	c      client.WithWatch
	events *events.FakeRecorder
	r      *dataset.Reconciler
	writes *writes
}

// writes counts writes of objects.
type writes struct{ n int }

func (w *writes) funcs() interceptor.Funcs {
	return interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			w.n++
			return c.Apply(ctx, o, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			w.n++
			return c.Delete(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			w.n++
			return c.Patch(ctx, o, p, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			w.n++
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	}
}

func newTestbed(t *testing.T, objects ...client.Object) *testbed {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	counted := &writes{}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithReturnManagedFields().
		WithStatusSubresource(&v1alpha1.Dataset{}, &v1alpha1.JindoRuntime{}, &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}).
		WithInterceptorFuncs(counted.funcs()).Build()
	recorder := events.NewFakeRecorder(1000)
	r := &dataset.Reconciler{Client: c, Live: c, Recorder: recorder, SystemNamespace: "fluid-system"}
	return &testbed{t, c, recorder, r, counted}
}

const namespace = "default"

var hbase = types.NamespacedName{Namespace: namespace, Name: "hbase"}

// reconcile reconciles once, and binds the claim as Kubernetes does.
func (s *testbed) reconcile() reconcile.Result {
	s.t.Helper()
	result, err := s.r.Reconcile(s.t.Context(), reconcile.Request{NamespacedName: hbase})
	if err != nil {
		s.t.Fatal(err)
	}
	pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	if s.get(hbase, pvc) && s.get(types.NamespacedName{Name: "default-hbase"}, pv) && pvc.Status.Phase == "" && pv.Spec.ClaimRef != nil {
		pvc.UID = "claim-uid"
		pv.Spec.ClaimRef.UID = pvc.UID
		s.update(pv)
		s.update(pvc)
		pvc.Status.Phase = corev1.ClaimBound
		s.status(pvc)
	}
	return result
}

// settle reconciles until nothing is written.
func (s *testbed) settle() {
	s.t.Helper()
	for range 20 {
		before := s.writes.n
		s.reconcile()
		if s.writes.n == before {
			return
		}
	}
	s.t.Fatal("the reconciler does not stop writing")
}

func (s *testbed) get(name types.NamespacedName, object client.Object) bool {
	s.t.Helper()
	err := s.c.Get(s.t.Context(), name, object)
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

func (s *testbed) update(object client.Object) {
	s.t.Helper()
	if err := s.c.Update(s.t.Context(), object); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testbed) status(object client.Object) {
	s.t.Helper()
	if err := s.c.Status().Update(s.t.Context(), object); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testbed) delete(object client.Object) {
	s.t.Helper()
	if err := s.c.Delete(s.t.Context(), object); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testbed) create(object client.Object) {
	s.t.Helper()
	if err := s.c.Create(s.t.Context(), object); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testbed) dataset() *v1alpha1.Dataset {
	s.t.Helper()
	d := &v1alpha1.Dataset{}
	if !s.get(hbase, d) {
		s.t.Fatal("Dataset not found")
	}
	return d
}

// checkStatus checks the phase and the conditions. A condition is written
// TYPE=STATUS/REASON: PART OF THE MESSAGE, and -TYPE means that it must not exist.
func (s *testbed) checkStatus(phase v1alpha1.DatasetPhase, conditions ...string) {
	s.t.Helper()
	d := s.dataset()
	if d.Status.Phase != phase {
		s.t.Errorf("phase %q, want %q: %+v", d.Status.Phase, phase, d.Status.Conditions)
	}
	for _, want := range conditions {
		if absent, found := strings.CutPrefix(want, "-"); found {
			for _, c := range d.Status.Conditions {
				if string(c.Type) == absent {
					s.t.Errorf("unexpected condition %s: %s", absent, c.Message)
				}
			}
			continue
		}
		head, message, _ := strings.Cut(want, ": ")
		matches := false
		for _, c := range d.Status.Conditions {
			if string(c.Type)+"="+string(c.Status)+"/"+c.Reason == head && strings.Contains(c.Message, message) && c.ObservedGeneration == d.Generation {
				matches = true
			}
		}
		if !matches {
			s.t.Errorf("no condition %q in %+v", want, d.Status.Conditions)
		}
	}
}

// countEvents returns the number of events with a text since the last call.
func (s *testbed) countEvents(text string) int {
	n := 0
	for {
		select {
		case e := <-s.events.Events:
			if strings.Contains(e, text) {
				n++
			}
		default:
			return n
		}
	}
}

func newDataset() *v1alpha1.Dataset {
	return &v1alpha1.Dataset{
		ObjectMeta: metav1.ObjectMeta{Name: "hbase", Namespace: namespace, UID: "dataset-uid", Generation: 1},
		Spec: v1alpha1.DatasetSpec{Mounts: []v1alpha1.Mount{{
			MountPoint: "oss://bucket/data/", Name: "hadoop",
			Options: map[string]string{"fs.oss.endpoint": "oss-cn-beijing.aliyuncs.com", "fs.oss.accessKeyId": "AK", "fs.oss.accessKeySecret": "SK"},
		}}},
	}
}

func newRuntime(name, serves string, at int64) *v1alpha1.JindoRuntime {
	r := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: namespace, UID: types.UID("uid-" + name), CreationTimestamp: metav1.Unix(at, 0), Finalizers: []string{names.RuntimeFinalizer},
	}}
	r.Spec.Master.Replicas = new(int32(3))
	r.Status.ScopeName = namespace + "-" + name
	if serves != "" {
		r.Annotations = map[string]string{v1alpha1.DatasetAnnotation: serves}
	}
	return r
}

// makeReady sets the status of a ready runtime.
func (s *testbed) makeReady(name string) {
	s.t.Helper()
	s.runtimeStatus(name, func(status *v1alpha1.RuntimeStatus) {
		status.MasterPhase, status.WorkerPhase, status.FusePhase = v1alpha1.RuntimePhaseReady, v1alpha1.RuntimePhaseReady, v1alpha1.RuntimePhaseReady
		status.Mounts = []v1alpha1.Mount{{Name: "hadoop", Path: "/hadoop", MountPoint: "oss://bucket/data/"}}
		status.UfsTotal, status.FileNum = "1.00GiB", "7"
		status.CacheStates = v1alpha1.CacheStateList{v1alpha1.CacheStateCached: "0.00B"}
		status.Conditions = []v1alpha1.RuntimeCondition{{Type: v1alpha1.RuntimeMountsReady, Status: corev1.ConditionTrue, Reason: "MountsAnswer"}}
	})
}

// editRuntime changes the spec of a runtime.
func (s *testbed) editRuntime(name string, change func(*v1alpha1.JindoRuntime)) {
	s.t.Helper()
	r := &v1alpha1.JindoRuntime{}
	if !s.get(types.NamespacedName{Namespace: namespace, Name: name}, r) {
		s.t.Fatalf("JindoRuntime %s not found", name)
	}
	change(r)
	s.update(r)
}

func (s *testbed) runtimeStatus(name string, change func(*v1alpha1.RuntimeStatus)) {
	s.t.Helper()
	r := &v1alpha1.JindoRuntime{}
	if !s.get(types.NamespacedName{Namespace: namespace, Name: name}, r) {
		s.t.Fatalf("JindoRuntime %s not found", name)
	}
	change(&r.Status)
	s.status(r)
}

func pod(name, claim string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: corev1.PodSpec{NodeName: "node-1", Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}}},
		Status: corev1.PodStatus{Phase: phase},
	}
}
