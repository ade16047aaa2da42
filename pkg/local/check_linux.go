package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// checker evaluates the conditions.
type checker struct {
	s       *supervisor
	masters *client.Client
	// applied is set once this run has applied the plan's mounts.
	applied bool
	// view is the index of a view that contains them.
	view uint64
	// resizeError is why the number of masters could not be changed; empty if it was.
	resizeError string
}

// check evaluates all conditions once and reports whether they hold.
func (c *checker) check(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var conditions []Condition
	leads := false
	if len(c.s.masters) > 0 {
		leader, voters := c.checkMasters(ctx)
		leads = leader.Met
		conditions = append(conditions, leader, voters)
	}
	if len(c.s.workers) > 0 {
		conditions = append(conditions, c.checkWorkers(ctx, leads))
	}
	if len(c.s.masters) > 0 {
		conditions = append(conditions, c.checkMounts(ctx, leads))
	}
	for _, f := range c.s.fuses {
		conditions = append(conditions, c.checkFuse(ctx, f))
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return false // stopping, so the conditions are meaningless
	}
	all := !slices.ContainsFunc(conditions, func(c Condition) bool { return !c.Met })
	c.record(conditions, all)
	return all
}

// record writes the conditions if they have changed. The phase of a runtime that
// was ready remains Ready; status shows later problems.
func (c *checker) record(conditions []Condition, all bool) {
	c.s.mu.Lock()
	same := slices.EqualFunc(c.s.state.Conditions, conditions, sameCondition)
	ready := c.s.state.Phase == Ready
	c.s.mu.Unlock()
	if same && ready == (ready || all) {
		return
	}
	c.s.update(func(state *State) {
		state.Conditions = conditions
		if all && state.Phase == Starting {
			state.Phase = Ready
		}
	})
}

func sameCondition(a, b Condition) bool {
	return a.Name == b.Name && a.Met == b.Met && a.Detail == b.Detail && slices.Equal(a.Suspects, b.Suspects)
}

// checkMasters requests the status of every master. Once all masters of the plan
// vote, the cluster is recorded as formed, permanently.
func (c *checker) checkMasters(ctx context.Context) (leader, voters Condition) {
	leader = Condition{Name: "leader", Detail: "no master leads yet"}
	voters = Condition{Name: "voters"}
	results := c.masters.Members(ctx)
	var lead *masterv1.StatusResponse
	for _, r := range results {
		if r.Err != nil {
			leader.Suspects = append(leader.Suspects, r.Member.Name)
			continue
		}
		if r.Status.GetState() == "LEADER" && (lead == nil || r.Status.GetTerm() > lead.GetTerm()) {
			lead = r.Status
		}
	}
	if lead == nil {
		if len(leader.Suspects) == 0 {
			leader.Suspects = names(c.s.masters)
		}
		voters.Detail = "unknown while no master leads"
		return leader, voters
	}
	leader = Condition{Name: "leader", Met: true, Detail: lead.GetName() + " leads"}
	var missing []string
	for _, m := range c.s.topology.Masters {
		votes := slices.ContainsFunc(lead.GetPeers(), func(p *masterv1.Peer) bool { return p.GetName() == m.Name && p.GetVoter() })
		if !votes {
			missing = append(missing, m.Name)
		}
	}
	if len(missing) > 0 {
		voters.Detail = strings.Join(missing, ", ") + " do not vote yet"
		voters.Suspects = missing
		return leader, voters
	}
	if err := c.s.setFormed(); err != nil {
		voters.Detail = err.Error()
		return leader, voters
	}
	for _, m := range c.s.listedMasters() {
		if err := CheckReady(ctx, m.health); err != nil {
			voters.Detail = fmt.Sprintf("%s is not ready: %v", m.name, err)
			voters.Suspects = []string{m.name}
			return leader, voters
		}
	}
	waiting, err := c.checkLeaving(lead)
	if err != nil {
		waiting = err.Error()
	}
	if waiting != "" {
		voters.Detail = waiting
		return leader, voters
	}
	voters.Met, voters.Detail = true, fmt.Sprintf("%d of %d masters vote", len(c.s.topology.Masters), len(c.s.topology.Masters))
	return leader, voters
}

// setFormed records that the cluster exists. Later calls do nothing.
func (s *supervisor) setFormed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.formation.Formed {
		return nil
	}
	formed := s.formation
	formed.Formed = true
	if err := formed.save(s.layout); err != nil {
		return err
	}
	s.formation = formed
	return nil
}

func (c *checker) checkWorkers(ctx context.Context, leads bool) Condition {
	condition := Condition{Name: "workers"}
	if len(c.s.masters) == 0 || !leads {
		condition.Detail = "unknown while no master leads"
		return condition
	}
	workers, err := c.masters.ListWorkers(ctx)
	if err != nil {
		condition.Detail = err.Error()
		return condition
	}
	var missing []string
	for _, want := range c.s.workers {
		live := slices.ContainsFunc(workers, func(w *masterv1.WorkerState) bool {
			return w.GetMember().GetName() == want.name && w.GetLive()
		})
		if !live {
			missing = append(missing, want.name)
		}
	}
	if len(missing) > 0 {
		condition.Detail = strings.Join(missing, ", ") + " did not register yet"
		condition.Suspects = missing
		return condition
	}
	condition.Met, condition.Detail = true, fmt.Sprintf("%d of %d workers registered", len(c.s.workers), len(c.s.workers))
	return condition
}

func (c *checker) checkFuse(ctx context.Context, f *component) Condition {
	condition := Condition{Name: "fuse", Suspects: []string{f.name}}
	if err := c.s.mounter.serving(); err != nil {
		condition.Detail = err.Error()
		return condition
	}
	// When the mount is reported as served, its files must be visible in it.
	if err := checkView(ctx, f.health, c.view); err != nil {
		condition.Detail = err.Error()
		return condition
	}
	return Condition{Name: "fuse", Met: true, Detail: c.s.spec.mountpoint() + " is served"}
}

func names(components []*component) []string {
	names := make([]string, len(components))
	for i, c := range components {
		names[i] = c.name
	}
	return names
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}
