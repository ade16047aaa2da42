package server

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

const (
	// careTimeout of one command of the caretaker, after which it is tried
	// again.
	commandTimeout = 5 * time.Second
	// careRetry lies between two attempts at the same thing.
	retryInterval = 2 * time.Second
	// expiredAtOnce bounds one command that ends sessions.
	expireBatch = 512
)

// caretaker does what nobody asks for: it forms the cluster in the state,
// removes workers that are absent, and ends sessions. Only the leader does,
// and it counts from when it became the leader: what it did not hear before
// that was said to another. It writes only when there is something to do.
type leaderLoop struct {
	server *Server
	// term that this member leads, 0 when it does not; since when, in awake
	// time.
	term  uint64
	since time.Duration
	// index of the state that leases were last reconciled with.
	index uint64
	// present is when each worker, by id, was first seen in the ring, or last
	// tried to be removed.
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

// tick looks at everything once.
func (c *leaderLoop) tick(ctx context.Context, now time.Duration) {
	s := c.server
	view := s.config.State.View()
	id := view.ClusterID()
	if id != "" && id != s.config.Topology.ClusterID {
		s.config.Fatal(fmt.Errorf("the disk of this master belongs to cluster %s, and its roster says %s: give it the right disk or roster", id, s.config.Topology.ClusterID))
		return
	}
	workers := view.Workers()
	s.reports.forget(s.config.WorkerAbsence, workers)
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

// leading tells whether this member leads, and starts the counting anew when
// it has just begun to.
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

// propose executes a command of this member's own. What fails is tried again
// at a later tick, by whoever leads then.
func (c *leaderLoop) propose(ctx context.Context, what string, command *statev1.Command) *statev1.Result {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	result, err := c.server.proposer.propose(ctx, command)
	if err == nil {
		err = refusal(result)
	}
	if err != nil {
		c.server.config.Logger.Debug(what+" failed", "reason", err)
		return nil
	}
	return result
}

func (c *leaderLoop) form(ctx context.Context) {
	config := c.server.config
	result := c.propose(ctx, "forming the cluster", &statev1.Command{Operation: &statev1.Command_FormCluster{
		FormCluster: &statev1.FormCluster{ClusterId: config.Topology.ClusterID, FormatVersion: state.FormatVersion},
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
	result := c.propose(ctx, "ending sessions", &statev1.Command{Operation: &statev1.Command_ExpireSessions{
		ExpireSessions: &statev1.ExpireSessions{Sessions: due},
	}})
	if result.GetChanged() {
		c.server.config.Logger.Debug("sessions that were not used have ended", "count", len(due))
	}
}

func (c *leaderLoop) removeAbsent(ctx context.Context, now time.Duration, workers []*statev1.Worker) {
	config := c.server.config
	there := make(map[string]bool, len(workers))
	for _, worker := range workers {
		there[worker.GetMember().GetId()] = true
	}
	// One that left and came back counts from when it came back.
	maps.DeleteFunc(c.present, func(id string, _ time.Duration) bool { return !there[id] })
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
		// Tried again, if need be, after a while.
		c.present[member.GetId()] = now - config.WorkerAbsence + retryInterval
		result := c.propose(ctx, "removing an absent worker", &statev1.Command{Operation: &statev1.Command_RemoveWorker{
			RemoveWorker: &statev1.RemoveWorker{Name: member.GetName(), Id: member.GetId(), Reason: statev1.RemoveWorker_REASON_ABSENT},
		}})
		if result != nil {
			config.Logger.Warn("a worker left the ring", "worker", member.GetName(), "reason", "no heartbeat for "+config.WorkerAbsence.String(), "ring", result.GetRingEpoch())
		}
	}
}
