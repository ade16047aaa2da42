package dataset_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/credentials"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/teardown"
	"github.com/jindo-io/jindo/pkg/plan"
)

func TestOnAPIServer(t *testing.T) {
	c := startCluster(t)
	for name, test := range map[string]func(*testNamespace){
		"Binding":       testBinding,
		"Volumes":       testVolumesAreRecreated,
		"LostStatus":    testLostStatus,
		"DatasetFirst":  testDatasetFirst,
		"RuntimeFirst":  testRuntimeFirst,
		"Credentials":   testCredentials,
		"Unbound":       testUnbound,
		"Invalid":       testInvalidDataset,
		"SweepOnServer": testSweep,
		"Tenants":       testTenants,
	} {
		t.Run(name, func(t *testing.T) { test(c.newNamespace(t)) })
	}
}

func testBinding(s *testNamespace) {
	s.createPair()
	versions := func() string {
		d, pvc, pv := &v1alpha1.Dataset{}, &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
		s.get("hbase", d)
		s.get("hbase", pvc)
		s.getVolume(pv)
		return strings.Join([]string{d.ResourceVersion, pvc.ResourceVersion, pv.ResourceVersion}, " ")
	}
	before := versions()
	for i := range 5 { // changes of the runtime that do not matter cause no writes
		s.eventually(func() string {
			r := &v1alpha1.JindoRuntime{}
			s.get("hadoop", r)
			r.Annotations["poked"] = fmt.Sprint(i)
			if err := s.admin.Update(s.t.Context(), r); err != nil {
				return err.Error()
			}
			return ""
		})
		time.Sleep(200 * time.Millisecond)
	}
	if after := versions(); after != before {
		s.t.Errorf("versions %s became %s", before, after)
	}
}

// testVolumesAreRecreated: claim or volume are deleted manually.
func testVolumesAreRecreated(s *testNamespace) {
	s.createPair()
	pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	for _, object := range []client.Object{pvc, pv} {
		s.eventually(func() string {
			s.get("hbase", pvc)
			s.getVolume(pv)
			object.SetFinalizers(nil)
			if err := s.admin.Update(s.t.Context(), object); err != nil {
				return err.Error()
			}
			return ""
		})
		uid := object.GetUID()
		s.must(s.admin.Delete(s.t.Context(), object))
		s.eventually(func() string {
			if !s.get("hbase", pvc) || !s.getVolume(pv) || object.GetUID() == uid {
				return "it was not created again"
			}
			if pvc.Status.Phase != corev1.ClaimBound || pv.Spec.ClaimRef.UID != pvc.UID {
				return fmt.Sprintf("claim %s has phase %s, volume has claimRef %s", pvc.UID, pvc.Status.Phase, pv.Spec.ClaimRef.UID)
			}
			return ""
		})
		s.waitForDataset(v1alpha1.BoundDatasetPhase, "Ready=True", "")
	}
}

func testLostStatus(s *testNamespace) {
	s.createPair()
	s.eventually(func() string {
		d := &v1alpha1.Dataset{}
		s.get("hbase", d)
		d.Status = v1alpha1.DatasetStatus{Conditions: []v1alpha1.DatasetCondition{}}
		if err := s.admin.Status().Update(s.t.Context(), d); err != nil {
			return err.Error()
		}
		return ""
	})
	s.waitForDataset(v1alpha1.BoundDatasetPhase, "Ready=True", "")
}

func (s *testNamespace) reader() *corev1.Pod {
	s.t.Helper()
	p := pod("reader", "hbase", "")
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "i"}}
	s.create(p)
	return p
}

func (s *testNamespace) removePod(p *corev1.Pod) {
	s.t.Helper()
	s.must(s.admin.Delete(s.t.Context(), p, client.GracePeriodSeconds(0)))
}

func testDatasetFirst(s *testNamespace) {
	s.createPair()
	p := s.reader()
	s.must(s.admin.Delete(s.t.Context(), &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "hbase"}}))
	s.waitForDataset(v1alpha1.BoundDatasetPhase, "DeletionBlocked=True", "pod reader mounts PersistentVolumeClaim hbase")
	s.eventually(func() string {
		list := &corev1.EventList{}
		s.must(s.admin.List(s.t.Context(), list, client.InNamespace(s.name)))
		for _, e := range list.Items {
			if e.Reason == "PodsMountIt" {
				return ""
			}
		}
		return "no event names the pod"
	})
	if !s.get("hbase", &corev1.PersistentVolumeClaim{}) {
		s.t.Error("the claim was removed")
	}
	s.removePod(p)
	s.waitForRemoval()
	s.eventually(func() string {
		if s.get("hbase", &v1alpha1.Dataset{}) {
			return "the Dataset still exists"
		}
		return ""
	})
}

func (s *testNamespace) deps() teardown.Deps {
	return teardown.Deps{
		Client: s.runtimes, Live: s.runtimes, SystemNamespace: "fluid-system", Image: "jindo:test",
		Recorder: events.NewFakeRecorder(100), ProtectionTimeout: time.Second,
	}
}

