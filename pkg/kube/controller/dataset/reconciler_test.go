package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

func TestBinding(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.checkStatus(v1alpha1.NotBoundDatasetPhase, "Ready=False/RuntimeNotReady: JindoRuntime hadoop is not ready", "SpecValid=True/Valid", "-NotReady", "-ChangeNotApplied")
	if n := s.countEvents("not ready"); n > 0 {
		t.Errorf("%d events while the runtime starts, want 0", n)
	}
	s.makeReady("hadoop")
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "MountsReady=True/MountsAnswer", "-NotReady", "-ChangeNotApplied", "-DeletionBlocked", "-MountUnsupported")
	if n := s.countEvents("bound to JindoRuntime"); n != 1 {
		t.Errorf("%d events about the bound Dataset, want 1", n)
	}
	d := s.dataset()
	status := d.Status
	if len(status.Runtimes) != 1 || status.Runtimes[0] != (v1alpha1.Runtime{Name: "hadoop", Namespace: namespace, Category: "Accelerate", Type: "jindo", MasterReplicas: 3}) {
		t.Errorf("runtimes: %+v", status.Runtimes)
	}
	if status.UfsTotal != "1.00GiB" || status.FileNum != "7" || status.CacheStates["cached"] != "0.00B" || status.HCFSStatus.Endpoint != "hadoop-jindofs-master-0.default:18004" {
		t.Errorf("usage: %+v", status)
	}
	if len(status.Mounts) != 1 || status.Mounts[0].Path != "/hadoop" || len(status.Mounts[0].Options) != 1 {
		t.Errorf("mounts: %+v", status.Mounts)
	}
	if len(d.Finalizers) != 1 || d.Finalizers[0] != names.DatasetFinalizer {
		t.Errorf("finalizers: %v", d.Finalizers)
	}
	s.checkVolume("hadoop")
}

// checkVolume checks the claim and the volume of the Dataset.
func (s *testbed) checkVolume(runtime string) {
	s.t.Helper()
	pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	if !s.get(hbase, pvc) || !s.get(types.NamespacedName{Name: "default-hbase"}, pv) {
		s.t.Fatal("claim or volume not found")
	}
	csi := pv.Spec.CSI
	if csi.Driver != names.Driver || csi.VolumeHandle != "default-hbase" || !csi.ReadOnly || csi.NodePublishSecretRef.Name != runtime+"-jindofs-fuse" ||
		csi.VolumeAttributes[names.AttributeRuntimeName] != runtime || csi.VolumeAttributes[names.AttributeNodeSelectorKey] != "fluid.io/f-default-"+runtime ||
		csi.VolumeAttributes[names.AttributeMountType] != "jindo" || csi.VolumeAttributes[names.AttributeCleanPolicy] != "OnRuntimeDeleted" {
		s.t.Errorf("volume %+v", csi)
	}
	if pv.Spec.ClaimRef.Name != "hbase" || pv.Spec.StorageClassName != "fluid" || pv.Spec.Capacity.Storage().String() != "100Gi" || pv.Spec.AccessModes[0] != corev1.ReadOnlyMany {
		s.t.Errorf("volume %+v", pv.Spec)
	}
	if pvc.Spec.VolumeName != "default-hbase" || *pvc.Spec.StorageClassName != "fluid" || pvc.Labels["fluid.io/s-default-hbase"] != "true" || pvc.Labels["fluid.io/dataset-id"] == "" || len(pvc.OwnerReferences) != 1 {
		s.t.Errorf("claim %+v", pvc)
	}
}

func TestIdleWritesNothing(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.makeReady("hadoop")
	s.settle()
	before := s.writes.n
	for range 5 {
		s.reconcile()
	}
	if s.writes.n != before {
		t.Errorf("%d writes", s.writes.n-before)
	}
}

