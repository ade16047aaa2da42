package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// instances parses instances such as "master-0:leads,ready worker-0:current,ready".
// Every one runs unless it is broken.
func instances(text string) []Instance {
	var all []Instance
	for word := range strings.FieldsSeq(text) {
		name, flags, _ := strings.Cut(word, ":")
		role, _, _ := strings.Cut(name, "-")
		has := func(flag string) bool { return slices.Contains(strings.Split(flags, ","), flag) }
		all = append(all, Instance{
			Role: Role(role), Name: name, Running: !has("broken"), Current: has("current"), Ready: has("ready"),
			Ending: has("ending"), Leads: has("leads"),
		})
	}
	return all
}

func TestStepsOrder(t *testing.T) {
	for _, test := range []struct{ name, instances, want string }{
		{"all current", "master-0:current,ready worker-0:current", ""},
		{"masters, workers, FUSE servers", "fuse-n1:ready worker-0:ready master-0:ready", "master-0 worker-0 fuse-n1"},
		{"the leader last", "master-0:ready,leads master-1:ready master-2:ready", "master-1 master-2 master-0"},
		{"broken ones first", "worker-0:ready worker-1:broken worker-2:current,ready", "worker-1 worker-0"},
	} {
		var got []string
		for _, s := range Steps(instances(test.instances)) {
			got = append(got, s.Name)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %v, want %s", test.name, got, test.want)
		}
	}
}

func TestNextStep(t *testing.T) {
	want := map[Role]int{RoleMaster: 3, RoleWorker: 2}
	for _, test := range []struct{ name, steps, instances, want string }{
		{"the first is replaced", "worker-0 worker-1", "worker-0:ready worker-1:ready", "0 replace worker-0"},
		{"it ends", "worker-0 worker-1", "worker-0:ending worker-1:ready", "0 waits for worker-0 to end"},
		{"it does not exist", "worker-0 worker-1", "worker-1:ready", "0 waits for worker-0 to be created"},
		{"it starts", "worker-0 worker-1", "worker-0:current worker-1:ready", "0 waits for worker-0 to become ready"},
		{"the next", "worker-0 worker-1", "worker-0:current,ready worker-1:ready", "1 replace worker-1"},
		{"all done", "worker-0 worker-1", "worker-0:current,ready worker-1:current,ready", "2"},
		{"fewer workers", "worker-0 worker-1 worker-2", "worker-0:current,ready worker-1:current,ready", "3"},
		{"another one is not ready", "worker-0", "worker-0:ready worker-1:current", "0 waits for worker-1 to become ready"},
		{"another one does not exist", "worker-0", "worker-0:ready", "0 waits for 1 of 2 instances to be created"},
		{"a broken one does not wait", "worker-0", "worker-0:broken worker-1", "0 replace worker-0"},
		{"only it is not ready", "worker-0", "worker-0: worker-1:ready", "0 replace worker-0"},
		{"a FUSE server that left", "fuse-n1 fuse-n2", "fuse-n2:ready", "1 replace fuse-n2"},
		{"a follower", "master-1 master-0", "master-0:ready,leads master-1:ready master-2:current,ready", "0 replace master-1"},
		{"the leader", "master-0", "master-0:ready,leads master-1:current,ready master-2:current,ready", "0 transfer leadership of master-0 to master-1"},
		{"no leader", "master-0", "master-0:ready master-1:ready master-2:ready", "0 waits for a leader of the masters"},
	} {
		var steps []Step
		for name := range strings.FieldsSeq(test.steps) {
			role, _, _ := strings.Cut(name, "-")
			steps = append(steps, Step{Role: Role(role), Name: name})
		}
		d := NextStep(steps, instances(test.instances), want)
		got := fmt.Sprint(d.Step)
		switch {
		case d.Waiting != "":
			got += " waits for " + d.Waiting
		case d.Action == ActionTransfer:
			got += fmt.Sprintf(" %s %s to %s", d.Action, d.Instance.Name, d.To)
		case d.Action != ActionNone:
			got += fmt.Sprintf(" %s %s", d.Action, d.Instance.Name)
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if d := NextStep([]Step{{Role: RoleMaster, Name: "master-0"}}, instances("master-0:ready,leads"), map[Role]int{RoleMaster: 1}); d.Action != ActionReplace {
		t.Errorf("the only master: %+v", d)
	}
}

// TestTransitionsKeepServing runs transitions against a model of Kubernetes. Pods start,
// become ready and fail at random; the controller is restarted and the spec is changed
// at random. No action ends an instance that serves while another one of its role does
// not serve, or the leader of several masters, and every transition ends.
func TestTransitionsKeepServing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newTransitionModel(t)
		for range 60 {
			switch rapid.IntRange(0, 9).Draw(t, "event") {
			case 0:
				w.steps = nil // the controller was restarted
			case 1:
				w.edit()
			case 2, 3, 4:
				w.act(t)
			default:
				w.proceed(rapid.IntRange(0, len(w.all)-1).Draw(t, "instance"))
			}
		}
		for range 40 * len(w.all) {
			w.act(t)
			for i := range w.all {
				w.proceed(i)
			}
		}
		if left := Steps(w.instances()); len(left) > 0 {
			t.Fatalf("the transition does not end: %v of %+v", left, w.all)
		}
	})
}