func testRuntimeFirst(s *testNamespace) {
	s.createPair()
	p := s.reader()
	r := &v1alpha1.JindoRuntime{}
	s.get("hadoop", r)
	s.must(s.admin.Delete(s.t.Context(), r))
	s.get("hadoop", r)
	result, err := teardown.Runtime(s.t.Context(), s.deps(), r)
	if err != nil || !strings.Contains(result.Blocked, "pod reader mounts PersistentVolumeClaim hbase") {
		s.t.Fatalf("got %+v, %v", result, err)
	}
	s.waitForDataset(v1alpha1.BoundDatasetPhase, "Ready=True", "")
	s.removePod(p)
	s.eventually(func() string {
		result, err := teardown.Runtime(s.t.Context(), s.deps(), r)
		if err != nil {
			s.t.Fatal(err)
		}
		if !result.Done {
			return fmt.Sprintf("%+v", result)
		}
		return ""
	})
	s.waitForDataset(v1alpha1.NotBoundDatasetPhase, "Ready=False", "is being deleted")
	s.waitForRemoval()
	s.eventually(func() string {
		s.get("hadoop", r)
		r.Finalizers = nil
		if err := s.admin.Update(s.t.Context(), r); err != nil {
			return err.Error()
		}
		return ""
	})
	s.waitForDataset(v1alpha1.NotBoundDatasetPhase, "Ready=False", `create a JindoRuntime "hbase"`)
	s.waitForRemoval()
}

// testCredentials: a Secret is missing, is created, and changes.
func testCredentials(s *testNamespace) {
	r := newRuntime("hadoop", "hbase", 0)
	s.create(r)
	p := &plan.Plan{Credentials: []plan.Credentials{{SecretRef: "hadoop", Mount: "hadoop", Refs: []plan.SecretKeyRef{{Option: "fs.oss.accessKeyId", Name: "keys", Key: "id"}}}}}
	sync := func() credentials.Result {
		result, err := credentials.Sync(s.t.Context(), s.runtimes, s.runtimes, r, p)
		s.must(err)
		return result
	}
	if result := sync(); len(result.Problems) != 1 {
		s.t.Errorf("got %+v", result)
	}
	keys := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "keys"}, StringData: map[string]string{"id": "one"}}
	s.create(keys)
	for i, value := range []string{"one", "two"} {
		if i > 0 {
			keys.StringData = map[string]string{"id": value}
			s.must(s.admin.Update(s.t.Context(), keys))
		}
		if result := sync(); len(result.Problems) > 0 || !result.Changed {
			s.t.Errorf("got %+v", result)
		}
		secret := &corev1.Secret{}
		if s.get("hadoop-jindofs-credentials", secret); string(secret.Data["hadoop__fs.oss.accessKeyId"]) != value || len(secret.Data) != 1 {
			s.t.Error("the Secret has wrong data")
		}
		if result := sync(); result.Changed {
			s.t.Error("the second Sync writes")
		}
	}
}

func testUnbound(s *testNamespace) {
	s.create(newDataset())
	s.create(newRuntime("hadoop", "", 0))
	s.waitForDataset(v1alpha1.NotBoundDatasetPhase, "Ready=False", "add the annotation data.fluid.io/dataset: hbase to the JindoRuntime")
	if s.get("hbase", &corev1.PersistentVolumeClaim{}) {
		s.t.Error("a claim was created")
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"data.fluid.io/dataset":"hbase"}}}`))
	s.must(s.admin.Patch(s.t.Context(), &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "hadoop"}}, patch))
	s.makeReady()
	s.waitForDataset(v1alpha1.BoundDatasetPhase, "Ready=True", "")
}

// testInvalidDataset checks that an invalid Dataset fails once a JindoRuntime
// claims it, and does not affect others.
func testInvalidDataset(s *testNamespace) {
	invalid := newDataset()
	invalid.Name = "invalid"
	invalid.Annotations = map[string]string{v1alpha1.PVCStorageAnnotation: "much"}
	s.create(invalid)
	s.create(newRuntime("invalid", "", 0)) // without a runtime a Dataset may be any product's
	s.createPair()
	s.eventually(func() string {
		d := &v1alpha1.Dataset{}
		if s.get("invalid", d); d.Status.Phase != v1alpha1.FailedDatasetPhase {
			return "the phase is " + string(d.Status.Phase)
		}
		return ""
	})
}

func testSweep(s *testNamespace) {
	s.createPair()
	s.must(teardown.Sweep(s.t.Context(), s.deps()))
	if !s.get("hbase", &corev1.PersistentVolumeClaim{}) || !s.getVolume(&corev1.PersistentVolume{}) {
		s.t.Error("the volume of an existing runtime was removed")
	}
	lost := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: s.name + "-lost", Labels: map[string]string{
		names.LabelManagedBy: names.ManagedBy, names.LabelRuntimeNamespace: s.name, names.LabelRuntimeName: "gone",
	}}}
	lost.Spec = corev1.PersistentVolumeSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: names.Driver, VolumeHandle: "x"}},
	}
	s.must(s.admin.Create(s.t.Context(), lost))
	s.eventually(func() string {
		s.must(teardown.Sweep(s.t.Context(), s.deps()))
		if err := s.admin.Get(s.t.Context(), client.ObjectKeyFromObject(lost), lost); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("the volume of a deleted runtime still exists: %v", err)
		}
		return ""
	})
}
