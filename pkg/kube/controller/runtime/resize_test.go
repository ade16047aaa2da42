package runtime_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/topology"
)

func setMasters(n int32) func(r *v1alpha1.JindoRuntime) {
	return func(r *v1alpha1.JindoRuntime) { r.Spec.Master.Replicas = &n }
}

// roster returns the names of the masters in the topology of a runtime.
func (c *cluster) roster(t *testing.T, ns string) []string {
	t.Helper()
	config := &corev1.ConfigMap{}
	c.mustGet(t, ns, names.Config("hadoop"), config)
	var members topology.Topology
	if err := json.Unmarshal([]byte(config.Data[plan.RosterFile]), &members); err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range members.Masters {
		listed = append(listed, m.Name)
	}
	return listed
}

// followTopology makes the masters do one of what they do by themselves: to hand
// leadership over to a listed one, to remove a member that is not listed, or to add one
// whose pod runs.
func (c *cluster) followTopology(t *testing.T, ns string) {
	t.Helper()
	listed := c.roster(t, ns)
	running := map[string]bool{}
	for _, pod := range c.pods(t, ns) {
		running[pod.Name] = pod.DeletionTimestamp == nil
	}
	c.masters.change(ns, func(s *fakeSet) {
		s.listed = listed
		if !slices.Contains(listed, s.leader) {
			s.leader = listed[0]
			s.term++
			return
		}
		for _, name := range slices.Backward(s.members) {
			if !slices.Contains(listed, name) {
				s.members = slices.DeleteFunc(slices.Clone(s.members), func(m string) bool { return m == name })
				return
			}
		}
		for _, name := range listed {
			if running[name] && !slices.Contains(s.members, name) {
				s.members = append(slices.Clone(s.members), name)
				return
			}
		}
	})
}

func (c *cluster) members(ns string) (members []string) {
	c.masters.change(ns, func(s *fakeSet) { members = slices.Clone(s.members) })
	return members
}

// scaleMasters does what Kubernetes does when the number of replicas has changed. It
// fails if a pod ends whose master is a member.
func (c *cluster) scaleMasters(t *testing.T, ns string) {
	t.Helper()
	set := &appsv1.StatefulSet{}
	c.mustGet(t, ns, "hadoop-jindofs-master", set)
	members := c.members(ns)
	for ordinal := int(*set.Spec.Replicas); ordinal < 3; ordinal++ {
		pod := &corev1.Pod{}
		name := fmt.Sprintf("%s-%d", set.Name, ordinal)
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, pod); err != nil {
			continue
		}
		if slices.Contains(members, name) {
			t.Errorf("%s is stopped while it is a member of %v", name, members)
		}
		if err := c.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
	c.run(t, ns, "hadoop", plan.RoleMaster, min(*set.Spec.Replicas, int32(len(members))))
}

// identities returns the UIDs of the pods by name.
func (c *cluster) identities(t *testing.T, ns string) map[string]types.UID {
	t.Helper()
	all := map[string]types.UID{}
	for _, pod := range c.pods(t, ns) {
		all[pod.Name] = pod.UID
	}
	return all
}

// resize changes the number of masters with a controller that is stopped after each
// step, and returns the messages of the condition Updating.
func (c *cluster) resize(t *testing.T, ns string, masters int32) []string {
	t.Helper()
	c.change(t, ns, "hadoop", setMasters(masters))
	var shown []string
	for lives := 0; ; lives++ {
		if lives > 200 {
			t.Fatalf("not settled after %d processes: %v", lives, shown)
		}
		l := c.live(t, 1, func(o client.Object) {
			if pod, is := o.(*corev1.Pod); is {
				t.Errorf("%s is replaced", pod.Name)
			}
		})
		for range 3 {
			if l.pass(t, ns, "hadoop") {
				break
			}
		}
		r, err := c.runtime(t.Context(), ns, "hadoop")
		if err != nil {
			t.Fatal(err)
		}
		if message := condition(&r.Status, v1alpha1.RuntimeUpdating).Message; message != "" && !slices.Contains(shown, message) {
			shown = append(shown, message)
		}
		if c.settled(t, ns) && l.steps == 0 && r.Status.Effective.ListedMasters == 0 && *r.Status.Effective.Runtime.Master.Replicas == masters {
			return shown
		}
		switch lives % 6 { // the masters and Kubernetes are slower than the controller
		case 2:
			c.scaleMasters(t, ns)
		case 5:
			c.followTopology(t, ns)
		}
	}
}