// TestRefusingStoreIsReportedOnce: messages that differ in the id of a request, as
// workers of earlier versions report them, cause one write and one event.
func TestRefusingStoreIsReportedOnce(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.makeReady("hadoop")
	s.settle()
	s.countEvents("")
	before := s.writes.n
	for i := range 5 {
		s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
			status.Conditions = []v1alpha1.RuntimeCondition{{
				Type: v1alpha1.RuntimeMountsReady, Status: corev1.ConditionFalse, Reason: "StoreRefuses",
				Message: fmt.Sprintf("mount hadoop: listing oss://bucket/: access key id \"AK\" lacks the right oss:ListObjects (403 AccessDenied, request R%d)", i),
			}}
		})
		s.reconcile()
	}
	if events := s.countEvents(""); events != 1 || s.writes.n != before+1 {
		t.Errorf("%d events and %d writes, want one each", events, s.writes.n-before)
	}
	for _, c := range s.dataset().Status.Conditions {
		if strings.Contains(c.Message, "R0") || strings.Contains(c.Message, "AK\"") {
			t.Errorf("condition %s contains an id: %s", c.Type, c.Message)
		}
	}
}

// TestTransientErrors: errors that the next reconciliation resolves are not
// returned.
func TestTransientErrors(t *testing.T) {
	resource := schema.GroupResource{Resource: "datasets"}
	terminating := apierrors.NewForbidden(resource, "hbase", errors.New("the namespace is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for _, test := range []struct {
		name      string
		err       error
		transient bool
	}{
		{"conflict", apierrors.NewConflict(resource, "hbase", errors.New("older")), true},
		{"terminating namespace", terminating, true},
		{"forbidden", apierrors.NewForbidden(resource, "hbase", errors.New("no")), false},
		{"unavailable", apierrors.NewServiceUnavailable("unavailable"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newTestbed(t, newDataset())
			s.r.Client = interceptor.NewClient(s.c, interceptor.Funcs{
				SubResourcePatch: func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
					return test.err
				},
			})
			result, err := s.r.Reconcile(t.Context(), reconcile.Request{NamespacedName: hbase})
			if transient := err == nil && result.RequeueAfter > 0; transient != test.transient {
				t.Errorf("got %+v, %v", result, err)
			}
		})
	}
}

// TestLostStatus: a lost status is restored.
func TestLostStatus(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.makeReady("hadoop")
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
	s.checkVolume("hadoop")
}

func TestUnbound(t *testing.T) {
	s := newTestbed(t, newDataset())
	s.settle()
	s.checkStatus(v1alpha1.NotBoundDatasetPhase, `Ready=False/NotBound: create a JindoRuntime "hbase"`)
	if n := s.countEvents("create a JindoRuntime"); n != 1 {
		t.Errorf("%d events with the advice, want 1", n)
	}
	// For the seed's pair, the message has the missing annotation.
	s.create(newRuntime("hadoop", "", 1))
	s.settle()
	s.makeReady("hadoop")
	s.settle()
	const line = "annotation data.fluid.io/dataset: hbase"
	s.checkStatus(v1alpha1.NotBoundDatasetPhase, "Ready=False/NotBound: "+line)
	if n := s.countEvents(line); n != 1 {
		t.Errorf("%d events with the annotation, want 1", n)
	}
	if d := s.dataset(); len(d.Status.Runtimes) > 0 || d.Status.HCFSStatus != nil || s.get(hbase, &corev1.PersistentVolumeClaim{}) {
		t.Errorf("the Dataset is bound: %+v", d.Status)
	}
	r := &v1alpha1.JindoRuntime{}
	s.get(types.NamespacedName{Namespace: namespace, Name: "hadoop"}, r)
	r.Annotations = map[string]string{v1alpha1.DatasetAnnotation: "hbase"}
	s.update(r)
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady")
	// When the annotation is removed, so is the volume.
	s.get(types.NamespacedName{Namespace: namespace, Name: "hadoop"}, r)
	r.Annotations = nil
	s.update(r)
	s.create(pod("reader", "hbase", corev1.PodRunning))
	s.settle()
	s.checkStatus(v1alpha1.NotBoundDatasetPhase, "Ready=False/NotBound: pod reader mounts the volume of the previous runtime")
	s.delete(pod("reader", "hbase", ""))
	s.settle()
	if s.get(hbase, &corev1.PersistentVolumeClaim{}) || s.get(types.NamespacedName{Name: "default-hbase"}, &corev1.PersistentVolume{}) {
		t.Error("the volume still exists")
	}
	s.checkStatus(v1alpha1.NotBoundDatasetPhase, "Ready=False/NotBound: "+line)
}

