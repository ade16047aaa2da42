package plan

import (
	"fmt"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// The number of masters changes in steps, each of which is one effective spec:
//
//	1 → 3   {run 3, list 3}, until all are voters; then {run 3}
//	3 → 1   {run 3, list 1}, until only the first one is a member; then {run 1}
//
// Invariant: a master runs as long as the members of Raft may include it, because a
// majority may need it.

// MastersProgress is what is known of the masters when their number is to change.
type MastersProgress struct {
	// Blocked is why their number cannot be changed now; empty if it can.
	Blocked string
	// Settled reports that the members of Raft are the masters that the topology lists,
	// and that all of them are ready voters.
	Settled bool
}

// ListMasters makes the topology list only the first masters of the plan; 0 lists all.
// It returns an error if the plan has fewer.
func (p *Plan) ListMasters(listed int32) error {
	if listed == 0 {
		return nil
	}
	if p.Masters == nil || listed < 0 || listed > p.Masters.Replicas {
		return fmt.Errorf("listedMasters is %d, more than the masters that run", listed)
	}
	p.Masters.Listed = listed
	return nil
}

// ListedInstances returns the number of instances that the topology lists.
func (c *Component) ListedInstances() int32 {
	if c.Listed > 0 {
		return c.Listed
	}
	return c.Replicas
}

// AllListed returns the plan with a topology that lists every instance that runs.
func (p *Plan) AllListed() *Plan {
	all := *p
	if p.Masters != nil {
		masters := *p.Masters
		masters.Listed = 0
		all.Masters = &masters
	}
	return &all
}

// nextMasters sets the numbers of masters of the effective spec that follows current,
// and returns a message if the declared number has to wait.
func nextMasters(current, next *v1alpha1.EffectiveSpec, p MastersProgress) []string {
	if current.Runtime.Master.Disabled {
		next.Runtime.Master.Replicas = current.Runtime.Master.Replicas
		return nil
	}
	run, listed, want := replicasOf(current.Runtime.Master), current.ListedMasters, replicasOf(next.Runtime.Master)
	changing := listed != 0
	if !changing {
		listed = run
	}
	set := func(run, listed int32) {
		next.Runtime.Master.Replicas, next.ListedMasters = &run, listed
	}
	switch {
	case want == listed && (!changing || p.Settled && p.Blocked == ""):
		set(want, 0)
	case want == listed:
		set(run, listed)
	case p.Blocked != "":
		set(run, current.ListedMasters)
		return []string{fmt.Sprintf("spec.master.replicas remains %d: %s", listed, p.Blocked)}
	default:
		set(max(run, want), want)
	}
	return nil
}

// MasterSteps returns the steps of a change of the number of masters: those that the
// topology lists and that do not vote are added, and those that it does not list are
// removed, the last one first. There are none while their number does not change.
func MasterSteps(c *Component, votes func(name string) bool) []Step {
	if c == nil || c.Listed == 0 {
		return nil
	}
	var steps []Step
	for i := range int(c.Listed) {
		if name := c.InstanceName(i); !votes(name) {
			steps = append(steps, Step{Role: RoleMaster, Name: name, Action: ActionAdd})
		}
	}
	for i := int(c.Replicas) - 1; i >= int(c.Listed); i-- {
		steps = append(steps, Step{Role: RoleMaster, Name: c.InstanceName(i), Action: ActionRemove})
	}
	return steps
}

// awaitMember returns what a step waits for that adds or removes a master; "" if it is
// done. The masters change their members by themselves, as the topology requires.
func awaitMember(step Step, i *Instance, leads bool) string {
	name := step.Subject()
	switch {
	case !leads:
		return "a leader of the masters"
	case step.Action == ActionRemove && (i == nil || !i.Member):
		return ""
	case step.Action == ActionRemove && i.Leads:
		return name + " to hand its leadership over"
	case step.Action == ActionRemove:
		return name + " to be removed from the members"
	case i == nil:
		return name + " to be created"
	case !i.Running:
		return name + " to start"
	case !i.Member:
		return name + " to join the members"
	case !i.Votes:
		return name + " to catch up and to become a voter"
	case !i.Ready:
		return name + " to become ready"
	}
	return ""
}
