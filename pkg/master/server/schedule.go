package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/rpc/message"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

const (
	// firstBackoff is the time until the second attempt at a scheduled snapshot. It
	// doubles up to the interval.
	firstBackoff = 15 * time.Second
	// scheduleTick is how often a due attempt is looked for.
	scheduleTick = time.Second
	// settling is the time from the beginning of a term, or an edit, to the first attempt:
	// a new runtime has got all its mounts then, and after most edits workers have the same
	// topology.
	settling = 15 * time.Second
	// maxReason bounds the text of a failure, in bytes.
	maxReason = 512
)

// archiver saves snapshots through a worker; see workerv1.Snapshots.
type archiver interface {
	// latest returns the newest one; nil if there is none.
	latest(ctx context.Context, worker *commonv1.RingMember, target *workerv1.SnapshotTarget) (*workerv1.StoredSnapshot, error)
	// store saves the state of this master, and returns the SHA-256 of the file too.
	store(ctx context.Context, worker *commonv1.RingMember, target *workerv1.SnapshotTarget) (response *workerv1.StoreSnapshotResponse, sum string, err error)
}

// schedule has the state saved while this member leads, as its topology requires.
//
// The time of the newest object is the time of the last snapshot: a leader of a new term,
// or with another schedule, requests it before its first attempt, so that it neither
// repeats nor omits one. Objects come from a store that others may write to, so a time
// never delays the next attempt by more than one interval.
//
// Commands and reads do not wait for it: it has a goroutine of its own, and the state is
// copied in constant time.
type schedule struct {
	server   *Server
	archiver archiver
	// of returns the schedule of the newest topology; nil for none.
	of       func() *topology.SnapshotSchedule
	now      func() time.Time
	settling time.Duration

	mu sync.Mutex
	// term in which this member leads, and current, for which the rest is; 0 and nil
	// when there is nothing to do.
	term    uint64
	current *topology.SnapshotSchedule
	// asked reports that the newest object is known in last, nil if there was none.
	asked bool
	last  *workerv1.StoredSnapshot
	// due is when the next attempt begins. failures counts those that failed since the
	// last success, and reason is why.
	due      time.Time
	failures uint32
	reason   string
}

func newSchedule(s *Server) *schedule {
	return &schedule{server: s, archiver: workers{s}, of: s.config.Snapshots, now: s.config.Now, settling: settling}
}

func (c *schedule) run(ctx context.Context) {
	if c.of == nil {
		return
	}
	ticker := time.NewTicker(scheduleTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.tick(ctx)
		}
	}
}

