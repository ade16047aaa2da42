package runtime_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// editDataset edits the seed's Dataset.
func (c *cluster) editDataset(t *testing.T, ns string, edit func(spec *v1alpha1.DatasetSpec)) {
	t.Helper()
	eventually(t, func() error {
		d := &v1alpha1.Dataset{}
		c.mustGet(t, ns, "hbase", d)
		edit(&d.Spec)
		return c.Update(t.Context(), d)
	})
}

// mounted returns the masters' mounts: PATH=ENDPOINT@CREDENTIALS, or PATH=URI@CREDENTIALS
// for those of another bucket.
func (c *cluster) mounted(ns string) string {
	var all []string
	c.masters.change(ns, func(s *fakeSet) {
		for _, m := range s.view.GetMounts() {
			what := m.GetOptions()["fs.oss.endpoint"]
			if m.GetUri() != "oss://test-bucket/" {
				what = m.GetUri()
			}
			all = append(all, m.GetPath()+"="+what+"@"+m.GetSecretRef())
		}
	})
	return strings.Join(all, " ")
}

// reportRevision sets reports of workers that have read credentials of revisions.
func (c *cluster) reportRevision(ns string, revisions ...uint64) {
	c.masters.change(ns, func(s *fakeSet) {
		s.workers = nil
		for i, revision := range revisions {
			report := &commonv1.WorkerReport{Name: fmt.Sprintf("hadoop-jindofs-worker-%d", i), CredentialsRevision: revision, ViewIndex: s.view.GetIndex()}
			for _, m := range s.view.GetMounts() {
				report.Mounts = append(report.Mounts, &commonv1.MountHealth{MountId: m.GetId(), Objects: 1, Bytes: 1})
			}
			s.workers = append(s.workers, &masterv1.WorkerState{Live: true, Report: report})
		}
	})
}

func (c *cluster) waitMounted(t *testing.T, ns, want string) {
	t.Helper()
	eventually(t, func() error {
		if got := c.mounted(ns); got != want {
			return fmt.Errorf("mounted %q, want %q", got, want)
		}
		return nil
	})
}

// The endpoint and the credentials of a mount in use are changed together, after every
// worker has read the new ones beside the old ones.
func TestMountIsChangedWithItsCredentials(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	before := c.mounted(ns)
	c.editDataset(t, ns, func(spec *v1alpha1.DatasetSpec) {
		spec.Mounts[0].Options["fs.oss.endpoint"], spec.Mounts[0].Options["fs.oss.accessKeySecret"] = "two.example.com", "new"
	})
	runtime := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, corev1.ConditionTrue, "waits for")
	})
	dataset := runtime.Status.Effective.Dataset
	if dataset.CredentialsRevision != runtime.Status.Effective.Revision || fmt.Sprint(dataset.RetiredSecretRefs) != "[hadoop]" {
		t.Errorf("effective %+v", dataset)
	}
	revision := uint64(dataset.CredentialsRevision)
	c.reportRevision(ns, revision, revision-1)
	c.triggerReconcile(t, ns)
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, corev1.ConditionTrue, "waits for hadoop-jindofs-worker-1 to read its credentials")
	})
	if got := c.mounted(ns); got != before {
		t.Errorf("mounted %q before a worker has the credentials", got)
	}
	c.reportRevision(ns, revision, revision)
	c.triggerReconcile(t, ns)
	c.waitMounted(t, ns, "/hadoop=two.example.com@hadoop-r2")
	c.reportRevision(ns, revision, revision)
	c.triggerReconcile(t, ns)
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if retired := s.Effective.Dataset.RetiredSecretRefs; len(retired) > 0 {
			return fmt.Errorf("retired %v", retired)
		}
		if len(s.Mounts) != 1 || s.Mounts[0].Options["fs.oss.endpoint"] != "two.example.com" {
			return fmt.Errorf("status has mounts %+v", s.Mounts)
		}
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, "", "")
	})
}

// A mount is added to a bound Dataset, and one is removed when no pod uses the Dataset.
func TestMountsAreAddedAndRemoved(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	before := c.mounted(ns)
	c.editDataset(t, ns, func(spec *v1alpha1.DatasetSpec) {
		more := *spec.Mounts[0].DeepCopy()
		more.Name, more.Path, more.MountPoint = "more", "/more", "oss://more/"
		spec.Mounts = append(spec.Mounts, more)
	})
	runtime := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, corev1.ConditionTrue, "mount more at /more waits for")
	})
	c.reportRevision(ns, uint64(runtime.Status.Effective.Dataset.CredentialsRevision))
	c.triggerReconcile(t, ns)
	c.waitMounted(t, ns, before+" /more=oss://more/@more")
	c.reportRevision(ns, uint64(runtime.Status.Effective.Dataset.CredentialsRevision))
	c.triggerReconcile(t, ns)
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if len(s.Mounts) != 2 {
			return fmt.Errorf("mounts %+v", s.Mounts)
		}
		return checkCondition(s, v1alpha1.RuntimeMountsReady, corev1.ConditionTrue, "")
	})

	reader := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node1", Containers: []corev1.Container{{Name: "c", Image: "i"}}, Volumes: []corev1.Volume{{
		Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "hbase"}},
	}}}}
	reader.Namespace, reader.Name = ns, "reader"
	if err := c.Create(t.Context(), reader); err != nil {
		t.Fatal(err)
	}
	c.editDataset(t, ns, func(spec *v1alpha1.DatasetSpec) { spec.Mounts = spec.Mounts[1:] })
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, corev1.ConditionTrue, "until no pod uses Dataset hbase: pod reader mounts")
	})
	if got := c.mounted(ns); got != before+" /more=oss://more/@more" {
		t.Errorf("mounted %q while a pod uses the Dataset", got)
	}
	if err := c.Delete(t.Context(), reader, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	c.triggerReconcile(t, ns)
	c.waitMounted(t, ns, "/more=oss://more/@more")
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if len(s.Mounts) != 1 || s.Mounts[0].Path != "/more" {
			return fmt.Errorf("mounts %+v", s.Mounts)
		}
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, "", "")
	})
}

// A mount whose store has never been available is replaced at once.
func TestMountThatNeverWorkedIsReplaced(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	c.report(ns, 0, -1, -1, "no such host")
	c.editDataset(t, ns, func(spec *v1alpha1.DatasetSpec) { spec.Mounts[0].MountPoint = "oss://other/" })
	runtime := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.Effective.Dataset.CredentialsRevision == 0 {
			return fmt.Errorf("effective %+v", s.Effective.Dataset)
		}
		return nil
	})
	c.masters.change(ns, func(s *fakeSet) {
		report := proto.CloneOf(s.workers[0].GetReport())
		report.CredentialsRevision = uint64(runtime.Status.Effective.Dataset.CredentialsRevision)
		s.workers = []*masterv1.WorkerState{{Live: true, Report: report}}
	})
	c.triggerReconcile(t, ns)
	c.waitMounted(t, ns, "/hadoop=oss://other/@hadoop-r2")
}
