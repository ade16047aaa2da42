package plan

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// mastersOf returns an effective spec with numbers of masters.
func mastersOf(run, listed int32) *v1alpha1.EffectiveSpec {
	e := &v1alpha1.EffectiveSpec{ListedMasters: listed}
	e.Runtime.Master.Replicas = &run
	return e
}

func TestNumberOfMastersChangesInSteps(t *testing.T) {
	for _, test := range []struct {
		name                string
		run, listed, want   int32
		progress            MastersProgress
		nextRun, nextListed int32
		kept                string
	}{
		{"unchanged", 3, 0, 3, MastersProgress{}, 3, 0, ""},
		{"unchanged without a leader", 3, 0, 3, MastersProgress{Blocked: "no leader"}, 3, 0, ""},
		{"1 to 3", 1, 0, 3, MastersProgress{Settled: true}, 3, 3, ""},
		{"they join", 3, 3, 3, MastersProgress{}, 3, 3, ""},
		{"they have joined", 3, 3, 3, MastersProgress{Settled: true}, 3, 0, ""},
		{"3 to 1", 3, 0, 1, MastersProgress{Settled: true}, 3, 1, ""},
		{"they are removed", 3, 1, 1, MastersProgress{}, 3, 1, ""},
		{"they were removed", 3, 1, 1, MastersProgress{Settled: true}, 1, 0, ""},
		{"they were removed, and updates were paused", 3, 1, 1, MastersProgress{Settled: true, Blocked: "paused"}, 3, 1, ""},
		{"back to 3 before it", 3, 1, 3, MastersProgress{}, 3, 3, ""},
		{"back to 1 before they joined", 3, 3, 1, MastersProgress{}, 3, 1, ""},
		{"no leader", 3, 0, 1, MastersProgress{Blocked: "the masters have no leader"}, 3, 0, "spec.master.replicas remains 3: the masters have no leader"},
		{"no leader while they are removed", 3, 1, 3, MastersProgress{Blocked: "the masters have no leader"}, 3, 1, "spec.master.replicas remains 1: the masters have no leader"},
	} {
		next := mastersOf(test.want, 0)
		kept := strings.Join(nextMasters(mastersOf(test.run, test.listed), next, test.progress), "; ")
		if run := *next.Runtime.Master.Replicas; run != test.nextRun || next.ListedMasters != test.nextListed || kept != test.kept {
			t.Errorf("%s: %d run, %d listed, %q", test.name, run, next.ListedMasters, kept)
		}
	}
	disabled, next := mastersOf(1, 0), mastersOf(3, 0)
	disabled.Runtime.Master.Disabled = true
	if kept := nextMasters(disabled, next, MastersProgress{}); kept != nil || *next.Runtime.Master.Replicas != 1 {
		t.Errorf("disabled masters: %v, %d", kept, *next.Runtime.Master.Replicas)
	}
}

func TestListMasters(t *testing.T) {
	for listed, want := range map[int32]int{0: 3, 1: 1, 3: 3, 4: -1, -1: -1} {
		d := declare(t, effectivePair, "v1")
		p, err := Build(d.Dataset, d.Runtime)
		if err != nil {
			t.Fatal(err)
		}
		err = p.ListMasters(listed)
		host := func(c *Component, ordinal int) string { return c.InstanceName(ordinal) }
		switch got := len(p.Topology("c", host).Masters); {
		case want < 0 && err == nil:
			t.Errorf("%d of 3 masters are listed without an error", listed)
		case want >= 0 && (err != nil || got != want):
			t.Errorf("%d of 3 masters: %d are listed, error %v", listed, got, err)
		case len(p.AllListed().Topology("c", host).Masters) != 3 || p.Masters.Replicas != 3:
			t.Errorf("%d of 3 masters: not all run", listed)
		}
	}
}

