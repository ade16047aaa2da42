package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// liveFor is how long a worker counts as live after a heartbeat. Workers send
// one every two seconds.
const liveFor = 10 * time.Second

// maxReports bounds the workers whose reports are kept: those of the ring, and as
// many that were removed or are not registered yet.
const maxReports = 2 * state.MaxWorkers

// heartbeat is the newest report of a worker.
type heartbeat struct {
	// report must not be modified.
	report *commonv1.WorkerReport
	wall   time.Time
	awake  time.Duration
}

// reports holds the newest heartbeat of each worker that this member received,
// by name. It is safe for concurrent use.
type reports struct {
	awake *awakeClock

	mu     sync.Mutex
	byName map[string]heartbeat
}

func newReports(awake *awakeClock) *reports {
	return &reports{awake: awake, byName: map[string]heartbeat{}}
}

// add stores a report. It reports whether there was room: a worker that has sent
// none before needs some, and the names of certificates are not bounded.
func (r *reports) add(report *commonv1.WorkerReport) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.byName[report.GetName()]; !known && len(r.byName) >= maxReports {
		return false
	}
	r.byName[report.GetName()] = heartbeat{report: report, wall: time.Now(), awake: r.awake.now()}
	return true
}

// of returns the newest heartbeat of a member. A report of the same name with
// another id, from a disk that was replaced, does not count.
func (r *reports) of(member *commonv1.RingMember) (heartbeat, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.byName[member.GetName()]
	return h, ok && h.report.GetId() == member.GetId()
}

func (r *reports) live(h heartbeat) bool { return r.awake.now()-h.awake < liveFor }

// maxView is above every index of a view in use. A worker that reports a later one is
// broken.
const maxView = 1 << 52

// newestView returns the newest index of a view that a worker has reported. Workers keep
// views on disk: it may be newer than what the masters have left.
func (r *reports) newestView() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	newest := uint64(0)
	for _, h := range r.byName {
		if index := h.report.GetViewIndex(); index < maxView {
			newest = max(newest, index)
		}
	}
	return newest
}

// dropOld drops reports that are older than age and do not belong to the workers
// in keep.
func (r *reports) dropOld(age time.Duration, keep []*statev1.Worker) {
	names := map[string]bool{}
	for _, worker := range keep {
		names[worker.GetMember().GetName()] = true
	}
	now := r.awake.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, h := range r.byName {
		if !names[name] && now-h.awake > age {
			delete(r.byName, name)
		}
	}
}

// Heartbeat implements masterv1.ReportsServer.
func (s *Server) Heartbeat(ctx context.Context, r *masterv1.HeartbeatRequest) (*masterv1.HeartbeatResponse, error) {
	report := r.GetReport()
	from := caller(ctx)
	switch {
	case report == nil || report.GetId() == "":
		return nil, invalid("report has no worker id")
	case report.GetName() != from.Name:
		return nil, status.Error(codes.PermissionDenied, fmt.Sprintf("%s may report only for itself, not for %s", from, report.GetName()))
	case r.GetClusterId() != "" && r.GetClusterId() != s.config.Topology.ClusterID:
		return nil, refusal(&statev1.Result{Refusal: &statev1.Refusal{
			Code: statev1.Refusal_CODE_OTHER_CLUSTER, Subject: r.GetClusterId(), Other: s.config.Topology.ClusterID,
		}})
	}
	if !s.reports.add(report) {
		return nil, status.Error(codes.ResourceExhausted, fmt.Sprintf("%d workers send reports: remove those that are not needed", maxReports))
	}
	view := s.config.State.View()
	leader, _ := s.config.Consensus.Leader()
	return &masterv1.HeartbeatResponse{
		ViewIndex:  view.ViewIndex(),
		RingEpoch:  view.RingEpoch(),
		Registered: view.Worker(report.GetName()).GetMember().GetId() == report.GetId(),
		Leader:     leader == s.config.Name,
	}, nil
}
