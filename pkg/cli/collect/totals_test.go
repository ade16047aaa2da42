package collect

import (
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// The totals of the worker that counted most are shown, with whether they are a
// lower bound.
func TestTotalsOfSeveralWorkers(t *testing.T) {
	var m report.Mount
	addHealth(&m, &commonv1.MountHealth{Objects: -1, Bytes: -1})
	if m.Objects != nil || m.AtLeast {
		t.Errorf("unknown totals are shown as %+v", m)
	}
	addHealth(&m, &commonv1.MountHealth{Objects: 20, Bytes: 200, AtLeast: true, Hidden: 3})
	addHealth(&m, &commonv1.MountHealth{Objects: 5, Bytes: 50})
	if m.Objects == nil || *m.Objects != 20 || *m.Bytes != 200 || !m.AtLeast || m.Hidden != 3 {
		t.Errorf("the totals are %+v", m)
	}
	addHealth(&m, &commonv1.MountHealth{Objects: 21, Bytes: 210})
	if *m.Objects != 21 || m.AtLeast {
		t.Errorf("after a complete count the totals are %+v", m)
	}
}

// TestPassthrough: each mount counts once, with its newest report.
func TestPassthrough(t *testing.T) {
	state := func(id, reason string, files uint64, age time.Duration) *workerv1.ReportedMount {
		return &workerv1.ReportedMount{State: &workerv1.MountState{Id: id, Passthrough: reason, Files: files}, Age: durationpb.New(age)}
	}
	if got := passthrough([]workerResponse{{}, {}}); got != nil {
		t.Errorf("without reports: %+v", got)
	}
	got := passthrough([]workerResponse{
		{mounts: []*workerv1.ReportedMount{state("a", "away", 0, time.Minute), state("b", "", 2, time.Second), state("c", "holder", 0, 0)}},
		{mounts: []*workerv1.ReportedMount{state("a", "", 5, time.Second), state("b", "unsupported", 9, time.Minute), state("d", "unsupported", 0, 0)}},
		{mounts: []*workerv1.ReportedMount{state("e", "unsupported", 0, 0)}},
	})
	want := &report.Passthrough{Mounts: 5, Enabled: 2, Files: 7, Reasons: []report.PassthroughReason{{Reason: "unsupported", Mounts: 2}, {Reason: "holder", Mounts: 1}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
