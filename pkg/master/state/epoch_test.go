package state

import (
	"testing"
)

// TestBeginEpoch: everything that clients compare is newer than what they have, and the
// contents remain.
func TestBeginEpoch(t *testing.T) {
	const begin = 1 << 40
	f := busy(t)
	before := f.View().Cluster()
	if err := f.BeginEpoch(begin); err != nil {
		t.Fatal(err)
	}
	f.index = begin
	after := f.View().Cluster()
	if after.GetIndex() != begin || f.View().Index() != begin {
		t.Errorf("the view has index %d", after.GetIndex())
	}
	if after.GetRing().GetEpoch() < begin || len(after.GetRing().GetMembers()) != len(before.GetRing().GetMembers()) || len(after.GetPreviousRings()) != 0 {
		t.Errorf("the ring is %v, and was %v", after.GetRing(), before.GetRing())
	}
	if len(before.GetMounts()) == 0 || len(after.GetMounts()) != len(before.GetMounts()) {
		t.Fatalf("%d mounts, and %d before", len(after.GetMounts()), len(before.GetMounts()))
	}
	for i, m := range after.GetMounts() {
		if old := before.GetMounts()[i]; m.GetId() != old.GetId() || m.GetUri() != old.GetUri() || m.GetEpoch() < begin {
			t.Errorf("the mount is %v, and was %v", m, old)
		}
	}
	if got := f.restored().View().Digest(); got != f.View().Digest() {
		t.Error("the state cannot be restored")
	}
	if err := f.BeginEpoch(begin); err == nil {
		t.Error("an epoch begins twice")
	}
	// The epochs grow on.
	path := after.GetMounts()[0].GetPath()
	f.must(open("later", "admin/a"))
	result := f.must(of("later", "admin/a", 1, 0, invalidate(path)))
	if result.GetMount().GetEpoch() != after.GetMounts()[0].GetEpoch()+1 {
		t.Errorf("the result is %v", result)
	}
	if f.View().Cluster().GetIndex() <= begin {
		t.Error("the view is not newer")
	}
	forged := busy(t)
	if err := forged.BeginEpoch(4); err == nil {
		t.Error("an epoch begins at an index of the state")
	}
	empty := newFixture(t)
	if err := empty.BeginEpoch(begin); err != nil || empty.View().RingEpoch() != 0 {
		t.Errorf("an empty state has ring epoch %d, %v", empty.View().RingEpoch(), err)
	}
	if id := empty.View().ClusterID(); id != "" {
		t.Errorf("an empty state is of cluster %q", id)
	}
	empty.index = begin
	empty.must(form("c"))
}
