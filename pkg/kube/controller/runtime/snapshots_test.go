package runtime

import (
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// The condition has why a schedule cannot be carried out, or what the leader reports after
// a few failures, and is removed with the cause.
func TestSnapshotsFailing(t *testing.T) {
	r := newReport(&v1alpha1.JindoRuntime{}, time.Now())
	leader := func(failures uint32) *masterState {
		return &masterState{leader: &masterv1.StatusResponse{Snapshots: &masterv1.ScheduledSnapshots{Failures: failures, Error: "permission denied"}}}
	}
	works, refused := &desired{plan: &plan.Plan{}}, &desired{plan: &plan.Plan{SnapshotsProblem: "mount a is read-only"}}
	for i, step := range []struct {
		want *desired
		m    *masterState
		says string
	}{
		{works, leader(0), ""},
		{works, leader(minSnapshotFailures - 1), ""},
		{works, leader(minSnapshotFailures), "permission denied"},
		{works, &masterState{leaderUnconfirmed: true}, "permission denied"},
		{refused, leader(0), "mount a is read-only"},
		{works, &masterState{}, ""},
	} {
		reportSnapshots(r, step.want, step.m)
		r.runtime.Status = *r.status
		c := health.RuntimeCondition(r.runtime, v1alpha1.RuntimeSnapshotsFailing)
		if (c != nil) != (step.says != "") || c != nil && c.Message != step.says {
			t.Errorf("step %d: %+v, want %q", i, c, step.says)
		}
	}
}
