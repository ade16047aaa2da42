package dataset_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// newServed returns a testbed with a bound Dataset that its runtime serves with an
// effective spec.
func newServed(t *testing.T) *testbed {
	t.Helper()
	s := newTestbed(t, newDataset(), newRuntime("hadoop", "hbase", 1))
	s.settle()
	s.makeReady("hadoop")
	s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
		mount := v1alpha1.Mount{
			Name: "hadoop", Path: "/hadoop", MountPoint: "oss://bucket/data/", Options: map[string]string{"fs.oss.endpoint": "oss-cn-beijing.aliyuncs.com"},
			EncryptOptions: []v1alpha1.EncryptOption{{Name: "fs.oss.accessKeyId"}, {Name: "fs.oss.accessKeySecret"}},
		}
		status.Effective = &v1alpha1.EffectiveSpec{Version: 1, Revision: 1, Dataset: &v1alpha1.EffectiveDataset{Name: "hbase", Spec: v1alpha1.DatasetSpec{Mounts: []v1alpha1.Mount{mount}}}}
	})
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "SpecValid=True/Valid")
	s.countEvents("")
	return s
}

// A bound Dataset stays Bound after an edit that is not valid, because its mounts remain;
// a condition and one event report the edit and how to correct it.
func TestInvalidEditOfABoundDataset(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*v1alpha1.Dataset)
		want   string
	}{
		{"no mounts", func(d *v1alpha1.Dataset) { d.Spec.Mounts = nil }, "at least one mount"},
		{"no endpoint", func(d *v1alpha1.Dataset) { delete(d.Spec.Mounts[0].Options, "fs.oss.endpoint") }, "fs.oss.endpoint"},
		{"unknown scheme", func(d *v1alpha1.Dataset) { d.Spec.Mounts[0].MountPoint = "ftp://a/" }, "unsupported scheme"},
		{"no size", func(d *v1alpha1.Dataset) {
			d.Annotations = map[string]string{v1alpha1.PVCStorageAnnotation: "much"}
		}, `invalid quantity "much"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServed(t)
			d := s.dataset()
			test.change(d)
			s.update(d)
			s.settle()
			s.checkStatus(v1alpha1.BoundDatasetPhase, "SpecValid=False/SpecInvalid: "+test.want, "SpecValid=False/SpecInvalid: the Dataset is served as before this edit: correct it", "Ready=True/DatasetReady", "-NotReady", "-ChangeNotApplied")
			if n := s.countEvents(test.want); n != 1 {
				t.Errorf("%d events", n)
			}
			if d := s.dataset(); len(d.Status.Mounts) != 1 || len(d.Status.Runtimes) != 1 {
				t.Errorf("mounts %+v, runtimes %+v", d.Status.Mounts, d.Status.Runtimes)
			}
			s.checkVolume("hadoop")
			// The claim is created again if it was deleted.
			s.delete(&corev1.PersistentVolumeClaim{ObjectMeta: newDataset().ObjectMeta})
			s.settle()
			s.checkVolume("hadoop")
			d = s.dataset()
			d.Spec, d.Annotations = newDataset().Spec, nil
			s.update(d)
			s.settle()
			s.checkStatus(v1alpha1.BoundDatasetPhase, "SpecValid=True/Valid", "Ready=True/DatasetReady")
		})
	}
}

// Nor is a bound Dataset Failed while what runs does not depend on the edit: of mounts
// that are not supported, of credentials that do not exist, or of its runtime.
func TestEditsThatChangeNothingThatRuns(t *testing.T) {
	s := newServed(t)
	d := s.dataset()
	d.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "hdfs://name:9000/a", Name: "old"}}
	s.update(d)
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "MountUnsupported=True/MountUnsupported: hdfs://", "-NotReady")

	s = newServed(t)
	s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
		status.Conditions = append(status.Conditions, v1alpha1.RuntimeCondition{Type: v1alpha1.RuntimeCredentialsReady, Status: corev1.ConditionFalse, Reason: "SecretMissing", Message: "create Secret keys"})
	})
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "-NotReady", "CredentialsReady=False/SecretMissing: create Secret keys")
	s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
		status.Conditions[len(status.Conditions)-1].Status = corev1.ConditionTrue
	})
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "-CredentialsReady")

	s = newServed(t)
	s.editRuntime("hadoop", func(r *v1alpha1.JindoRuntime) { r.Spec.Master.Replicas, r.Spec.Master.Disabled = new(int32(2)), true })
	s.runtimeStatus("hadoop", func(status *v1alpha1.RuntimeStatus) {
		status.Conditions = append(status.Conditions, v1alpha1.RuntimeCondition{Type: v1alpha1.RuntimeSpecValid, Status: corev1.ConditionFalse, Reason: "InvalidSpec", Message: "must be 1 or 3"})
	})
	s.settle()
	s.checkStatus(v1alpha1.BoundDatasetPhase, "Ready=True/DatasetReady", "-NotReady")
	if endpoint := s.dataset().Status.HCFSStatus.Endpoint; endpoint == "N/A" {
		t.Error("the endpoint follows a spec that is not carried out")
	}
}
