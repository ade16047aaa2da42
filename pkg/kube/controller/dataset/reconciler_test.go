package dataset_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// stand is a reconciler in front of a fake API server, in which volumes are
// bound at once.
type stand struct {
	t       *testing.T
	c       client.WithWatch
	events  *events.FakeRecorder
	r       *dataset.Reconciler
	counted *writes
}

// writes counts what changes an object.
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

func newStand(t *testing.T, objects ...client.Object) *stand {
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
	return &stand{t, c, recorder, r, counted}
}

const namespace = "default"

var hbase = types.NamespacedName{Namespace: namespace, Name: "hbase"}

// turn reconciles once, and binds the claim as Kubernetes does.
func (s *stand) turn() reconcile.Result {
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

// settle reconciles until nothing is written any more.
func (s *stand) settle() {
	s.t.Helper()
	for range 20 {
		before := s.counted.n
		s.turn()
		if s.counted.n == before {
			return
		}
	}
	s.t.Fatal("it never stops writing")
}

func (s *stand) get(name types.NamespacedName, object client.Object) bool {
	s.t.Helper()
	err := s.c.Get(s.t.Context(), name, object)
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

func (s *stand) update(object client.Object) {
	s.t.Helper()
	if err := s.c.Update(s.t.Context(), object); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) status(object client.Object) {
	s.t.Helper()
	if err := s.c.Status().Update(s.t.Context(), object); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) delete(object client.Object) {
	s.t.Helper()
	if err := s.c.Delete(s.t.Context(), object); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) create(object client.Object) {
	s.t.Helper()
	if err := s.c.Create(s.t.Context(), object); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) dataset() *v1alpha1.Dataset {
	s.t.Helper()
	d := &v1alpha1.Dataset{}
	if !s.get(hbase, d) {
		s.t.Fatal("the Dataset is gone")
	}
	return d
}

// wants checks the phase and the conditions, written TYPE=STATUS/REASON: part
// of the message; -TYPE is one that must not be there.
func (s *stand) wants(phase v1alpha1.DatasetPhase, conditions ...string) {
	s.t.Helper()
	d := s.dataset()
	if d.Status.Phase != phase {
		s.t.Errorf("the phase is %q, want %q: %+v", d.Status.Phase, phase, d.Status.Conditions)
	}
	for _, want := range conditions {
		if absent, found := strings.CutPrefix(want, "-"); found {
			for _, c := range d.Status.Conditions {
				if string(c.Type) == absent {
					s.t.Errorf("condition %s is there: %s", absent, c.Message)
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

// told says how many events there were since the last call that hold a text.
func (s *stand) told(text string) int {
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
	if serves != "" {
		r.Annotations = map[string]string{v1alpha1.DatasetAnnotation: serves}
	}
	return r
}

// ready makes the runtime serve.
func (s *stand) ready(name string) {
	s.t.Helper()
	s.runtimeStatus(name, func(status *v1alpha1.RuntimeStatus) {
		status.MasterPhase, status.WorkerPhase, status.FusePhase = v1alpha1.RuntimePhaseReady, v1alpha1.RuntimePhaseReady, v1alpha1.RuntimePhaseReady
		status.Mounts = []v1alpha1.Mount{{Name: "hadoop", Path: "/hadoop", MountPoint: "oss://bucket/data/"}}
		status.UfsTotal, status.FileNum = "1.00GiB", "7"
		status.CacheStates = v1alpha1.CacheStateList{v1alpha1.CacheStateCached: "0.00B"}
		status.Conditions = []v1alpha1.RuntimeCondition{{Type: v1alpha1.RuntimeMountsReady, Status: corev1.ConditionTrue, Reason: "MountsAnswer"}}
	})
}

func (s *stand) runtimeStatus(name string, change func(*v1alpha1.RuntimeStatus)) {
	s.t.Helper()
	r := &v1alpha1.JindoRuntime{}
	if !s.get(types.NamespacedName{Namespace: namespace, Name: name}, r) {
		s.t.Fatal("there is no runtime " + name)
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

func TestBinding(t *testing.T) {
	s := newStand(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.wants(v1alpha1.NotBoundDatasetPhase, "Ready=False/RuntimeNotReady: JindoRuntime hadoop is not ready", "SpecValid=True/Valid", "-NotReady", "-ChangeNotApplied")
	if n := s.told("not ready"); n > 0 {
		t.Errorf("%d events about a runtime that starts", n)
	}
	s.ready("hadoop")
	s.settle()
	s.wants(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "MountsReady=True/MountsAnswer", "-NotReady", "-ChangeNotApplied", "-DeletionBlocked", "-MountUnsupported")
	if n := s.told("serves it"); n != 1 {
		t.Errorf("%d events that it is served", n)
	}
	d := s.dataset()
	status := d.Status
	if len(status.Runtimes) != 1 || status.Runtimes[0] != (v1alpha1.Runtime{Name: "hadoop", Namespace: namespace, Category: "Accelerate", Type: "jindo", MasterReplicas: 3}) {
		t.Errorf("runtimes: %+v", status.Runtimes)
	}
	if status.UfsTotal != "1.00GiB" || status.FileNum != "7" || status.CacheStates["cached"] != "0.00B" || status.HCFSStatus.Endpoint != "hadoop-jindofs-master-0.default:18004" {
		t.Errorf("figures: %+v", status)
	}
	if len(status.Mounts) != 1 || status.Mounts[0].Path != "/hadoop" || len(status.Mounts[0].Options) != 1 {
		t.Errorf("mounts: %+v", status.Mounts)
	}
	if len(d.Finalizers) != 1 || d.Finalizers[0] != names.DatasetFinalizer {
		t.Errorf("finalizers: %v", d.Finalizers)
	}
	s.volume("hadoop")
}

// volume checks what pods use.
func (s *stand) volume(runtime string) {
	s.t.Helper()
	pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	if !s.get(hbase, pvc) || !s.get(types.NamespacedName{Name: "default-hbase"}, pv) {
		s.t.Fatal("there is no claim, or no volume")
	}
	csi := pv.Spec.CSI
	if csi.Driver != names.Driver || csi.VolumeHandle != "default-hbase" || !csi.ReadOnly || csi.NodePublishSecretRef.Name != runtime+"-jindofs-fuse" ||
		csi.VolumeAttributes[names.AttributeRuntimeName] != runtime || csi.VolumeAttributes[names.AttributeNodeSelectorKey] != "fluid.io/f-default-"+runtime ||
		csi.VolumeAttributes[names.AttributeMountType] != "jindo" || csi.VolumeAttributes[names.AttributeCleanPolicy] != "OnRuntimeDeleted" {
		s.t.Errorf("the volume is %+v", csi)
	}
	if pv.Spec.ClaimRef.Name != "hbase" || pv.Spec.StorageClassName != "fluid" || pv.Spec.Capacity.Storage().String() != "100Gi" || pv.Spec.AccessModes[0] != corev1.ReadOnlyMany {
		s.t.Errorf("the volume is %+v", pv.Spec)
	}
	if pvc.Spec.VolumeName != "default-hbase" || *pvc.Spec.StorageClassName != "fluid" || pvc.Labels["fluid.io/s-default-hbase"] != "true" || pvc.Labels["fluid.io/dataset-id"] == "" || len(pvc.OwnerReferences) != 1 {
		s.t.Errorf("the claim is %+v", pvc)
	}
}

func TestIdleWritesNothing(t *testing.T) {
	s := newStand(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.ready("hadoop")
	s.settle()
	before := s.counted.n
	for range 5 {
		s.turn()
	}
	if s.counted.n != before {
		t.Errorf("%d writes", s.counted.n-before)
	}
}

// TestQuietFailures: what the next turn mends is not reported.
func TestQuietFailures(t *testing.T) {
	resource := schema.GroupResource{Resource: "datasets"}
	terminating := apierrors.NewForbidden(resource, "hbase", errors.New("the namespace is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for _, test := range []struct {
		name  string
		err   error
		quiet bool
	}{
		{"conflict", apierrors.NewConflict(resource, "hbase", errors.New("older")), true},
		{"the namespace goes", terminating, true},
		{"forbidden", apierrors.NewForbidden(resource, "hbase", errors.New("no")), false},
		{"away", apierrors.NewServiceUnavailable("away"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStand(t, newDataset())
			s.r.Client = interceptor.NewClient(s.c, interceptor.Funcs{
				SubResourcePatch: func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
					return test.err
				},
			})
			result, err := s.r.Reconcile(t.Context(), reconcile.Request{NamespacedName: hbase})
			if quiet := err == nil && result.RequeueAfter > 0; quiet != test.quiet {
				t.Errorf("got %+v, %v", result, err)
			}
		})
	}
}

// TestLostStatus: everything is found again.
func TestLostStatus(t *testing.T) {
	s := newStand(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.ready("hadoop")
	s.settle()
	d := s.dataset()
	want := d.Status.DeepCopy()
	d.Status = v1alpha1.DatasetStatus{Conditions: []v1alpha1.DatasetCondition{}}
	s.status(d)
	s.settle()
	got := s.dataset().Status
	if got.Phase != want.Phase || len(got.Conditions) != len(want.Conditions) || len(got.Mounts) != 1 || len(got.Runtimes) != 1 {
		t.Errorf("got %+v", got)
	}
	s.volume("hadoop")
}

func TestUnbound(t *testing.T) {
	s := newStand(t, newDataset())
	s.settle()
	s.wants(v1alpha1.NotBoundDatasetPhase, `Ready=False/NotBound: create a JindoRuntime "hbase"`)
	if n := s.told("create a JindoRuntime"); n != 1 {
		t.Errorf("%d events say what to create", n)
	}
	// The seed's pair: the line that is missing is printed.
	s.create(newRuntime("hadoop", "", 1))
	s.settle()
	s.ready("hadoop")
	s.settle()
	const line = "annotation data.fluid.io/dataset: hbase"
	s.wants(v1alpha1.NotBoundDatasetPhase, "Ready=False/NotBound: "+line)
	if n := s.told(line); n != 1 {
		t.Errorf("%d events print the line", n)
	}
	if d := s.dataset(); len(d.Status.Runtimes) > 0 || d.Status.HCFSStatus != nil || s.get(hbase, &corev1.PersistentVolumeClaim{}) {
		t.Errorf("something serves it: %+v", d.Status)
	}
	r := &v1alpha1.JindoRuntime{}
	s.get(types.NamespacedName{Namespace: namespace, Name: "hadoop"}, r)
	r.Annotations = map[string]string{v1alpha1.DatasetAnnotation: "hbase"}
	s.update(r)
	s.settle()
	s.wants(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady")
	// And the line is taken away again: the volume goes with it.
	s.get(types.NamespacedName{Namespace: namespace, Name: "hadoop"}, r)
	r.Annotations = nil
	s.update(r)
	s.create(pod("reader", "hbase", corev1.PodRunning))
	s.settle()
	s.wants(v1alpha1.NotBoundDatasetPhase, "Ready=False/NotBound: pod reader mounts the volume of a runtime that serves it no more")
	s.delete(pod("reader", "hbase", ""))
	s.settle()
	if s.get(hbase, &corev1.PersistentVolumeClaim{}) || s.get(types.NamespacedName{Name: "default-hbase"}, &corev1.PersistentVolume{}) {
		t.Error("the volume is there")
	}
	s.wants(v1alpha1.NotBoundDatasetPhase, "Ready=False/NotBound: "+line)
}

func TestOlderRuntimeWins(t *testing.T) {
	s := newStand(t, newDataset(), newRuntime("hbase", "", 2), newRuntime("hadoop", "hbase", 1))
	s.settle()
	if got := s.dataset().Status.Runtimes; len(got) != 1 || got[0].Name != "hadoop" {
		t.Errorf("served by %+v", got)
	}
	s.volume("hadoop")
}

func TestRefusedSpec(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*v1alpha1.Dataset)
		says   string
	}{
		{"no mounts", func(d *v1alpha1.Dataset) { d.Spec.Mounts = nil }, "at least one mount"},
		{"no endpoint", func(d *v1alpha1.Dataset) { d.Spec.Mounts[0].Options = nil }, "fs.oss.endpoint"},
		{"no size", func(d *v1alpha1.Dataset) {
			d.Annotations = map[string]string{v1alpha1.PVCStorageAnnotation: "much"}
		}, `"much" is no size`},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDataset()
			test.change(d)
			s := newStand(t, d, newRuntime("hadoop", "hbase", 1))
			s.settle()
			s.wants(v1alpha1.FailedDatasetPhase, "SpecValid=False/SpecInvalid: "+test.says, "Ready=False/SpecInvalid: "+test.says, "NotReady=True/DatasetFailedToSetup: "+test.says)
			if n := s.told(test.says); n != 1 {
				t.Errorf("%d events", n)
			}
			if s.get(hbase, &corev1.PersistentVolumeClaim{}) {
				t.Error("there is a claim")
			}
			mended := s.dataset()
			mended.Spec, mended.Annotations = newDataset().Spec, nil
			s.update(mended)
			s.ready("hadoop")
			s.settle()
			s.wants(v1alpha1.BoundDatasetPhase, "SpecValid=True/Valid", "Ready=True/DatasetReady", "-NotReady")
		})
	}
}

func TestUnsupportedMounts(t *testing.T) {
	d := newDataset()
	d.Spec.Mounts = append(d.Spec.Mounts, v1alpha1.Mount{MountPoint: "hdfs://name:9000/a", Name: "old"})
	s := newStand(t, d, newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.ready("hadoop")
	s.settle()
	s.wants(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "MountUnsupported=True/MountUnsupported: mount old: hdfs://")
	d = s.dataset()
	if len(d.Status.Mounts) != 1 {
		t.Errorf("mounts %+v", d.Status.Mounts)
	}

	only := newDataset()
	only.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "hdfs://name:9000/a", Name: "old"}}
	s = newStand(t, only, newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.wants(v1alpha1.FailedDatasetPhase, "Ready=False/MountUnsupported: hdfs://", "MountUnsupported=True/MountUnsupported")
}

// TestMountsFailAndRecover: what the runtime says of the store reaches people.
func TestMountsFailAndRecover(t *testing.T) {
	for _, kind := range []v1alpha1.RuntimeConditionType{v1alpha1.RuntimeMountsReady, v1alpha1.RuntimeCredentialsReady} {
		t.Run(string(kind), func(t *testing.T) {
			s := newStand(t, newDataset(), newRuntime("hadoop", "hbase", 1))
			s.settle()
			s.ready("hadoop")
			s.settle()
			s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
				status.Conditions = []v1alpha1.RuntimeCondition{{Type: kind, Status: corev1.ConditionFalse, Reason: "StoreRefuses", Message: "create Secret keys"}}
			})
			s.settle()
			s.wants(v1alpha1.FailedDatasetPhase, "Ready=False/MountsNotReady: create Secret keys", "NotReady=True/DatasetFailedToSetup")
			if n := s.told("create Secret keys"); n != 1 {
				t.Errorf("%d events", n)
			}
			if d := s.dataset(); len(d.Status.Mounts) != 1 {
				t.Errorf("mounts %+v", d.Status.Mounts)
			}
			s.ready("hadoop")
			s.settle()
			s.wants(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "-NotReady")
		})
	}
}

// TestPartsThatAreAway: nobody's reads stop for a master.
func TestPartsThatAreAway(t *testing.T) {
	s := newStand(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.ready("hadoop")
	s.settle()
	s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) { status.MasterPhase = v1alpha1.RuntimePhasePartialReady })
	s.settle()
	s.wants(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady")
	s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
		status.MasterPhase, status.DesiredMasterNumberScheduled = v1alpha1.RuntimePhaseNotReady, 3
	})
	s.settle()
	s.wants(v1alpha1.BoundDatasetPhase, "Ready=False/RuntimeNotReady: 0 of 3 masters are ready")
}

func TestChangesThatAreNotMade(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*v1alpha1.DatasetSpec)
		says   string
	}{
		{"a mount more", func(spec *v1alpha1.DatasetSpec) {
			spec.Mounts = append(spec.Mounts, v1alpha1.Mount{MountPoint: "local:///more", Name: "more"})
		}, "/more changed"},
		{"another bucket", func(spec *v1alpha1.DatasetSpec) { spec.Mounts[0].MountPoint = "oss://other/" }, "/hadoop changed"},
		{"another endpoint", func(spec *v1alpha1.DatasetSpec) { spec.Mounts[0].Options["fs.oss.endpoint"] = "other" }, "/hadoop changed"},
		{"a mount less", func(spec *v1alpha1.DatasetSpec) {
			spec.Mounts[0].Name = "renamed"
		}, "/hadoop, /renamed changed"},
		{"access modes", func(spec *v1alpha1.DatasetSpec) {
			spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
		}, "keeps ReadOnlyMany"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStand(t, newDataset(), newRuntime("hadoop", "hbase", 1))
			s.settle()
			s.ready("hadoop")
			s.settle()
			d := s.dataset()
			test.change(&d.Spec)
			s.update(d)
			s.settle()
			s.wants(v1alpha1.BoundDatasetPhase, "ChangeNotApplied=True/NotSupportedYet: "+test.says, "Ready=True/DatasetReady")
			d = s.dataset()
			d.Spec = newDataset().Spec
			s.update(d)
			s.settle()
			s.wants(v1alpha1.BoundDatasetPhase, "-ChangeNotApplied", "Ready=True/DatasetReady")
		})
	}
}

// TestVolumesOfOthers are left alone.
func TestVolumesOfOthers(t *testing.T) {
	for _, object := range []client.Object{
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "hbase", Namespace: namespace}},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "default-hbase"}},
	} {
		s := newStand(t, newDataset(), newRuntime("hadoop", "hbase", 1), object, pod("reader", "hbase", corev1.PodRunning))
		s.settle()
		s.ready("hadoop")
		s.settle()
		s.wants(v1alpha1.FailedDatasetPhase, "Ready=False/VolumeConflict: was not made for this Dataset")
		s.delete(newDataset())
		s.settle()
		if s.get(hbase, &v1alpha1.Dataset{}) {
			t.Error("the Dataset is there")
		}
		if err := s.c.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			t.Errorf("somebody else's is gone: %v", err)
		}
	}
}

