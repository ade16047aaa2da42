package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/atomicfile"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// The number of masters is changed by the topology, as on Kubernetes: newcomers are
// listed and started at once, and masters that leave run, unlisted, until they are no
// members of Raft any more; see package plan.
//
// Invariant: Formation.Masters counts every master that may be a member. It is on disk
// before one more is started, and reduced after the others have been stopped, so that a
// supervisor that is started again continues.

// resizeInterval is how often a supervisor looks for a request.
const resizeInterval = 500 * time.Millisecond

// resizeRequest is written by Up for a supervisor that runs with another number of
// masters.
type resizeRequest struct {
	// Order is the digest of the spec with the number.
	Order   string `json:"order"`
	Masters int32  `json:"masters"`
}

// withMasters returns the spec with another number of masters.
func (s *Spec) withMasters(n int32) *Spec {
	changed := *s
	if s.Plan.Masters != nil {
		masters := *s.Plan.Masters
		masters.Replicas, masters.Listed = n, 0
		changed.Plan.Masters = &masters
	}
	return &changed
}

// fixedDigest identifies what cannot be changed while the runtime runs.
func (s *Spec) fixedDigest() (string, error) { return s.withMasters(0).digest() }

// requestMasters asks a running supervisor to change to the number of masters of a spec.
// It returns ErrOther if more differs.
func requestMasters(l Layout, spec *Spec, running State, order string) error {
	fixed, err := spec.fixedDigest()
	if err != nil {
		return err
	}
	if running.Fixed != fixed || spec.Plan.Masters == nil {
		return fmt.Errorf("local runtime %s: %w", l, ErrOther)
	}
	raw, err := json.Marshal(resizeRequest{Order: order, Masters: spec.Plan.Masters.Replicas})
	if err != nil {
		return fmt.Errorf("encode the number of masters: %w", err)
	}
	return atomicfile.Write(l.resizeFile(), raw, 0o600)
}