// tick makes an attempt if one is due.
func (c *schedule) tick(ctx context.Context) {
	config := c.server.config
	leader, term := config.Consensus.Leader()
	if leader != config.Name {
		term = 0
	}
	now := c.now()
	wanted, asked := c.wanted(term, now)
	if wanted == nil {
		return
	}
	view := config.State.View()
	if view.ClusterID() == "" || !hasMount(view.Cluster(), wanted) {
		return // the mount is created later, or the topology is corrected
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	if _, err := config.Consensus.ReadIndex(ctx); err != nil {
		return // it does not lead, or not yet
	}
	saved, err := c.attempt(ctx, wanted, asked)
	if current, _ := config.Consensus.Leader(); err != nil && current != config.Name {
		return
	}
	c.settle(term, wanted, saved, err)
}

// wanted returns the schedule for which an attempt is due, nil if none is, and whether the
// newest object is known.
func (c *schedule) wanted(term uint64, now time.Time) (*topology.SnapshotSchedule, bool) {
	var of *topology.SnapshotSchedule
	if term != 0 {
		of = c.of()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if of == nil {
		c.forget(0, nil, now)
		return nil, false
	}
	if term != c.term || c.current == nil || *of != *c.current {
		c.forget(term, of, now)
	}
	// A clock that was set back delays nothing.
	if latest := now.Add(of.Interval()); c.due.After(latest) {
		c.due = latest
	}
	if now.Before(c.due) {
		return nil, false
	}
	return of, c.asked
}

// forget begins anew. The caller holds the lock.
func (c *schedule) forget(term uint64, of *topology.SnapshotSchedule, now time.Time) {
	c.term, c.current = term, of
	c.asked, c.last, c.due, c.failures, c.reason = false, nil, now.Add(c.settling), 0, ""
}

func hasMount(cluster *commonv1.ClusterView, of *topology.SnapshotSchedule) bool {
	return slices.ContainsFunc(cluster.GetMounts(), func(m *commonv1.Mount) bool {
		return m.GetName() == of.Mount && m.GetUri() == of.URI && !m.GetReadOnly()
	})
}

// attempt requests the newest object unless it is known, and saves one unless that is
// newer than the interval. The result is the newest object then.
func (c *schedule) attempt(ctx context.Context, of *topology.SnapshotSchedule, asked bool) (*workerv1.StoredSnapshot, error) {
	worker, err := c.worker()
	if err != nil {
		return nil, err
	}
	target := &workerv1.SnapshotTarget{ClusterId: c.server.config.Topology.ClusterID, Mount: of.Mount, Prefix: of.Prefix}
	if !asked {
		latest, err := c.archiver.latest(ctx, worker, target)
		if err != nil {
			return nil, fmt.Errorf("request the newest snapshot from %s: %w", worker.GetName(), err)
		}
		if latest != nil && c.now().Sub(latest.GetTime().AsTime()) < of.Interval() {
			return latest, nil
		}
	}
	response, sum, err := c.archiver.store(ctx, worker, target)
	if err != nil {
		return nil, fmt.Errorf("store a snapshot through %s: %w", worker.GetName(), err)
	}
	s := response.GetStored()
	log := c.server.config.Logger
	log.Info("a scheduled snapshot was stored", "mount", of.Mount, "key", s.GetKey(), "index", s.GetIndex(), "bytes", s.GetSize(), "sha256", sum, "deleted", response.GetDeleted(), "worker", worker.GetName())
	if response.GetRetention() != "" {
		log.Warn("old snapshots were not deleted", "error", response.GetRetention())
		c.server.metrics.scheduled.failures.WithLabelValues("retention").Inc()
	}
	c.server.metrics.scheduled.stored.Inc()
	return s, nil
}

// errNoWorker means that no worker can store a snapshot.
var errNoWorker = errors.New("no worker is in the ring")

// worker returns the worker for the next attempt: another one after a failure, and one that
// sends heartbeats if there is any.
func (c *schedule) worker() (*commonv1.RingMember, error) {
	c.mu.Lock()
	failures := int(c.failures)
	c.mu.Unlock()
	var live, all []*commonv1.RingMember
	for _, w := range c.server.config.State.View().Workers() {
		all = append(all, w.GetMember())
		if h, ok := c.server.reports.of(w.GetMember()); ok && c.server.reports.live(h) {
			live = append(live, w.GetMember())
		}
	}
	if len(live) == 0 {
		live = all
	}
	if len(live) == 0 {
		return nil, errNoWorker
	}
	return live[failures%len(live)], nil
}

// settle records the result of an attempt, unless another schedule or term has begun.
func (c *schedule) settle(term uint64, of *topology.SnapshotSchedule, newest *workerv1.StoredSnapshot, err error) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.term != term || c.current == nil || *c.current != *of {
		return
	}
	if err != nil {
		c.failures++
		c.reason = reasonText(err)
		c.due = now.Add(min(firstBackoff<<min(c.failures-1, 16), of.Interval()))
		c.server.metrics.scheduled.failures.WithLabelValues(failureReason(err)).Inc()
		c.server.config.Logger.Warn("a scheduled snapshot was not stored", "error", err, "next", c.due)
		return
	}
	c.asked, c.last, c.failures, c.reason = true, newest, 0, ""
	age := min(max(now.Sub(newest.GetTime().AsTime()), 0), of.Interval())
	c.due = now.Add(of.Interval() - age)
}

// reasonText returns the text of a failure, which may come from a store of a tenant, in one
// bounded line without control characters.
func reasonText(err error) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, err.Error())
	return message.Text(text[:min(len(text), maxReason)])
}

// reasonsOfFailure are the labels of the metric.
func reasonsOfFailure() []string {
	return []string{"no_worker", "refused", "store", "timeout", "unreachable", "retention"}
}

func failureReason(err error) string {
	if errors.Is(err, errNoWorker) {
		return "no_worker"
	}
	switch status.Code(err) {
	case codes.DeadlineExceeded, codes.Canceled:
		return "timeout"
	case codes.Aborted:
		return "store"
	case codes.FailedPrecondition, codes.PermissionDenied, codes.InvalidArgument, codes.Unimplemented, codes.ResourceExhausted:
		return "refused"
	}
	return "unreachable"
}

// state returns what this member reports; nil unless it leads with a schedule.
func (c *schedule) state() *masterv1.ScheduledSnapshots {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return nil
	}
	return &masterv1.ScheduledSnapshots{
		Time: c.last.GetTime(), Index: c.last.GetIndex(), Size: c.last.GetSize(), Key: c.last.GetKey(), Mount: c.current.Mount,
		Error: c.reason, Failures: c.failures, Next: timestamppb.New(c.due),
	}
}
