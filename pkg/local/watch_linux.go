package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

const (
	// checkPause is the time between two looks while something is missing,
	// idlePause while nothing is. A component that starts or ends is looked at
	// at once.
	checkPause = 200 * time.Millisecond
	idlePause  = 30 * time.Second
	// checkTime bounds one look.
	checkTime = 5 * time.Second
	// upkeepPause is how often logs, certificates and the guard are looked
	// after.
	upkeepPause = time.Minute
)

// watch keeps the conditions current, and everything that has to be done about
// them, until the context ends.
func (s *supervisor) watch(ctx context.Context) {
	upkeep := time.NewTicker(upkeepPause)
	defer upkeep.Stop()
	renewed := wallClock()
	masters, err := s.dialMasters()
	if err != nil {
		s.logger.Error("the masters cannot be asked", "error", err)
	}
	if masters != nil {
		defer masters.Close()
	}
	c := &checker{s: s, masters: masters}
	for {
		pause := idlePause
		if !c.check(ctx) {
			pause = checkPause
		}
		select {
		case <-ctx.Done():
			return
		case <-s.guardGone():
			s.replaceGuard(ctx)
		case <-upkeep.C:
			renewed = s.upkeep(renewed)
		case <-s.kick:
		case <-time.After(pause):
		}
	}
}

func (s *supervisor) dialMasters() (*client.Client, error) {
	if len(s.masters) == 0 {
		return nil, nil
	}
	identity, err := mtls.LoadIdentity(s.layout.TLS(Admin))
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Roster: s.roster, Identity: identity, Holder: "local executor", Logger: s.logger})
}

func (s *supervisor) guardGone() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guard == nil {
		return nil
	}
	return s.guard.gone
}

// replaceGuard starts another guard when somebody ended the one there was.
func (s *supervisor) replaceGuard(ctx context.Context) {
	s.logger.Warn("the guard is gone, starting another")
	s.mu.Lock()
	_ = s.guard.pipe.Close()
	s.guard = nil
	s.mu.Unlock()
	if err := s.newGuard(); err != nil && ctx.Err() == nil {
		s.logger.Error("there is no guard: a killed supervisor will leave its mount", "error", err)
	}
}

// upkeep bounds the logs and renews the certificates in time.
func (s *supervisor) upkeep(renewed time.Time) time.Time {
	s.mu.Lock()
	components := slices.Clone(s.state.Components)
	s.mu.Unlock()
	for _, c := range components {
		if err := boundLog(c.Log, logBound); err != nil {
			s.logger.Warn("a log grows", "error", err)
		}
	}
	if wallClock().Sub(renewed) < certificateLife-renewBefore {
		return renewed
	}
	if err := issueAll(s.layout, s.authority, s.identities()); err != nil {
		s.logger.Error("certificates are not renewed", "error", err)
		return renewed
	}
	return wallClock()
}

// wallClock goes on while the machine sleeps, as certificates do.
func wallClock() time.Time { return time.Now().Round(0) }

// checker finds out which conditions hold.
type checker struct {
	s       *supervisor
	masters *client.Client
	// applied: the plan's mounts are in place, as of this run.
	applied bool
}

// check looks once and answers whether everything holds.
func (c *checker) check(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
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
		return false // stopping: what was seen says nothing
	}
	all := !slices.ContainsFunc(conditions, func(c Condition) bool { return !c.Met })
	c.note(conditions, all)
	return all
}

// note writes the conditions when they have changed. A runtime that was ready
// stays so: what is wrong with it later is for status to say.
func (c *checker) note(conditions []Condition, all bool) {
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

// checkMasters asks every master about itself. Once all of the plan vote, the
// cluster is formed, for good.
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
	for _, m := range c.s.roster.Masters {
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
	voters.Met, voters.Detail = true, fmt.Sprintf("%d of %d masters vote", len(c.s.roster.Masters), len(c.s.roster.Masters))
	return leader, voters
}

// setFormed records, once, that this cluster exists.
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

// checkMounts brings the plan's mounts into place, and takes away those that
// this executor made and that have left the plan.
func (c *checker) checkMounts(ctx context.Context, leads bool) Condition {
	condition := Condition{Name: "mounts"}
	if c.applied {
		return c.mounted(condition)
	}
	if !leads {
		condition.Detail = "waiting for a master that leads"
		return condition
	}
	if err := c.applyMounts(ctx); err != nil {
		condition.Detail, condition.Suspects = err.Error(), names(c.s.masters)
		return condition
	}
	c.applied = true
	return c.mounted(condition)
}

func (c *checker) mounted(condition Condition) Condition {
	if len(c.s.order.Plan.Mounts) == 0 {
		condition.Met, condition.Detail = true, "nothing is to be mounted"
		return condition
	}
	paths := make([]string, len(c.s.order.Plan.Mounts))
	for i, m := range c.s.order.Plan.Mounts {
		paths[i] = m.URI + " at " + m.Path
	}
	condition.Met, condition.Detail = true, strings.Join(paths, ", ")
	return condition
}

func (c *checker) applyMounts(ctx context.Context) error {
	var paths []string
	for _, m := range c.s.order.Plan.Mounts {
		paths = append(paths, m.Path)
	}
	c.s.mu.Lock()
	before := c.s.formation.Mounts
	c.s.mu.Unlock()
	// Noted first: a mount that is made and not noted would never be removed.
	if err := c.s.noteMounts(union(before, paths)); err != nil {
		return err
	}
	for _, path := range before {
		if !slices.Contains(paths, path) {
			if err := c.masters.Unmount(ctx, path); err != nil && !notFound(err) {
				return fmt.Errorf("unmounting %s: %w", path, err)
			}
		}
	}
	for _, m := range c.s.order.Plan.Mounts {
		if _, _, err := c.masters.Mount(ctx, m.Proto()); err != nil {
			return fmt.Errorf("mounting %s at %s: %w", m.URI, m.Path, err)
		}
	}
	return c.s.noteMounts(paths)
}

// notFound: somebody unmounted it by hand.
func notFound(err error) bool {
	var refused *client.RefusedError
	return errors.As(err, &refused) && refused.Reason == client.ReasonNotFound
}

func (s *supervisor) noteMounts(paths []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.formation.Mounts, paths) {
		return nil
	}
	changed := s.formation
	changed.Mounts = paths
	if err := changed.save(s.layout); err != nil {
		return err
	}
	s.formation = changed
	return nil
}

func (c *checker) checkFuse(ctx context.Context, f *component) Condition {
	condition := Condition{Name: "fuse", Suspects: []string{f.name}}
	if err := c.s.mounter.serving(); err != nil {
		condition.Detail = err.Error()
		return condition
	}
	if err := AskReady(ctx, f.health); err != nil && !c.emptyTree(err) {
		condition.Detail = err.Error()
		return condition
	}
	return Condition{Name: "fuse", Met: true, Detail: c.s.order.mountpoint() + " is served"}
}

// emptyTree: a server calls itself ready once something is mounted in its tree,
// and here nothing will be.
func (c *checker) emptyTree(err error) bool {
	var notReady *NotReadyError
	return len(c.s.order.Plan.Mounts) == 0 && errors.As(err, &notReady)
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