func TestStepsOfMasters(t *testing.T) {
	for _, test := range []struct {
		name             string
		run, listed      int32
		voters, observed string
		want             string
	}{
		{"no change", 3, 0, "", "", ""},
		{"1 to 3, created", 3, 3, "0", "m-0:leads,member,votes,ready", "add m-1, add m-2; 0: m-1 to be created"},
		{"started", 3, 3, "0", "m-0:leads,member,votes,ready m-1:", "add m-1, add m-2; 0: m-1 to join the members"},
		{"not started", 3, 3, "0", "m-0:leads,member,votes,ready m-1:broken", "add m-1, add m-2; 0: m-1 to start"},
		{"joined", 3, 3, "0", "m-0:leads,member,votes,ready m-1:member", "add m-1, add m-2; 0: m-1 to catch up and to become a voter"},
		{"a voter", 3, 3, "0", "m-0:leads,member,votes,ready m-1:member,votes", "add m-1, add m-2; 0: m-1 to become ready"},
		{"the next", 3, 3, "0", "m-0:leads,member,votes,ready m-1:member,votes,ready", "add m-1, add m-2; 1: m-2 to be created"},
		{"all", 3, 3, "0", "m-0:leads,member,votes,ready m-1:member,votes,ready m-2:member,votes,ready", "add m-1, add m-2; 2"},
		{"3 to 1", 3, 1, "0 1 2", "m-0:member,ready m-1:member,unlisted m-2:leads,member,unlisted", "remove m-2, remove m-1; 0: m-2 to hand its leadership over"},
		{"handed over", 3, 1, "0 1 2", "m-0:leads,member,ready m-1:member,unlisted m-2:member,unlisted", "remove m-2, remove m-1; 0: m-2 to be removed from the members"},
		{"the next one", 3, 1, "0 1 2", "m-0:leads,member,ready m-1:member,unlisted m-2:unlisted", "remove m-2, remove m-1; 1: m-1 to be removed from the members"},
		{"all removed", 3, 1, "0 1 2", "m-0:leads,member,ready m-1:unlisted m-2:unlisted", "remove m-2, remove m-1; 2"},
		{"no leader", 3, 1, "0 1 2", "m-0:member,ready m-1:member,unlisted m-2:member,unlisted", "remove m-2, remove m-1; 0: a leader of the masters"},
	} {
		c := &Component{Name: "m", Role: RoleMaster, Replicas: test.run, Listed: test.listed}
		steps := MasterSteps(c, func(name string) bool {
			return strings.Contains(" "+test.voters+" ", " "+strings.TrimPrefix(name, "m-")+" ")
		})
		var texts []string
		for _, s := range steps {
			texts = append(texts, s.String())
		}
		got := strings.Join(texts, ", ")
		if len(steps) > 0 {
			d := NextStep(steps, mastersFrom(test.observed), map[Role]int{RoleMaster: int(c.ListedInstances())})
			got += fmt.Sprintf("; %d", d.Step)
			if d.Waiting != "" {
				got += ": " + d.Waiting
			}
			if d.Action != ActionNone {
				t.Errorf("%s: action %s", test.name, d.Action)
			}
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// mastersFrom parses masters such as "m-0:leads,ready".
func mastersFrom(text string) []Instance {
	all := instances(text)
	for i := range all {
		_, flags, _ := strings.Cut(strings.Fields(text)[i], ":")
		all[i].Role = RoleMaster
		for flag := range strings.SplitSeq(flags, ",") {
			all[i].Member = all[i].Member || flag == "member"
			all[i].Votes = all[i].Votes || flag == "votes"
			all[i].Unlisted = all[i].Unlisted || flag == "unlisted"
		}
	}
	return all
}

// TestUnlistedMastersAreNotReplaced: an image is edited together with the number. The
// remaining master does not wait for those that leave.
func TestUnlistedMastersAreNotReplaced(t *testing.T) {
	observed := mastersFrom("m-0:leads,member,votes,ready m-1:unlisted,ending m-2:unlisted")
	steps := Steps(observed)
	if len(steps) != 1 || steps[0].Name != "m-0" {
		t.Fatalf("steps %v", steps)
	}
	if d := NextStep(steps, observed, map[Role]int{RoleMaster: 1}); d.Action != ActionReplace || d.Instance.Name != "m-0" {
		t.Errorf("%+v", d)
	}
}

// TestMastersRunWhileTheyAreMembers changes the declared number at random, against a
// model of masters that bring their members to the topology. No master is stopped while
// it is a member, and every change ends.
func TestMastersRunWhileTheyAreMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		current, want := mastersOf(3, 0), int32(3)
		members := map[int32]bool{0: true, 1: true, 2: true}
		listed := func() int32 {
			if current.ListedMasters > 0 {
				return current.ListedMasters
			}
			return *current.Runtime.Master.Replicas
		}
		settled := func() bool {
			for i := range int32(3) {
				if members[i] != (i < listed()) {
					return false
				}
			}
			return true
		}
		plan := func(blocked string) {
			next := mastersOf(want, 0)
			nextMasters(current, next, MastersProgress{Blocked: blocked, Settled: settled()})
			for i := *next.Runtime.Master.Replicas; i < 3; i++ {
				if members[i] {
					t.Fatalf("m-%d is stopped while it is a member", i)
				}
			}
			current = next
		}
		// A master joins or leaves.
		proceed := func(i int32) {
			if i < *current.Runtime.Master.Replicas {
				members[i] = i < listed()
			}
		}
		for range 40 {
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				want = rapid.SampledFrom([]int32{1, 3}).Draw(t, "masters")
			case 1:
				proceed(rapid.Int32Range(1, 2).Draw(t, "master"))
			default:
				plan(rapid.SampledFrom([]string{"", "the masters have no leader"}).Draw(t, "blocked"))
			}
		}
		for range 4 {
			plan("")
			proceed(1)
			proceed(2)
		}
		if run := *current.Runtime.Master.Replicas; run != want || current.ListedMasters != 0 || !settled() {
			t.Fatalf("%d run and %d are listed of %d declared, members %v", run, current.ListedMasters, want, members)
		}
	})
}
