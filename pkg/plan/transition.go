package plan

import (
	"cmp"
	"fmt"
	"slices"
)

// Instance is the observed state of one instance of a component, for [NextStep].
type Instance struct {
	Role Role
	// Name of the instance; of a FUSE server that of its machine.
	Name string
	// Running reports that its processes have been started. An instance that is not
	// running serves nothing, for example because its image does not exist.
	Running bool
	// Current reports that it runs with the effective spec.
	Current bool
	// Ready reports that it serves.
	Ready bool
	// Ending reports that it is being ended; then it is not ready.
	Ending bool
	// Leads reports that it is the leader of the masters.
	Leads bool
	// Member and Votes report that a master is a member of Raft, and a voter, as far as
	// the leader reports.
	Member, Votes bool
	// Unlisted reports that the topology does not list a master any more.
	Unlisted bool
}

// Action is what [NextStep] requires of the caller.
type Action string

// Actions.
const (
	// ActionNone requires nothing: every step is done, or Decision.Waiting is set.
	ActionNone Action = ""
	// ActionReplace ends the instance; another one of its name starts with the
	// effective spec.
	ActionReplace Action = "replace"
	// ActionTransfer moves leadership from the instance to another master.
	ActionTransfer Action = "transfer leadership of"
	// ActionAdd and ActionRemove are those of steps that only wait: see [MasterSteps].
	ActionAdd    Action = "add"
	ActionRemove Action = "remove"
)

// Step is one step of a transition: one instance is replaced, or a master is added or
// removed. It is done once the instance is current and ready, is a voter, or no longer
// exists or is a member, so that it may be repeated.
type Step struct {
	Role Role
	Name string
	// Action is ActionAdd, ActionRemove, or empty for ActionReplace.
	Action Action
}

// String describes the step.
func (s Step) String() string {
	return string(cmp.Or(s.Action, ActionReplace)) + " " + s.Subject()
}

// Decision is the next action of a transition.
type Decision struct {
	// Step is the index of the current step; len(steps) if all are done.
	Step   int
	Action Action
	// Instance is the subject of the action.
	Instance Instance
	// To is the master to which leadership moves: one that is not replaced later, if
	// there is one; empty for any.
	To string
	// Waiting is what the step waits for; empty if there is an action.
	Waiting string
}

// Roles are the roles of components in the order in which their pods are replaced.
var Roles = []Role{RoleMaster, RoleWorker, RoleFuse}

// Steps returns the steps that bring instances to the effective spec: masters before
// workers, and workers before FUSE servers, because a client may require a newer server
// and not the reverse. The leader of the masters is last, so that leadership moves once.
// Instances that do not run come before the others of their role.
func Steps(instances []Instance) []Step {
	var steps []Step
	for _, role := range Roles {
		outdated := slices.DeleteFunc(ofRole(instances, role), func(i Instance) bool { return i.Current || i.Unlisted })
		slices.SortStableFunc(outdated, func(a, b Instance) int { return rank(a) - rank(b) })
		for _, i := range outdated {
			steps = append(steps, Step{Role: role, Name: i.Name})
		}
	}
	return steps
}

func rank(i Instance) int {
	switch {
	case !i.Running:
		return 0
	case i.Leads:
		return 2
	}
	return 1
}

func ofRole(instances []Instance, role Role) []Instance {
	var all []Instance
	for _, i := range instances {
		if i.Role == role {
			all = append(all, i)
		}
	}
	return all
}

// NextStep returns the next action of a transition. want is the number of instances that
// each role must have.
//
// An instance that serves is replaced only while all others of its role serve, so that
// at most one of a role does not serve because of the transition. The leader of several
// masters is replaced only after leadership has moved. An instance that does not run is
// replaced in any case, because the cause may be the spec that the step replaces.
func NextStep(steps []Step, instances []Instance, want map[Role]int) Decision {
	leads := slices.ContainsFunc(instances, func(i Instance) bool { return i.Leads })
	listed := slices.DeleteFunc(slices.Clone(instances), func(i Instance) bool { return i.Unlisted })
	for n, step := range steps {
		if step.Action == ActionAdd || step.Action == ActionRemove {
			if waiting := awaitMember(step, find(instances, step), leads); waiting != "" {
				return Decision{Step: n, Instance: Instance{Role: step.Role, Name: step.Name}, Waiting: waiting}
			}
			continue
		}
		i := find(listed, step)
		if i == nil {
			if waiting := missing(step, listed, want); waiting != "" {
				return Decision{Step: n, Waiting: waiting}
			}
			continue
		}
		if !i.Current || !i.Ready {
			decision := decide(*i, ofRole(listed, step.Role), want[step.Role])
			decision.Step = n
			return decision
		}
	}
	return Decision{Step: len(steps)}
}

// find returns the instance of a step; nil if it does not exist.
func find(instances []Instance, step Step) *Instance {
	at := slices.IndexFunc(instances, func(i Instance) bool { return i.Role == step.Role && i.Name == step.Name })
	if at < 0 {
		return nil
	}
	return &instances[at]
}

// missing returns what a step waits for whose instance does not exist; "" if it will not
// be created again, because of fewer replicas or machines.
func missing(step Step, instances []Instance, want map[Role]int) string {
	if len(ofRole(instances, step.Role)) >= want[step.Role] {
		return ""
	}
	return step.Subject() + " to be created"
}

func decide(i Instance, peers []Instance, want int) Decision {
	switch {
	case i.Ending:
		return Decision{Instance: i, Waiting: i.described() + " to end"}
	case i.Current && !i.Ready:
		return Decision{Instance: i, Waiting: i.described() + " to become ready"}
	case !i.Running:
		return Decision{Instance: i, Action: ActionReplace}
	}
	if waiting := othersServe(i, peers, want); waiting != "" {
		return Decision{Instance: i, Waiting: waiting}
	}
	if i.Role == RoleMaster && len(peers) > 1 {
		leads := slices.ContainsFunc(peers, func(p Instance) bool { return p.Leads })
		switch {
		case !leads && i.Ready:
			return Decision{Instance: i, Waiting: "a leader of the masters"}
		case i.Leads:
			return Decision{Instance: i, Action: ActionTransfer, To: successor(i, peers)}
		}
	}
	return Decision{Instance: i, Action: ActionReplace}
}

// successor returns a master with the effective spec other than the leader; "" if there
// is none.
func successor(leader Instance, peers []Instance) string {
	at := slices.IndexFunc(peers, func(p Instance) bool { return p.Name != leader.Name && p.Current && p.Ready })
	if at < 0 {
		return ""
	}
	return peers[at].Name
}

// othersServe returns the first instance beside i that does not serve; "" if all do.
func othersServe(i Instance, peers []Instance, want int) string {
	for _, p := range peers {
		if p.Name != i.Name && !p.Ready {
			return p.described() + " to become ready"
		}
	}
	if len(peers) < want {
		return fmt.Sprintf("%d of %d instances to be created", want-len(peers), want)
	}
	return ""
}

func (i Instance) described() string { return Step{Role: i.Role, Name: i.Name}.Subject() }

// Subject describes the instance of the step.
func (s Step) Subject() string {
	if s.Role == RoleFuse {
		return "the FUSE server on " + s.Name
	}
	return s.Name
}
