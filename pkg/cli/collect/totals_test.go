package collect

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
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