// transitionModel is a model of the pods of one runtime.
type transitionModel struct {
	want  map[Role]int
	all   []Instance
	gone  []bool
	steps []Step
}

func newTransitionModel(t *rapid.T) *transitionModel {
	w := &transitionModel{want: map[Role]int{}}
	for role, most := range map[Role]int{RoleMaster: 3, RoleWorker: 3, RoleFuse: 2} {
		n := rapid.IntRange(1, most).Draw(t, string(role))
		w.want[role] = n
		for i := range n {
			w.all = append(w.all, Instance{
				Role: role, Name: fmt.Sprintf("%s-%d", role, i), Running: rapid.Bool().Draw(t, "running"), Current: rapid.Bool().Draw(t, "current"),
			})
		}
	}
	slices.SortFunc(w.all, func(a, b Instance) int { return strings.Compare(a.Name, b.Name) })
	w.gone = make([]bool, len(w.all))
	w.elect()
	return w
}

func (w *transitionModel) instances() []Instance {
	var all []Instance
	for i, instance := range w.all {
		if !w.gone[i] {
			all = append(all, instance)
		}
	}
	return all
}

// edit makes every instance one of an earlier effective spec.
func (w *transitionModel) edit() {
	for i := range w.all {
		w.all[i].Current = false
	}
	w.steps = nil
}

// proceed lets an instance take its next step: to end, to be created, to start, to
// become ready.
func (w *transitionModel) proceed(i int) {
	switch instance := &w.all[i]; {
	case w.gone[i]:
		w.gone[i] = false
		*instance = Instance{Role: instance.Role, Name: instance.Name, Current: true}
	case instance.Ending:
		w.gone[i] = true
	case !instance.Running:
		instance.Running = instance.Current // the image of an earlier spec may not exist
	default:
		instance.Ready = true
	}
	w.elect()
}

// elect makes the first ready master the leader if there is none.
func (w *transitionModel) elect() {
	first := -1
	for i := range w.all {
		if w.all[i].Role != RoleMaster {
			continue
		}
		if w.all[i].Leads = w.all[i].Leads && w.all[i].Ready && !w.gone[i]; w.all[i].Leads {
			return
		}
		if first < 0 && w.all[i].Ready && !w.gone[i] {
			first = i
		}
	}
	if first >= 0 {
		w.all[first].Leads = true
	}
}

// act takes one step as the controller does, and checks that it is safe.
func (w *transitionModel) act(t *rapid.T) {
	instances := w.instances()
	if w.steps == nil || NextStep(w.steps, instances, w.want).Step == len(w.steps) {
		w.steps = Steps(instances)
	}
	d := NextStep(w.steps, instances, w.want)
	if d.Action == ActionNone {
		return
	}
	at := slices.IndexFunc(w.all, func(i Instance) bool { return i.Name == d.Instance.Name })
	if d.Action == ActionTransfer {
		w.all[at].Leads = false
		to := slices.IndexFunc(w.all, func(i Instance) bool { return i.Name == d.To })
		if to < 0 {
			to = slices.IndexFunc(w.all, func(i Instance) bool { return i.Role == RoleMaster && i.Name != d.Instance.Name && i.Ready })
		}
		w.all[to].Leads = true
		return
	}
	if d.Instance.Running && d.Instance.Ready {
		for i, peer := range w.all {
			if peer.Role == d.Instance.Role && i != at && (w.gone[i] || !peer.Ready) {
				t.Fatalf("%s is replaced while %s does not serve", d.Instance.Name, peer.Name)
			}
		}
		if d.Instance.Leads && w.want[RoleMaster] > 1 {
			t.Fatalf("the leader %s is replaced", d.Instance.Name)
		}
	}
	w.all[at].Ending, w.all[at].Ready = true, false
	w.elect()
}