func TestOlderRuntimeWins(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hbase", "", 2), newRuntime("hadoop", "hbase", 1))
	s.settle()
	if got := s.dataset().Status.Runtimes; len(got) != 1 || got[0].Name != "hadoop" {
		t.Errorf("runtimes %+v", got)
	}
	s.checkVolume("hadoop")
}

func TestInvalidSpec(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*v1alpha1.Dataset)
		want   string
	}{
		{"no mounts", func(d *v1alpha1.Dataset) { d.Spec.Mounts = nil }, "at least one mount"},
		{"no endpoint", func(d *v1alpha1.Dataset) { d.Spec.Mounts[0].Options = nil }, "fs.oss.endpoint"},
		{"no size", func(d *v1alpha1.Dataset) {
			d.Annotations = map[string]string{v1alpha1.PVCStorageAnnotation: "much"}
		}, `invalid quantity "much"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDataset()
			test.change(d)
			s := newTestbed(t, d, newRuntime("hadoop", "hbase", 1))
			s.settle()
			s.checkStatus(v1alpha1.FailedDatasetPhase, "SpecValid=False/SpecInvalid: "+test.want, "Ready=False/SpecInvalid: "+test.want, "NotReady=True/DatasetFailedToSetup: "+test.want)
			if n := s.countEvents(test.want); n != 1 {
				t.Errorf("%d events", n)
			}
			if s.get(hbase, &corev1.PersistentVolumeClaim{}) {
				t.Error("a claim was created")
			}
			fixed := s.dataset()
			fixed.Spec, fixed.Annotations = newDataset().Spec, nil
			s.update(fixed)
			s.makeReady("hadoop")
			s.settle()
			s.checkStatus(v1alpha1.BoundDatasetPhase, "SpecValid=True/Valid", "Ready=True/DatasetReady", "-NotReady")
		})
	}
}

// A Dataset that no JindoRuntime claims may belong to another runtime: its spec is
// not reported as invalid until a JindoRuntime claims it.
func TestUnclaimedSpec(t *testing.T) {
	d := newDataset()
	d.Spec.Mounts[0].MountPoint = "https://mirrors.example.com/hbase/"
	s := newTestbed(t, d, newRuntime("spark", "", 1))
	s.settle()
	s.checkStatus(v1alpha1.NotBoundDatasetPhase, "Ready=False/NotBound: not bound to a JindoRuntime", "-SpecValid", "-NotReady")
	if err := s.c.Create(t.Context(), newRuntime("hadoop", "hbase", 1)); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.checkStatus(v1alpha1.FailedDatasetPhase, "SpecValid=False/SpecInvalid", "Ready=False/SpecInvalid")
}

func TestUnsupportedMounts(t *testing.T) {
	d := newDataset()
	d.Spec.Mounts = append(d.Spec.Mounts, v1alpha1.Mount{MountPoint: "hdfs://name:9000/a", Name: "old"})
	s := newTestbed(t, d, newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.makeReady("hadoop")
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "MountUnsupported=True/MountUnsupported: mount old: hdfs://")
	d = s.dataset()
	if len(d.Status.Mounts) != 1 {
		t.Errorf("mounts %+v", d.Status.Mounts)
	}

	only := newDataset()
	only.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "hdfs://name:9000/a", Name: "old"}}
	s = newTestbed(t, only, newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.checkStatus(v1alpha1.FailedDatasetPhase, "Ready=False/MountUnsupported: hdfs://", "MountUnsupported=True/MountUnsupported")
}

// TestMountsFailAndRecover: the Dataset reports the runtime's failures of the store.
func TestMountsFailAndRecover(t *testing.T) {
	for _, kind := range []v1alpha1.RuntimeConditionType{v1alpha1.RuntimeMountsReady, v1alpha1.RuntimeCredentialsReady} {
		t.Run(string(kind), func(t *testing.T) {
			s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
			s.settle()
			s.makeReady("hadoop")
			s.settle()
			s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
				status.Conditions = []v1alpha1.RuntimeCondition{{Type: kind, Status: corev1.ConditionFalse, Reason: "StoreRefuses", Message: "create Secret keys"}}
			})
			s.settle()
			s.checkStatus(v1alpha1.FailedDatasetPhase, "Ready=False/MountsNotReady: create Secret keys", "NotReady=True/DatasetFailedToSetup")
			if n := s.countEvents("create Secret keys"); n != 1 {
				t.Errorf("%d events", n)
			}
			if d := s.dataset(); len(d.Status.Mounts) != 1 {
				t.Errorf("mounts %+v", d.Status.Mounts)
			}
			s.makeReady("hadoop")
			s.settle()
			s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "-NotReady")
		})
	}
}

// TestNotesAboutTheStoreFailNoMount: scheduled snapshots that are not saved do not
// prevent a Dataset from being bound.
func TestNotesAboutTheStoreFailNoMount(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.makeReady("hadoop")
	s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
		status.Conditions = append(status.Conditions, v1alpha1.RuntimeCondition{
			Type: v1alpha1.RuntimeSnapshotsFailing, Status: corev1.ConditionTrue, Reason: "ScheduleUnmet", Message: "the store refuses to write",
		})
	})
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "-NotReady")
}

// TestOneMountRefuses: a mount whose store refuses does not take the others away, neither
// at the first start nor later, also if its Secret is missing. It causes one write and one
// event, and its recovery one write.
func TestOneMountRefuses(t *testing.T) {
	d := newDataset()
	d.Spec.Mounts = append(d.Spec.Mounts, v1alpha1.Mount{MountPoint: "oss://other/", Name: "other", Options: d.Spec.Mounts[0].Options})
	s := newTestbed(t, d, newRuntime("hadoop", "hbase", 1))
	s.settle()
	refuse := func(reason, request string) {
		s.makeReady("hadoop")
		s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
			status.Mounts = append(status.Mounts, v1alpha1.Mount{Name: "other", Path: "/other", MountPoint: "oss://other/"})
			status.Conditions = []v1alpha1.RuntimeCondition{
				{Type: v1alpha1.RuntimeMountsReady, Status: corev1.ConditionFalse, Reason: reason, Message: "mount other: listing oss://other/: the bucket does not exist (404 NoSuchBucket" + request + ")"},
				{Type: v1alpha1.RuntimeCredentialsReady, Status: corev1.ConditionFalse, Reason: "SecretMissing", Message: "mount other: create Secret keys"},
			}
		})
	}
	refuse("SomeStoresRefuse", "")
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "MountsReady=False/SomeStoresRefuse: mount other: ", "-NotReady")
	if n := s.countEvents("mount other: listing"); n != 1 {
		t.Errorf("%d events", n)
	}
	before := s.writes.n
	for i := range 3 {
		refuse("SomeStoresRefuse", fmt.Sprintf(", request R%d", i))
		s.reconcile()
	}
	if n := s.countEvents(""); n != 0 || s.writes.n != before {
		t.Errorf("%d events and %d writes for the same cause", n, s.writes.n-before)
	}
	refuse("StoreRefuses", "")
	s.settle()
	s.checkStatus(v1alpha1.FailedDatasetPhase, "Ready=False/MountsNotReady: ", "NotReady=True/DatasetFailedToSetup")
	refuse("SomeStoresRefuse", "")
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady")
	before = s.writes.n
	s.makeReady("hadoop")
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "MountsReady=True/MountsAnswer")
	if s.writes.n != before+1 {
		t.Errorf("%d writes for the recovery", s.writes.n-before)
	}
}

// TestUnavailableMasters: unavailable masters do not unbind the Dataset.
func TestUnavailableMasters(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.makeReady("hadoop")
	s.settle()
	s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) { status.MasterPhase = v1alpha1.RuntimePhasePartialReady })
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady")
	s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
		status.MasterPhase, status.DesiredMasterNumberScheduled = v1alpha1.RuntimePhaseNotReady, 3
	})
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=False/RuntimeNotReady: 0 of 3 masters are ready")
}

func TestChangesNotApplied(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*v1alpha1.DatasetSpec)
		want   string
	}{
		{"added mount", func(spec *v1alpha1.DatasetSpec) {
			spec.Mounts = append(spec.Mounts, v1alpha1.Mount{MountPoint: "oss://more/", Name: "more", Options: map[string]string{"fs.oss.endpoint": "more"}})
		}, "/more changed"},
		{"another bucket", func(spec *v1alpha1.DatasetSpec) { spec.Mounts[0].MountPoint = "oss://other/" }, "/hadoop changed"},
		{"another endpoint", func(spec *v1alpha1.DatasetSpec) { spec.Mounts[0].Options["fs.oss.endpoint"] = "other" }, "/hadoop changed"},
		{"renamed mount", func(spec *v1alpha1.DatasetSpec) {
			spec.Mounts[0].Name = "renamed"
		}, "/hadoop, /renamed changed"},
		{"access modes", func(spec *v1alpha1.DatasetSpec) {
			spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
		}, "keeps ReadOnlyMany"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
			s.settle()
			s.makeReady("hadoop")
			s.settle()
			d := s.dataset()
			test.change(&d.Spec)
			s.update(d)
			s.settle()
			s.checkStatus(v1alpha1.BoundDatasetPhase, "ChangeNotApplied=True/NotSupportedYet: "+test.want, "Ready=True/DatasetReady")
			d = s.dataset()
			d.Spec = newDataset().Spec
			s.update(d)
			s.settle()
			s.checkStatus(v1alpha1.BoundDatasetPhase, "-ChangeNotApplied", "Ready=True/DatasetReady")
		})
	}
}

// The existing volume and claim keep what Kubernetes does not allow to change.
func TestVolumesKeepWhatCannotChange(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.makeReady("hadoop")
	s.settle()
	d := s.dataset()
	d.Annotations = map[string]string{v1alpha1.PVCStorageAnnotation: "7Ti"}
	s.update(d)
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "ChangeNotApplied=True/NotSupportedYet: annotation pvc.fluid.io/resources.requests.storage: PersistentVolumeClaim hbase keeps 100Gi, the Dataset requests 7Ti: delete", "Ready=True/DatasetReady")
	d = s.dataset()
	delete(d.Annotations, v1alpha1.PVCStorageAnnotation)
	s.update(d)
	s.editRuntime("hadoop", func(r *v1alpha1.JindoRuntime) { r.Spec.Fuse.CleanPolicy = v1alpha1.OnDemandCleanPolicy })
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "ChangeNotApplied=True/NotSupportedYet: spec.fuse.cleanPolicy of the JindoRuntime: PersistentVolume default-hbase keeps OnRuntimeDeleted, the runtime requests OnDemand: delete", "Ready=True/DatasetReady")
	s.editRuntime("hadoop", func(r *v1alpha1.JindoRuntime) { r.Spec.Fuse.CleanPolicy = "" })
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "-ChangeNotApplied", "Ready=True/DatasetReady")
}

// Mounts without a driver are reported once a JindoRuntime claims the Dataset:
// another kind of runtime may support them.
func TestUnclaimedUnsupportedMounts(t *testing.T) {
	d := newDataset()
	d.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "hdfs://name:9000/a", Name: "old"}}
	s := newTestbed(t, d)
	s.settle()
	s.checkStatus(v1alpha1.NotBoundDatasetPhase, "Ready=False/NotBound", "-MountUnsupported")
	s.create(newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.checkStatus(v1alpha1.FailedDatasetPhase, "MountUnsupported=True/MountUnsupported: mount old: hdfs://")
}

// A mount of a directory is unsupported unless the runtime declares its volume.
func TestUndeclaredDirectory(t *testing.T) {
	dataset, runtime := newDataset(), newRuntime("hadoop", "hbase", 1)
	dataset.Spec.Mounts = append(dataset.Spec.Mounts, v1alpha1.Mount{MountPoint: "local:///mnt/nas", Name: "nas"})
	s := newTestbed(t, dataset, runtime)
	s.settle()
	s.makeReady("hadoop")
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "MountUnsupported=True/MountUnsupported: mount nas: local:// is served on Kubernetes only from a volume that JindoRuntime \"hadoop\" declares")
}

// TestMountsFollowTheRuntime: the status has the mounts that the runtime serves, and a
// change that it has not carried out is reported once the runtime reports it.
func TestMountsFollowTheRuntime(t *testing.T) {
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.makeReady("hadoop")
	serve := func(endpoint, reported string) {
		t.Helper()
		s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
			mount := v1alpha1.Mount{Name: "hadoop", Path: "/hadoop", MountPoint: "oss://bucket/data/", Options: map[string]string{"fs.oss.endpoint": endpoint}}
			status.Mounts = []v1alpha1.Mount{*mount.DeepCopy()}
			mount.EncryptOptions = []v1alpha1.EncryptOption{{Name: "fs.oss.accessKeyId"}}
			status.Effective = &v1alpha1.EffectiveSpec{Version: 1, Dataset: &v1alpha1.EffectiveDataset{Name: "hbase", Spec: v1alpha1.DatasetSpec{Mounts: []v1alpha1.Mount{mount}}}}
			status.Conditions = status.Conditions[:1]
			if reported != "" {
				status.Conditions = append(status.Conditions, v1alpha1.RuntimeCondition{Type: v1alpha1.RuntimeChangeNotApplied, Status: corev1.ConditionTrue, Reason: "SpecEdited", Message: reported})
			}
		})
		s.settle()
	}
	serve("oss-cn-beijing.aliyuncs.com", "")
	s.checkStatus(v1alpha1.BoundDatasetPhase, "-ChangeNotApplied", "Ready=True/DatasetReady")
	d := s.dataset()
	d.Spec.Mounts[0].Options["fs.oss.endpoint"] = "two"
	s.update(d)
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "-ChangeNotApplied", "Ready=True/DatasetReady")
	serve("oss-cn-beijing.aliyuncs.com", "mount hadoop waits for a worker")
	s.checkStatus(v1alpha1.BoundDatasetPhase, "ChangeNotApplied=True/NotSupportedYet: /hadoop changed", "Ready=True/DatasetReady")
	if got := s.dataset().Status.Mounts; len(got) != 1 || got[0].Options["fs.oss.endpoint"] != "oss-cn-beijing.aliyuncs.com" {
		t.Errorf("mounts %+v", got)
	}
	serve("two", "")
	s.checkStatus(v1alpha1.BoundDatasetPhase, "-ChangeNotApplied", "Ready=True/DatasetReady")
	if got := s.dataset().Status.Mounts; len(got) != 1 || got[0].Options["fs.oss.endpoint"] != "two" {
		t.Errorf("mounts %+v", got)
	}
}
