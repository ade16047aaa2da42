package runtime

import (
	"cmp"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// minSnapshotFailures is from how many failures on a schedule is reported. After an edit,
// workers read the topology up to two minutes later than masters, and refuse until then.
const minSnapshotFailures = 4

// reportSnapshots sets the condition about scheduled snapshots of the masters' state that
// are not saved: why the schedule cannot be carried out, or what the leader reports.
func reportSnapshots(r *report, want *desired, m *masterState) {
	if m.leaderUnconfirmed {
		return // the condition remains
	}
	failed := ""
	if s := m.leader.GetSnapshots(); s.GetFailures() >= minSnapshotFailures {
		failed = s.GetError()
	}
	r.setProblem(v1alpha1.RuntimeSnapshotsFailing, reasonScheduleUnmet, cmp.Or(want.plan.SnapshotsProblem, failed))
}
