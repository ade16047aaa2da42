package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// SnapshotMountProblem returns why scheduled snapshots of a runtime cannot be written to
// the mount that it names, and what to write instead; "" if they can, or if it schedules
// none. Both objects are valid and have their defaults.
func SnapshotMountProblem(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) string {
	s := runtime.Spec.Master.Snapshots
	if s == nil {
		return ""
	}
	var writable []string
	for _, m := range dataset.Spec.Mounts {
		readOnly := dataset.Spec.ReadOnly() || m.ReadOnly
		switch {
		case m.Name == s.Mount && dataset.Spec.ReadOnly():
			return fmt.Sprintf("mount %s is read-only, because Dataset %s has no accessModes other than ReadOnlyMany: write accessModes: [ReadWriteMany] in the Dataset, and readOnly: true at its other mounts", s.Mount, dataset.Name)
		case m.Name == s.Mount && readOnly:
			return fmt.Sprintf("mount %s is read-only: omit readOnly there, or write another mount of Dataset %s", s.Mount, dataset.Name)
		case m.Name == s.Mount:
			return ""
		case !readOnly:
			writable = append(writable, m.Name)
		}
	}
	advice := "add such a mount that is not read-only"
	if len(writable) > 0 {
		advice = "write " + strings.Join(writable, " or ")
	}
	return fmt.Sprintf("Dataset %s has no mount %s: %s", dataset.Name, s.Mount, advice)
}

// planSnapshots sets the schedule of a plan that has its mounts, or why there is none. Of
// a runtime that serves no Dataset, neither is set.
func planSnapshots(p *Plan, dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) {
	s := runtime.Spec.Master.Snapshots
	if s == nil || runtime.Spec.Master.Disabled || p.Unbound != "" {
		return
	}
	const field = "spec.master.snapshots"
	if problem := SnapshotMountProblem(dataset, runtime); problem != "" {
		p.SnapshotsProblem = field + ".mount: " + problem
		return
	}
	interval, err := s.Every()
	if err != nil {
		p.SnapshotsProblem = field + ": " + err.Error()
		return
	}
	for _, m := range p.Mounts {
		if m.Name == s.Mount {
			p.Snapshots = &topology.SnapshotSchedule{
				Mount: m.Name, URI: m.URI, Prefix: s.Prefix, IntervalSeconds: int64(interval / time.Second), Keep: int(*s.Keep),
			}
			return
		}
	}
	p.SnapshotsProblem = fmt.Sprintf("%s.mount: mount %s cannot be served", field, s.Mount)
}
