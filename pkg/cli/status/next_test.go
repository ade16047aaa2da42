package status

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/test/cli/reporttest"
)

// TestNextHelpsWithTheCause: only problems of masters lead to raft status.
func TestNextHelpsWithTheCause(t *testing.T) {
	withCause := func(cause health.Cause) *report.Runtime {
		r := reporttest.Refused()
		r.Cause = string(cause)
		return r
	}
	leaderless := reporttest.Leaderless()
	stopped := reporttest.Healthy()
	stopped.Health = report.Stopped
	for name, test := range map[string]struct {
		report *report.Runtime
		local  bool
		want   string
	}{
		"healthy":            {reporttest.Healthy(), false, ""},
		"store":              {withCause(health.CauseStore), false, "kubectl jindo check hbase -n vision"},
		"credentials":        {withCause(health.CauseCredentials), false, "kubectl jindo check hbase -n vision"},
		"spec":               {withCause(health.CauseSpec), false, "kubectl edit jindoruntime.data.fluid.io hadoop -n vision"},
		"placement":          {withCause(health.CausePlacement), false, "kubectl get events -n vision --field-selector type=Warning"},
		"deletion":           {withCause(health.CauseDeletion), false, "kubectl jindo tree hbase -n vision"},
		"controller":         {withCause(health.CauseController), false, "kubectl get pods -n fluid-system"},
		"a pod is not ready": {reporttest.InCluster(), false, "kubectl jindo check hbase -n vision"},
		"no leader":          {leaderless, false, "kubectl jindo raft status hadoop"},
		"no leader here":     {leaderless, true, "kubectl jindo raft status hadoop --local"},
		"store here":         {reporttest.Degraded(), true, "kubectl jindo local down hadoop   # then correct the mount or its credentials in the manifest, and run local up again"},
		"no runtime":         {reporttest.Unserved(), false, "kubectl jindo create runtime hbase"},
		"stopped":            {stopped, true, "kubectl jindo local down hadoop   # removes what it left"},
	} {
		test.report.Next = ""
		o := &options{session: &session.Session{Name: "kubectl jindo", Local: test.local}}
		if o.addNext(test.report); test.report.Next != test.want {
			t.Errorf("%s: %q, want %q", name, test.report.Next, test.want)
		}
	}
}

func draw(t *testing.T, r *report.Runtime) string {
	t.Helper()
	var out bytes.Buffer
	if err := Draw(&out, iostreams.Screen{Width: 100, Unicode: true}, r, false); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestMountsBeforeTheFirstReport: right after the start no worker has reported the
// mounts, which does not mean that nothing is mounted.
func TestMountsBeforeTheFirstReport(t *testing.T) {
	r := reporttest.Healthy()
	r.Mounts = nil
	if screen := draw(t, r); !strings.Contains(screen, "Bound   no mount has been reported yet") {
		t.Errorf("the mounts are not described as unknown:\n%s", screen)
	}
}

// TestReadWriteIsShownAsServed: writing is not supported yet.
func TestReadWriteIsShownAsServed(t *testing.T) {
	r := reporttest.Healthy()
	r.Mounts[0].ReadOnly = false
	if screen := draw(t, r); !strings.Contains(screen, "/hadoop   ro") {
		t.Errorf("the access is not that of the mount:\n%s", screen)
	}
}

// TestResolvedWarningsAreNotShown covers warnings about the start of pods that have
// become ready: they would stay on the screen of a healthy runtime for an hour.
func TestResolvedWarningsAreNotShown(t *testing.T) {
	d := &dashboard{report: &report.Runtime{Health: report.Healthy, Events: []report.Event{
		{Type: "Warning", Reason: "Unhealthy", Resolved: true},
		{Type: "Warning", Reason: "BackOff"},
		{Type: "Normal", Reason: "Started"},
	}}}
	events := d.shown()
	if len(events) != 2 || events[0].Reason != "BackOff" || events[1].Reason != "Started" {
		t.Errorf("got %+v, want BackOff and Started", events)
	}
}