// readRequest returns the request that has not been carried out; nil if there is none.
func (s *supervisor) readRequest() (*resizeRequest, error) {
	raw, err := os.ReadFile(s.layout.resizeFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the number of masters: %w", err)
	}
	var request resizeRequest
	if err := json.Unmarshal(raw, &request); err != nil {
		return nil, fmt.Errorf("decode %s: %w", s.layout.resizeFile(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if request.Order == s.state.Order {
		return nil, nil
	}
	return &request, nil
}

// watchRequests triggers an evaluation of the conditions when there is a request, until
// ctx is done.
func (s *supervisor) watchRequests(ctx context.Context) {
	ticker := time.NewTicker(resizeInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if request, err := s.readRequest(); request == nil && err == nil {
			continue
		}
		select {
		case s.recheck <- struct{}{}:
		default:
		}
	}
}

// carryOutRequest carries out a request if there is one. It logs an error when it is
// another one than before; the request remains.
func (c *checker) carryOutRequest(ctx context.Context) {
	request, err := c.s.readRequest()
	if request != nil {
		err = c.resize(ctx, request)
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != c.resizeError {
		c.s.logger.Warn("the number of masters is not changed", "error", err)
	}
	c.resizeError = text
}

// planMasters sets how many masters run, and how many of them the topology lists, for a
// desired number. The caller makes the formation durable before it starts any.
func (s *supervisor) planMasters(want int32) {
	masters := s.spec.Plan.Masters
	if masters == nil {
		return
	}
	run := want
	if s.formation.Formed {
		members := s.formation.Masters
		if members == 0 { // recorded by an earlier version
			members = int32(s.spec.keptMasters(s.layout))
		}
		run = max(want, members)
	}
	masters.Replicas, masters.Listed = run, 0
	if run > want {
		masters.Listed = want
	}
	s.formation.Masters = run
}

// resize changes the number of masters to the requested one. It starts newcomers;
// checkLeaving stops those that leave. It may be repeated after an error.
func (c *checker) resize(ctx context.Context, request *resizeRequest) error {
	s := c.s
	masters := s.spec.Plan.Masters
	if masters == nil || c.masters == nil || request.Masters < 1 || request.Masters > v1alpha1.MaxMasters {
		return fmt.Errorf("change the number of masters to %d: it is not supported", request.Masters)
	}
	s.mu.Lock()
	formed := s.formation.Formed
	if formed {
		s.planMasters(request.Masters)
	}
	formation := s.formation
	s.mu.Unlock()
	if !formed {
		return errors.New("change the number of masters: they have not formed a cluster yet")
	}
	if err := formation.save(s.layout); err != nil {
		return err
	}
	if err := issueAll(s.layout, s.authority, s.identities()); err != nil {
		return err
	}
	var added []*component
	for i := len(s.masters); i < int(masters.Replicas); i++ {
		made, err := s.makeComponent(masters, i)
		if err != nil {
			return err
		}
		added = append(added, made)
	}
	if err := c.writeMasters(); err != nil {
		return err
	}
	s.logger.Info("the number of masters changes", "running", masters.Replicas, "listed", masters.ListedInstances())
	s.update(func(state *State) {
		state.Order, state.Phase = request.Order, Starting
		at := len(s.masters)
		for _, m := range added {
			state.Components = slices.Insert(state.Components, at, ComponentState{Name: m.name, Role: m.role, Health: m.health, Log: m.log})
			at++
		}
	})
	s.masters = append(s.masters, added...)
	for _, m := range added {
		m.run(context.WithoutCancel(ctx)) // it is stopped in an order
	}
	return nil
}

// writeMasters writes the topology, and makes the client query every master that runs.
func (c *checker) writeMasters() error {
	if err := c.s.writeRoster(); err != nil {
		return err
	}
	return c.masters.SetTopology(c.s.running())
}

// running returns the topology with every master that runs.
func (s *supervisor) running() topology.Topology {
	return s.spec.Plan.AllListed().Topology(s.formation.ClusterID, s.host)
}

// writeRoster writes the topology.
func (s *supervisor) writeRoster() error {
	s.topology = s.spec.Plan.Topology(s.formation.ClusterID, s.host)
	raw, err := s.topology.Marshal()
	if err != nil {
		return err
	}
	return atomicfile.Write(s.layout.Roster(), raw, 0o600)
}

// listedMasters returns the masters that the topology lists.
func (s *supervisor) listedMasters() []*component {
	if masters := s.spec.Plan.Masters; masters != nil {
		return s.masters[:min(len(s.masters), int(masters.ListedInstances()))]
	}
	return nil
}

// checkLeaving stops the masters that the topology does not list once none of them is a
// member, and returns what is missing until then; empty when all have been stopped.
func (c *checker) checkLeaving(leader *masterv1.StatusResponse) (string, error) {
	s := c.s
	masters := s.spec.Plan.Masters
	if masters.ListedInstances() == masters.Replicas {
		return "", nil
	}
	var leaving []string
	for _, peer := range leader.GetPeers() {
		if _, listed := s.topology.Master(peer.GetName()); !listed {
			leaving = append(leaving, peer.GetName())
		}
	}
	if len(leaving) > 0 {
		waiting := strings.Join(leaving, ", ") + " are being removed"
		if obstacle := leader.GetObstacle(); obstacle != "" {
			waiting += ": " + obstacle
		}
		return waiting, nil
	}
	former := s.masters[masters.Listed:]
	stopTogether(former)
	s.mu.Lock()
	s.formation.Masters = masters.Listed
	formation := s.formation
	s.mu.Unlock()
	if err := formation.save(s.layout); err != nil {
		return "", err
	}
	gone := names(former)
	s.masters = s.listedMasters()
	masters.Replicas, masters.Listed = masters.Listed, 0
	s.update(func(state *State) {
		state.Components = slices.DeleteFunc(state.Components, func(c ComponentState) bool { return slices.Contains(gone, c.Name) })
	})
	s.logger.Info("masters were removed", "names", gone)
	return "", c.masters.SetTopology(s.running())
}
