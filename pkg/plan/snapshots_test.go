package plan

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// backedUp returns a pair whose masters are saved in one of two mounts.
func backedUp(mount string, modes ...corev1.PersistentVolumeAccessMode) (*v1alpha1.Dataset, *v1alpha1.JindoRuntime) {
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: "hadoop"}}
	endpoint := map[string]string{"fs.oss.endpoint": "oss.example.com"}
	d.Spec.AccessModes = modes
	d.Spec.Mounts = []v1alpha1.Mount{
		{MountPoint: "oss://data/", Name: "data", ReadOnly: true, Options: endpoint},
		{MountPoint: "oss://backup/b/", Name: "backup", Options: endpoint},
		{MountPoint: "hdfs://name:1/", Name: "hdfs"},
	}
	r := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Name: "hadoop"}}
	if mount != "" {
		r.Spec.Master.Snapshots = &v1alpha1.SnapshotSchedule{Mount: mount, Interval: "1h30m"}
	}
	return d, r
}

func TestPlanOfSnapshots(t *testing.T) {
	writable := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	for name, test := range map[string]struct {
		mount   string
		modes   []corev1.PersistentVolumeAccessMode
		planned bool
		problem string
	}{
		"none":              {"", writable, false, ""},
		"one":               {"backup", writable, true, ""},
		"unknown":           {"other", writable, false, "spec.master.snapshots.mount: Dataset hadoop has no mount other: write backup or hdfs"},
		"read-only":         {"data", writable, false, "mount data is read-only: omit readOnly there"},
		"read-only Dataset": {"backup", nil, false, "write accessModes: [ReadWriteMany]"},
		"not served":        {"hdfs", writable, false, "mount hdfs cannot be served"},
	} {
		p, err := Build(backedUp(test.mount, test.modes...))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if (p.Snapshots != nil) != test.planned || (p.SnapshotsProblem != "") != (test.problem != "") || !strings.Contains(p.SnapshotsProblem, test.problem) {
			t.Errorf("%s: %+v, problem %q", name, p.Snapshots, p.SnapshotsProblem)
		}
		of := p.Topology("id", func(*Component, int) string { return "host" })
		if err := of.Validate(); err != nil || of.Snapshots != p.Snapshots {
			t.Errorf("%s: topology with %+v, %v", name, of.Snapshots, err)
		}
		if want := (topology.SnapshotSchedule{Mount: "backup", URI: "oss://backup/b/", Prefix: "jindo-snapshots", IntervalSeconds: 5400, Keep: 24}); test.planned && *p.Snapshots != want {
			t.Errorf("%s: %+v, want %+v", name, *p.Snapshots, want)
		}
	}
	_, r := backedUp("backup")
	if p, err := Build(nil, r); err != nil || p.Snapshots != nil || p.SnapshotsProblem != "" {
		t.Errorf("without a Dataset: %+v, %v", p, err)
	}
}

// A schedule is in the effective spec, and replaces no pods.
func TestSnapshotsReplaceNoPods(t *testing.T) {
	a, b := &v1alpha1.EffectiveSpec{}, &v1alpha1.EffectiveSpec{}
	b.Runtime.Master.Snapshots = &v1alpha1.SnapshotSchedule{Mount: "backup"}
	if ReplacesPods(a, b) || b.Runtime.Master.Snapshots == nil {
		t.Error("a schedule replaces pods")
	}
}
