package state

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

func members(r *commonv1.Ring) []string {
	var names []string
	for _, m := range r.GetMembers() {
		names = append(names, m.GetName()+"="+m.GetId())
	}
	return names
}

func TestRingEpochs(t *testing.T) {
	f := formed(t)
	sequence := uint64(0)
	next := func(c *statev1.Command) *statev1.Command {
		sequence++
		return by(sequence, c)
	}
	other := register("b", "2")
	other.GetRegisterWorker().GetMember().Weight = 5
	foreign := register("d", "4")
	foreign.GetRegisterWorker().ClusterId = "another"
	for _, step := range []struct {
		name    string
		command *statev1.Command
		refused statev1.Refusal_Code
		epoch   uint64
		ring    []string
	}{
		{"a member joins", next(register("b", "2")), 0, 1, []string{"b=2"}},
		{"it registers again", next(register("b", "2")), 0, 1, []string{"b=2"}},
		{"another joins, before it by name", next(register("a", "1")), 0, 2, []string{"a=1", "b=2"}},
		{"a weight changes", next(other), 0, 3, []string{"a=1", "b=2"}},
		{"a member has a new disk", next(register("a", "9")), 0, 4, []string{"a=9", "b=2"}},
		{"an id moves to another name", next(register("c", "9")), statev1.Refusal_CODE_ID_TAKEN, 4, []string{"a=9", "b=2"}},
		{"a disk of another cluster", next(foreign), statev1.Refusal_CODE_OTHER_CLUSTER, 4, []string{"a=9", "b=2"}},
		{"the replaced one is absent", remove("a", "1"), statev1.Refusal_CODE_REPLACED, 4, []string{"a=9", "b=2"}},
		{"a member is removed", next(remove("a", "")), 0, 5, []string{"b=2"}},
		{"it is removed again", next(remove("a", "")), statev1.Refusal_CODE_NOT_FOUND, 5, []string{"b=2"}},
		{"the last one is absent", remove("b", "2"), 0, 6, nil},
	} {
		before := f.View().ViewIndex()
		r := f.do(step.command)
		if r.GetRefusal().GetCode() != step.refused {
			t.Fatalf("%s: got %v", step.name, r)
		}
		view := f.View().Cluster()
		if view.GetRing().GetEpoch() != step.epoch || !slices.Equal(members(view.GetRing()), step.ring) {
			t.Errorf("%s: the ring is %v", step.name, view.GetRing())
		}
		if changed := view.GetIndex() != before; changed != r.GetChanged() {
			t.Errorf("%s: changed is %v, and the view index changed from %d to %d", step.name, r.GetChanged(), before, view.GetIndex())
		}
	}
	var epochs []uint64
	for _, old := range f.View().Cluster().GetPreviousRings() {
		epochs = append(epochs, old.GetEpoch())
	}
	if !slices.Equal(epochs, []uint64{5, 4, 3}) {
		t.Errorf("the previous rings are %v", epochs)
	}
}

func TestMounts(t *testing.T) {
	f := formed(t)
	first := f.must(by(1, mount("/data", "oss://b/"))).GetMount()
	if first.GetEpoch() != 1 || first.GetId() != "m1-0123456789abcdef" || first.GetMetaPolicy() != commonv1.MetaPolicy_META_POLICY_ALWAYS {
		t.Errorf("the first mount is %v", first)
	}
	same := f.must(by(2, mount("/data", "oss://b/")))
	if same.GetChanged() || same.GetMount().GetEpoch() != 1 {
		t.Errorf("mounting the same again: got %v", same)
	}
	changed := mount("/data", "oss://b/")
	changed.GetPutMount().GetMount().Options["a"] = "3"
	if r := f.must(by(3, changed)); !r.GetChanged() || r.GetMount().GetId() != first.GetId() || r.GetMount().GetEpoch() != 2 {
		t.Errorf("changed options: got %v", r)
	}
	elsewhere := f.must(by(4, mount("/data", "oss://other/"))).GetMount()
	if elsewhere.GetId() == first.GetId() || elsewhere.GetEpoch() != 1 {
		t.Errorf("another store at the path is %v", elsewhere)
	}
	named := mount("/else", "oss://b/")
	named.GetPutMount().GetMount().Name = "at/data"
	if r := f.refused(by(5, named), statev1.Refusal_CODE_NAME_TAKEN); r.GetRefusal().GetOther() != "/data" {
		t.Errorf("a name in use: got %v", r)
	}
	f.must(by(6, unmount("/data")))
	f.refused(by(7, unmount("/data")), statev1.Refusal_CODE_NOT_FOUND)
	again := f.must(by(8, mount("/data", "oss://b/"))).GetMount()
	if again.GetId() == first.GetId() || again.GetId() == elsewhere.GetId() {
		t.Errorf("an id was reused: %s", again.GetId())
	}
	unnamed := func(path string) *statev1.Command {
		c := mount(path, "oss://b/")
		c.GetPutMount().GetMount().Name = ""
		return c
	}
	f.must(by(9, unnamed("/1")))
	f.must(by(10, unnamed("/0")))
	var paths []string
	for _, m := range f.View().Cluster().GetMounts() {
		paths = append(paths, m.GetPath())
	}
	if !slices.Equal(paths, []string{"/0", "/1", "/data"}) {
		t.Errorf("the mounts are at %v", paths)
	}
}

func TestTablesAreBounded(t *testing.T) {
	for _, test := range []struct {
		name string
		max  int
		make func(i int) *statev1.Command
	}{
		{"mounts", MaxMounts, func(i int) *statev1.Command { return mount(fmt.Sprintf("/%d", i), "oss://b/") }},
		{"sessions", MaxSessions - 1, func(i int) *statev1.Command { return open(fmt.Sprintf("n%d", i), "admin/a") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := formed(t)
			next := func(i int) *statev1.Command {
				c := test.make(i)
				if needsSession(Operation(c)) {
					by(uint64(i), c)
				}
				return c
			}
			var commands []*statev1.Command
			for i := 1; i <= test.max; i++ {
				if commands = append(commands, next(i)); len(commands) == MaxBatch || i == test.max {
					for _, r := range f.batch(commands...) {
						if r.GetRefusal() != nil {
							t.Fatalf("one of the first %d was refused: %v", i, r)
						}
					}
					commands = nil
				}
			}
			if r := f.refused(next(test.max+1), statev1.Refusal_CODE_LIMIT); r.GetRefusal().GetSubject() != test.name {
				t.Errorf("one above the limit: got %v", r)
			}
		})
	}
}

// TestSnapshotsAreImmutable: a view or a snapshot does not change when entries
// are applied.
func TestSnapshotsAreImmutable(t *testing.T) {
	f := formed(t)
	f.must(by(1, mount("/data", "oss://b/")))
	view, snapshot := f.View(), f.Snapshot()
	before := view.Digest()
	f.must(by(2, invalidate("/data")))
	f.must(by(3, unmount("/data")))
	if mounts := view.Cluster().GetMounts(); len(mounts) != 1 || mounts[0].GetEpoch() != 1 || view.Digest() != before {
		t.Errorf("the view changed to %v", mounts)
	}
	other := newFixture(t)
	if err := other.Restore(pipe(t, snapshot)); err != nil {
		t.Fatal(err)
	}
	if got := other.View().Digest(); got != before {
		t.Errorf("the snapshot has digest %s at %d, not %s at %d", got, got.Index, before, before.Index)
	}
}
