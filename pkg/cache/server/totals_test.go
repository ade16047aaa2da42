package server

import (
	"fmt"
	"testing"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// totals waits for a report with that number of objects in the mount.
func (h *harness) totals(want int64) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("the last report has %d objects", want), func() bool {
		mounts := h.masters.last().GetMounts()
		return len(mounts) == 1 && mounts[0].GetObjects() == want
	})
}

// The owner of a mount's root counts and reports it without any request for a
// name.
func TestOwnerOfTheRootCounts(t *testing.T) {
	h := newHarness(t).ready()
	h.totals(7)
}

// A worker that does not own the root reports no totals: its own may be stale.
func TestOthersReportNoTotals(t *testing.T) {
	view := oneMount()
	view.Ring = &commonv1.Ring{Epoch: 3, Members: []*commonv1.RingMember{{Name: "hadoop-jindofs-worker-1", Host: "127.0.0.1", Port: 1, Weight: 1}}}
	h := newHarness(t, func(h *harness) { h.masters.view = view }).ready()
	h.totals(-1)
	if n := h.directory.countedMounts(); n != 0 {
		t.Errorf("the mount was counted %d times", n)
	}
}

// A mount whose first probe is in progress is not counted: the probe may fail.
func TestMountIsNotCountedDuringItsProbe(t *testing.T) {
	h := newHarness(t).ready()
	h.totals(7)
	entry := h.worker.mounts.all()[0]
	store, err := entry.opened()
	if err != nil {
		t.Fatal(err)
	}
	h.cancel() // Nothing else counts.
	h.stopped <- <-h.stopped
	for _, proved := range []bool{false, true} {
		entry.mu.Lock()
		entry.store, entry.proved = store, proved
		entry.mu.Unlock()
		before := h.directory.countedMounts()
		h.worker.countKeys(entry)
		if counted := h.directory.countedMounts() > before; counted != proved {
			t.Errorf("the mount is counted: %t; a probe has ended: %t", counted, proved)
		}
	}
}

// A failing store is not counted before it works: a count that failed would not
// be retried for minutes.
func TestFailingMountIsNotCounted(t *testing.T) {
	h := newHarness(t, func(h *harness) { h.bucket.failWith(ufs.ErrUnavailable, nil) }).ready()
	h.totals(-1)
	if n := h.directory.countedMounts(); n != 0 {
		t.Errorf("the mount was counted %d times", n)
	}
}