// TestReleasedVolume: a claim was deleted by hand and is made again; the volume
// is kept back for the old one.
func TestReleasedVolume(t *testing.T) {
	s := newStand(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.ready("hadoop")
	s.settle()
	pvc := &corev1.PersistentVolumeClaim{}
	s.get(hbase, pvc)
	s.delete(pvc)
	s.turn()
	pv := &corev1.PersistentVolume{}
	if s.get(types.NamespacedName{Name: "default-hbase"}, pv); pv.Spec.ClaimRef.UID == "claim-uid" && !s.get(hbase, pvc) {
		t.Error("it is kept for a claim that is gone")
	}
	s.settle()
	s.wants(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady")
}

func TestDeletion(t *testing.T) {
	s := newStand(t, newDataset(), newRuntime("hadoop", "hbase", 1), pod("done", "hbase", corev1.PodSucceeded), pod("other", "else", corev1.PodRunning))
	waiting := pod("pending", "hbase", corev1.PodPending)
	waiting.Spec.NodeName = ""
	s.create(waiting)
	s.create(pod("reader", "hbase", corev1.PodRunning))
	s.settle()
	s.ready("hadoop")
	s.settle()
	s.delete(newDataset())
	s.settle()
	s.wants(v1alpha1.BoundDatasetPhase, "DeletionBlocked=True/PodsMountIt: pod reader mounts PersistentVolumeClaim hbase", "Ready=True/DatasetReady")
	if n := s.told("pod reader mounts"); n != 1 {
		t.Errorf("%d events", n)
	}
	if result := s.turn(); result.RequeueAfter == 0 || result.RequeueAfter > 30*time.Second {
		t.Errorf("it looks again after %s", result.RequeueAfter)
	}
	s.volume("hadoop")
	s.delete(pod("reader", "hbase", ""))
	s.settle()
	if s.get(hbase, &v1alpha1.Dataset{}) || s.get(hbase, &corev1.PersistentVolumeClaim{}) || s.get(types.NamespacedName{Name: "default-hbase"}, &corev1.PersistentVolume{}) {
		t.Error("something is left")
	}
}

// TestStuckVolumes: what Kubernetes does not let go of although no pod uses it.
func TestStuckVolumes(t *testing.T) {
	s := newStand(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	for _, object := range []client.Object{&corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}} {
		name, finalizer := hbase, "kubernetes.io/pvc-protection"
		if _, is := object.(*corev1.PersistentVolume); is {
			name, finalizer = types.NamespacedName{Name: "default-hbase"}, "kubernetes.io/pv-protection"
		}
		s.get(name, object)
		object.SetFinalizers([]string{finalizer})
		s.update(object)
	}
	s.delete(newDataset())
	s.settle()
	if !s.get(hbase, &v1alpha1.Dataset{}) {
		t.Fatal("it did not wait for Kubernetes")
	}
	s.r.Patience = time.Nanosecond
	s.settle()
	if s.get(hbase, &v1alpha1.Dataset{}) {
		t.Error("it waits for ever")
	}
}

// TestOtherRuntimes are not ours to touch.
func TestOtherRuntimes(t *testing.T) {
	d := newDataset()
	d.Finalizers = []string{names.DatasetFinalizer}
	d.Status = v1alpha1.DatasetStatus{Phase: v1alpha1.BoundDatasetPhase, Runtimes: []v1alpha1.Runtime{{Name: "hbase", Type: "alluxio"}}, Conditions: []v1alpha1.DatasetCondition{{Type: "Ready", Status: "True"}}}
	s := newStand(t, d, pod("reader", "hbase", corev1.PodRunning))
	s.settle()
	if s.counted.n != 0 {
		t.Errorf("%d writes", s.counted.n)
	}
	s.delete(newDataset())
	s.settle()
	got := s.dataset().Status
	if len(got.Conditions) != 2 || got.Runtimes[0].Type != "alluxio" {
		t.Errorf("the status is %+v", got)
	}
	s.delete(pod("reader", "hbase", ""))
	s.settle()
	if s.get(hbase, &v1alpha1.Dataset{}) {
		t.Error("it is there")
	}
}

// TestLeavingRuntime: while the runtime waits for pods it serves, then it does
// not, and the Dataset makes nothing anew for it.
func TestLeavingRuntime(t *testing.T) {
	runtime := newRuntime("hadoop", "hbase", 1)
	s := newStand(t, newDataset(), runtime)
	s.settle()
	s.ready("hadoop")
	s.settle()
	s.delete(runtime)
	s.settle()
	s.wants(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady")
	pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	s.get(hbase, pvc)
	s.delete(pvc)
	s.get(types.NamespacedName{Name: "default-hbase"}, pv)
	s.delete(pv)
	s.settle()
	s.wants(v1alpha1.NotBoundDatasetPhase, "Ready=False/NotBound: is being deleted")
	if s.get(hbase, pvc) {
		t.Error("the claim is made anew")
	}
	if status := s.dataset().Status; len(status.Runtimes)+len(status.Mounts)+len(status.CacheStates) > 0 || status.HCFSStatus != nil {
		t.Errorf("the status is %+v", status)
	}
}