// TestNumberOfMastersChangesOverRestarts: 3 → 1 → 3 while the controller is stopped after
// every single step. Members are removed before their pods end, leadership moves to the
// first master, and no other pod is replaced.
func TestNumberOfMastersChangesOverRestarts(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startManual(t)
	all := c.roster(t, ns)
	c.masters.change(ns, func(s *fakeSet) { s.members, s.listed, s.leader = all, all, all[2] })
	before := c.identities(t, ns)

	shown := c.resize(t, ns, 1)
	for _, part := range []string{
		"step 1 of 2: remove hadoop-jindofs-master-2; waiting for hadoop-jindofs-master-2 to hand its leadership over",
		"step 1 of 2: remove hadoop-jindofs-master-2; waiting for hadoop-jindofs-master-2 to be removed from the members",
		"step 2 of 2: remove hadoop-jindofs-master-1; waiting for hadoop-jindofs-master-1 to be removed from the members",
	} {
		if !slices.Contains(shown, part) {
			t.Errorf("the condition never showed %q, but\n%s", part, strings.Join(shown, "\n"))
		}
	}
	c.scaleMasters(t, ns)
	l := c.live(t, math.MaxInt, func(client.Object) {})
	l.pass(t, ns, "hadoop") // the Services of masters whose pods have ended
	if got := c.members(ns); !slices.Equal(got, all[:1]) || !slices.Equal(c.roster(t, ns), all[:1]) {
		t.Errorf("members %v, topology %v", got, c.roster(t, ns))
	}
	for name, object := range map[string]client.Object{
		"hadoop-jindofs-master-1": &corev1.Service{}, "hadoop-jindofs-master-2": &corev1.Service{}, "hadoop-jindofs-master": &policyv1.PodDisruptionBudget{},
	} {
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, object); err == nil {
			t.Errorf("%T %s still exists", object, name)
		}
	}
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.DesiredMasterNumberScheduled != 1 || len(s.Raft.Members) != 1 {
			return fmt.Errorf("%d masters, raft %+v", s.DesiredMasterNumberScheduled, s.Raft)
		}
		return wantPhases("Ready/Ready/Ready")(s)
	})
	after := c.identities(t, ns)
	if len(after) != len(before)-2 {
		t.Errorf("%d pods, %d before", len(after), len(before))
	}
	for name, uid := range after {
		if before[name] != uid {
			t.Errorf("%s was replaced", name)
		}
	}

	shown = c.resize(t, ns, 3)
	for _, part := range []string{
		"step 1 of 2: add hadoop-jindofs-master-1; waiting for hadoop-jindofs-master-1 to be created",
		"step 1 of 2: add hadoop-jindofs-master-1; waiting for hadoop-jindofs-master-1 to join the members",
		"step 2 of 2: add hadoop-jindofs-master-2",
	} {
		if !slices.ContainsFunc(shown, func(m string) bool { return strings.HasPrefix(m, part) }) {
			t.Errorf("the condition never showed %q, but\n%s", part, strings.Join(shown, "\n"))
		}
	}
	if got := c.members(ns); !slices.Equal(got, all) || !slices.Equal(c.roster(t, ns), all) {
		t.Errorf("members %v, topology %v", got, c.roster(t, ns))
	}
	for name, uid := range c.identities(t, ns) {
		if old, existed := after[name]; existed && old != uid {
			t.Errorf("%s was replaced", name)
		}
	}
	c.mustGet(t, ns, "hadoop-jindofs-master", &policyv1.PodDisruptionBudget{})
}

// TestNumberOfMastersWaits: it does not change without a leader, while updates are
// paused, and for masters that do not follow their topology.
func TestNumberOfMastersWaits(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startManual(t)
	all := c.roster(t, ns)
	l := c.live(t, math.MaxInt, func(client.Object) {})
	remains := func(why string) {
		t.Helper()
		for range 3 {
			l.pass(t, ns, "hadoop")
		}
		c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
			return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, corev1.ConditionTrue, "spec.master.replicas remains 3: "+why)
		})
		if got := c.roster(t, ns); !slices.Equal(got, all) {
			t.Errorf("the topology lists %v", got)
		}
	}
	c.change(t, ns, "hadoop", setMasters(1))
	remains("the image of hadoop-jindofs-master-0 does not support")
	c.masters.change(ns, func(s *fakeSet) { s.members, s.listed, s.leader = all, all, "" })
	remains("the masters have no leader")
	c.masters.change(ns, func(s *fakeSet) { s.leader = all[1] })
	pause := func(value string) func(r *v1alpha1.JindoRuntime) {
		return func(r *v1alpha1.JindoRuntime) { r.Annotations[v1alpha1.UpdatesAnnotation] = value }
	}
	c.change(t, ns, "hadoop", pause(v1alpha1.UpdatesPaused))
	remains("updates are paused")
	c.change(t, ns, "hadoop", pause(v1alpha1.UpdatesAutomatic))
	for range 3 {
		l.pass(t, ns, "hadoop")
	}
	if got := c.roster(t, ns); !slices.Equal(got, all[:1]) {
		t.Errorf("the topology lists %v", got)
	}
	// Its edit is withdrawn before the first member was removed.
	c.change(t, ns, "hadoop", setMasters(3))
	for range 5 {
		l.pass(t, ns, "hadoop")
	}
	if got := c.roster(t, ns); !slices.Equal(got, all) {
		t.Errorf("the topology lists %v", got)
	}
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.Effective.ListedMasters != 0 {
			return fmt.Errorf("%d listed", s.Effective.ListedMasters)
		}
		return checkCondition(s, v1alpha1.RuntimeChangeNotApplied, "", "")
	})
}
