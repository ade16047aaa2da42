package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

const (
	// commandTimeout bounds one command of the leader loop. It is retried
	// afterwards.
	commandTimeout = 5 * time.Second
	// retryInterval is the time between two attempts at the same command.
	retryInterval = 2 * time.Second
	// expireBatch is how many sessions one command ends.
	expireBatch = 512
)

// leaderLoop does the periodic work of the leader: it forms the cluster in the
// state, removes workers that are absent, and ends sessions that were not used.
// It counts time from when this member became the leader, because earlier
// heartbeats and requests went to another one. It writes only when there is
// something to do.
type leaderLoop struct {
	server *Server
	// term is the term in which this member is the leader; 0 when it is not.
	// since is when it became the leader, in the time of the awakeClock.
	term  uint64
	since time.Duration
	// index is that of the state that the leases were last reconciled with.
	index uint64
	// present maps the id of a worker to when it was first observed in the
	// ring, or when its removal was last attempted.
	present map[string]time.Duration
}

func newLeaderLoop(s *Server) *leaderLoop {
	return &leaderLoop{server: s, present: map[string]time.Duration{}}
}

func (c *leaderLoop) run(ctx context.Context) {
	ticker := time.NewTicker(c.server.config.tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.tick(ctx, c.server.awake.tick())
		}
	}
}

// tick does what is due.
func (c *leaderLoop) tick(ctx context.Context, now time.Duration) {
	s := c.server
	view := s.config.State.View()
	id := view.ClusterID()
	if id != "" && id != s.config.Topology.ClusterID {
		s.config.Fatal(fmt.Errorf("the disk of this master belongs to cluster %s, but its topology has cluster %s: use the right disk or topology", id, s.config.Topology.ClusterID))
		return
	}
	workers := view.Workers()
	s.reports.dropOld(s.config.WorkerAbsence, workers)
	if !c.leading(now) {
		return
	}
	if id == "" {
		c.form(ctx)
		return
	}
	if index := view.Index(); index != c.index {
		c.index = index
		s.leases.reconcile(view.Sessions(), now)
	}
	c.expire(ctx, now)
	c.removeAbsent(ctx, now, workers)
}

// leading reports whether this member is the leader, and restarts the counting
// of time when it has just become the leader.
func (c *leaderLoop) leading(now time.Duration) bool {
	leader, term := c.server.config.Consensus.Leader()
	if leader != c.server.config.Name {
		c.term = 0
		return false
	}
	if term != c.term {
		c.term, c.since, c.index = term, now, 0
		c.server.leases.reset()
		clear(c.present)
	}
	return true
}

// propose executes a command of this member. A failed command is retried at a
// later tick, by the leader of that time.
func (c *leaderLoop) propose(ctx context.Context, what string, command *statev1.Command) (*statev1.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	result, err := c.server.proposer.propose(ctx, command)
	if err == nil {
		err = refusal(result)
	}
	if err != nil {
		c.server.config.Logger.Debug("cannot "+what, "error", err)
		return nil, err
	}
	return result, nil
}

func (c *leaderLoop) form(ctx context.Context) {
	config := c.server.config
	result, _ := c.propose(ctx, "form the cluster", &statev1.Command{Operation: &statev1.Command_FormCluster{
		FormCluster: &statev1.FormCluster{
			ClusterId: config.Topology.ClusterID, FormatVersion: c.server.proposer.format(), StripeSize: max(config.StripeSize, 0),
		},
	}})
	if result.GetChanged() {
		config.Logger.Info("the cluster is formed", "cluster", config.Topology.ClusterID)
	}
}

func (c *leaderLoop) expire(ctx context.Context, now time.Duration) {
	due := c.server.leases.due(now, retryInterval, expireBatch)
	if len(due) == 0 {
		return
	}
	result, err := c.propose(ctx, "end sessions", &statev1.Command{Operation: &statev1.Command_ExpireSessions{
		ExpireSessions: &statev1.ExpireSessions{Expiries: due},
	}})
	// After an unknown outcome, the command may be executed as long as this
	// member leads.
	if !errors.Is(err, consensus.ErrUnknownOutcome) {
		c.server.leases.settled(due)
	}
	if result.GetChanged() {
		c.server.config.Logger.Debug("ended unused sessions", "count", len(due))
	}
}

func (c *leaderLoop) removeAbsent(ctx context.Context, now time.Duration, workers []*statev1.Worker) {
	config := c.server.config
	present := make(map[string]bool, len(workers))
	for _, worker := range workers {
		present[worker.GetMember().GetId()] = true
	}
	// A worker that was removed and came back counts from its return.
	maps.DeleteFunc(c.present, func(id string, _ time.Duration) bool { return !present[id] })
	for _, worker := range workers {
		member := worker.GetMember()
		last, known := c.present[member.GetId()]
		if !known {
			c.present[member.GetId()] = now
			continue
		}
		if h, ok := c.server.reports.of(member); ok {
			last = max(last, h.awake)
		}
		if now-max(last, c.since) < config.WorkerAbsence {
			continue
		}
		// If the removal fails, it is retried after retryInterval.
		c.present[member.GetId()] = now - config.WorkerAbsence + retryInterval
		result, _ := c.propose(ctx, "remove an absent worker", &statev1.Command{Operation: &statev1.Command_RemoveWorker{
			RemoveWorker: &statev1.RemoveWorker{Name: member.GetName(), Id: member.GetId(), Used: worker.GetUsed(), Reason: statev1.RemoveWorker_REASON_ABSENT},
		}})
		if result != nil {
			config.Logger.Warn("a worker left the ring", "worker", member.GetName(), "reason", "no heartbeat for "+config.WorkerAbsence.String(), "ring", result.GetRingEpoch())
		}
	}
}
