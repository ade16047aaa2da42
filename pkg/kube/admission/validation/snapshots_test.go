package validation

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/ctrlreader"
)

// A schedule of snapshots that names a mount which cannot be written to is refused with
// the mounts that can, when it is written; afterwards it is a warning.
func TestSnapshotMounts(t *testing.T) {
	schedule := func(mount string, keep int32) *v1alpha1.JindoRuntime {
		return jindo("d", "", func(r *v1alpha1.JindoRuntime) {
			r.Spec.Master.Snapshots = &v1alpha1.SnapshotSchedule{Mount: mount, Keep: &keep}
		})
	}
	readOnly := dataset("d")
	for name, test := range map[string]struct {
		existing      []client.Object
		old, object   client.Object
		refuses, warn string
	}{
		"a mount":                 {existing: []client.Object{dataset("d", writable)}, object: schedule("a", 1)},
		"an unknown mount":        {existing: []client.Object{dataset("d", writable)}, object: schedule("b", 1), refuses: `spec.master.snapshots.mount: Invalid value: "b": Dataset d has no mount b: write a`},
		"a read-only Dataset":     {existing: []client.Object{readOnly}, object: schedule("a", 1), refuses: "write accessModes: [ReadWriteMany]"},
		"no Dataset yet":          {object: schedule("b", 1)},
		"another edit":            {existing: []client.Object{readOnly}, old: schedule("a", 1), object: schedule("a", 1), warn: "mount a is read-only"},
		"an edit of the schedule": {existing: []client.Object{readOnly}, old: schedule("a", 1), object: schedule("a", 2), refuses: "mount a is read-only"},
		"a Dataset without it":    {existing: []client.Object{schedule("b", 1)}, object: dataset("d", writable), warn: "no snapshots of the masters of JindoRuntime d will be saved: Dataset d has no mount b"},
		"a Dataset with it":       {existing: []client.Object{schedule("a", 1)}, object: dataset("d", writable)},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := CheckChange(t.Context(), ctrlreader.New(reader(t, test.existing...)), test.old, test.object)
			if (err != nil) != (test.refuses != "") || err != nil && !strings.Contains(err.Error(), test.refuses) {
				t.Errorf("error %v, want %q", err, test.refuses)
			}
			text := strings.Join(warnings, "\n")
			if !strings.Contains(text, test.warn) || test.warn == "" && strings.Contains(text, "snapshots") {
				t.Errorf("warnings %q, want %q", text, test.warn)
			}
		})
	}
}
