package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jindo-io/jindo/pkg/plan"
)

// specWithMasters returns a spec with a number of masters.
func specWithMasters(root string, n int32) Spec {
	return Spec{Root: root, Plan: plan.Plan{
		Namespace: "default", Name: "hadoop", Masters: &plan.Component{Name: "hadoop-jindofs-master", Role: plan.RoleMaster, Replicas: n},
	}}
}

// TestEveryPossibleMemberRuns: a supervisor runs the masters of the spec, and those that
// may be members of a cluster that was formed.
func TestEveryPossibleMemberRuns(t *testing.T) {
	for _, test := range []struct {
		name                string
		formed              bool
		recorded, kept      int
		want                int32
		run, listed, record int32
	}{
		{"a new cluster", false, 0, 0, 3, 3, 0, 3},
		{"another number before it was formed", false, 3, 3, 1, 1, 0, 1},
		{"the same number", true, 3, 3, 3, 3, 0, 3},
		{"more", true, 1, 1, 3, 3, 0, 3},
		{"fewer", true, 3, 3, 1, 3, 1, 3},
		{"after fewer", true, 1, 3, 1, 1, 0, 1},
		{"fewer, recorded by an earlier version", true, 0, 3, 1, 3, 1, 3},
	} {
		s := &supervisor{spec: specWithMasters(t.TempDir(), test.want)}
		s.layout = s.spec.Layout()
		s.formation = Formation{Formed: test.formed, Masters: int32(test.recorded)}
		for i := range test.kept {
			dir := s.layout.data(s.spec.Plan.Masters.InstanceName(i))
			if err := os.MkdirAll(filepath.Join(dir, "member"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		s.planMasters(test.want)
		if m := s.spec.Plan.Masters; m.Replicas != test.run || m.Listed != test.listed || s.formation.Masters != test.record {
			t.Errorf("%s: %d run, %d are listed, %d are recorded", test.name, m.Replicas, m.Listed, s.formation.Masters)
		}
	}
}

// TestOnlyTheNumberOfMastersIsRequested: everything else is another runtime.
func TestOnlyTheNumberOfMastersIsRequested(t *testing.T) {
	spec, other := specWithMasters(t.TempDir(), 3), specWithMasters(t.TempDir(), 1)
	other.Root = spec.Root
	l := spec.Layout()
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fixed, err := spec.fixedDigest()
	if err != nil {
		t.Fatal(err)
	}
	order, err := other.digest()
	if err != nil {
		t.Fatal(err)
	}
	running := State{Order: "running", Fixed: fixed}
	s := &supervisor{layout: l, state: running}
	if request, err := s.readRequest(); request != nil || err != nil {
		t.Fatalf("without a request: %v, error %v", request, err)
	}
	if err := requestMasters(l, &other, running, order); err != nil {
		t.Fatal(err)
	}
	if request, err := s.readRequest(); err != nil || request == nil || request.Masters != 1 || request.Order != order {
		t.Errorf("request %v, error %v", request, err)
	}
	s.state.Order = order
	if request, err := s.readRequest(); request != nil || err != nil {
		t.Errorf("it was carried out, and is %v, error %v", request, err)
	}
	other.Mountpoint = "/elsewhere"
	if err := requestMasters(l, &other, running, order); !errors.Is(err, ErrOther) {
		t.Errorf("another mount point: %v", err)
	}
	if err := requestMasters(l, &spec, State{}, order); !errors.Is(err, ErrOther) {
		t.Errorf("a supervisor of an earlier version: %v", err)
	}
	if err := os.WriteFile(l.resizeFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if request, err := s.readRequest(); request != nil || err == nil {
		t.Errorf("a damaged request: %v, error %v", request, fmt.Sprint(err))
	}
}
