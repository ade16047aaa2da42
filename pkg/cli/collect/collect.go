// Package collect queries the masters and workers of a runtime and fills a report
// with their responses. All are queried in parallel, each with its own deadline; a
// member that does not respond becomes a row with an error.
package collect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Targets are the members to query.
type Targets struct {
	Topology topology.Topology
	Identity *mtls.Identity
	// Timeout is the deadline of each member, all its calls together.
	Timeout time.Duration
	// Dial connects to a member; nil connects to its address.
	Dial func(ctx context.Context, member topology.Member) (net.Conn, error)
}

// connect returns a connection to a member, which is established by the first call.
func (t Targets) connect(m topology.Member, role mtls.Role) (*grpc.ClientConn, error) {
	if t.Dial == nil {
		return t.Identity.Dial(m.Address(), role, m.Name)
	}
	return t.Identity.Dial(m.Address(), role, m.Name, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return t.Dial(ctx, m)
	}))
}

// responses are those of all members, in the order of the topology.
type responses struct {
	masters []masterResponse
	workers []workerResponse
}

type masterResponse struct {
	status *masterv1.StatusResponse
	rtt    time.Duration
	err    error
}

type workerResponse struct {
	report *commonv1.WorkerReport
	mounts []*workerv1.ReportedMount
	view   *commonv1.ClusterView
	err    error
}

// Fill queries masters and workers and adds their responses to the report. A member
// that does not respond is also added to the failures.
func Fill(ctx context.Context, r *report.Runtime, t Targets) {
	all := t.query(ctx)
	for i, m := range t.Topology.Masters {
		response := all.masters[i]
		if response.err != nil {
			r.Failures = append(r.Failures, report.Failure{Target: m.Name, Error: Reason(response.err)})
		}
		r.Masters = append(r.Masters, master(m, response))
	}
	view := newestView(all.workers)
	if view == nil {
		view = t.leadersView(ctx, r.Leader())
	}
	for i, w := range t.Topology.Workers {
		response := all.workers[i]
		if response.err != nil {
			r.Failures = append(r.Failures, report.Failure{Target: w.Name, Error: Reason(response.err)})
		}
		r.Workers = append(r.Workers, worker(w, response, view))
	}
	r.Mounts = append(r.Mounts, mounts(view, all.workers)...)
	r.Passthrough = passthrough(all.workers)
	r.Targets += len(t.Topology.Masters) + len(t.Topology.Workers)
	r.MemberViews = true
	r.Version = version(r)
	r.Sum()
}

// Masters queries the masters only, and returns them in the order of the topology.
func Masters(ctx context.Context, t Targets) []report.Master {
	t.Topology.Workers = nil
	all := t.query(ctx)
	masters := make([]report.Master, len(t.Topology.Masters))
	for i, m := range t.Topology.Masters {
		masters[i] = master(m, all.masters[i])
	}
	return masters
}

func (t Targets) query(ctx context.Context) responses {
	all := responses{masters: make([]masterResponse, len(t.Topology.Masters)), workers: make([]workerResponse, len(t.Topology.Workers))}
	var querying sync.WaitGroup
	for i, m := range t.Topology.Masters {
		querying.Go(func() { all.masters[i] = t.queryMaster(ctx, m) })
	}
	for i, w := range t.Topology.Workers {
		querying.Go(func() { all.workers[i] = t.queryWorker(ctx, w) })
	}
	querying.Wait()
	return all
}

func (t Targets) queryMaster(ctx context.Context, m topology.Member) masterResponse {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	conn, err := t.connect(m, mtls.Master)
	if err != nil {
		return masterResponse{err: err}
	}
	defer func() { _ = conn.Close() }()
	client := masterv1.NewMemberClient(conn)
	if _, err := client.Status(ctx, &masterv1.StatusRequest{}); err != nil {
		return masterResponse{err: err}
	}
	// The first call establishes the connection; the second measures the round trip.
	began := time.Now()
	response, err := client.Status(ctx, &masterv1.StatusRequest{})
	return masterResponse{status: response, rtt: time.Since(began), err: err}
}

// leadersView returns the view of the leader, which is needed when no worker has one.
// It returns nil when there is no leader or the leader does not respond.
func (t Targets) leadersView(ctx context.Context, leader *report.Master) *commonv1.ClusterView {
	if leader == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	member, found := t.Topology.Master(leader.Name)
	if !found {
		return nil
	}
	conn, err := t.connect(member, mtls.Master)
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }()
	response, err := masterv1.NewCoordinationClient(conn).GetView(ctx, &masterv1.GetViewRequest{})
	if err != nil {
		return nil
	}
	return response.GetView()
}

func (t Targets) queryWorker(ctx context.Context, w topology.Member) workerResponse {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	conn, err := t.connect(w, mtls.Worker)
	if err != nil {
		return workerResponse{err: err}
	}
	defer func() { _ = conn.Close() }()
	client := workerv1.NewCacheClient(conn)
	response, err := client.Status(ctx, &workerv1.StatusRequest{})
	if err != nil {
		return workerResponse{err: err}
	}
	result := workerResponse{report: response.GetReport(), mounts: response.GetMounts()}
	view, err := client.GetView(ctx, &workerv1.GetViewRequest{})
	if err == nil {
		result.view = view.GetView()
	} else if code := status.Code(err); code != codes.Unavailable && code != codes.FailedPrecondition && code != codes.NotFound {
		// A worker that has not received a view yet is not at fault.
		result.err = err
	}
	return result
}

func master(m topology.Member, response masterResponse) report.Master {
	out := report.Master{Name: m.Name, Address: m.Address(), RaftAddress: m.RaftAddress(), State: "UNREACHABLE"}
	if response.err != nil {
		out.Error = Reason(response.err)
		return out
	}
	s := response.status
	out.MemberID, out.State, out.Voter, out.Ready = s.GetMemberId(), s.GetState(), s.GetVoter(), s.GetReady()
	out.Reason, out.ReadOnly = s.GetReason(), s.GetReadOnly()
	out.Term, out.Leader, out.LeaderSince = s.GetTerm(), s.GetLeader(), moment(s.GetLeaderSince())
	out.LastLogIndex, out.CommitIndex, out.AppliedIndex = s.GetLastLogIndex(), s.GetCommitIndex(), s.GetAppliedIndex()
	out.SnapshotIndex, out.SnapshotTime = s.GetLastSnapshotIndex(), moment(s.GetLastSnapshotTime())
	out.Scheduled = scheduled(s.GetSnapshots())
	out.ConfigurationIndex = s.GetConfigurationIndex()
	out.LogEntries, out.LogBytes = s.GetLogEntries(), s.GetLogBytes()
	out.Started, out.Version = moment(s.GetStarted()), s.GetVersion()
	if s.GetState() != "LEADER" {
		out.ContactSeconds = inSeconds(s.GetLastContact())
	}
	out.FsyncP99Seconds = inSeconds(s.GetFsyncP99())
	rtt := response.rtt.Seconds()
	out.RTTSeconds = &rtt
	for _, p := range s.GetPeers() {
		out.Peers = append(out.Peers, peer(s, p))
	}
	if h := s.GetHealth(); h != nil {
		out.Group = &report.GroupHealth{Healthy: h.GetHealthy(), Reason: h.GetReason(), FailureTolerance: int(h.GetFailureTolerance())}
	}
	out.Verification = verification(s.GetVerification())
	for _, d := range s.GetDigests() {
		out.Digests = append(out.Digests, report.Digest{Index: d.GetIndex(), Digest: d.GetDigest()})
	}
	return out
}

// peer returns a member of the configuration in a master's view. What only leaders
// observe is absent in the view of others, and of a leader that does not report it.
func peer(s *masterv1.StatusResponse, p *masterv1.Peer) report.Peer {
	out := report.Peer{Name: p.GetName(), MemberID: p.GetMemberId(), Address: p.GetAddress(), Voter: p.GetVoter()}
	if s.GetHealth() == nil {
		return out
	}
	out.CaughtUpSince, out.Stable, out.Fault = moment(p.GetCaughtUpSince()), new(p.GetStable()), p.GetFault()
	if p.GetMemberId() != s.GetMemberId() {
		out.ContactSeconds = inSeconds(p.GetLastContact())
	}
	if match := p.GetMatchIndex(); match > 0 {
		out.Behind = new(max(s.GetLastLogIndex(), match) - match)
	}
	return out
}

func verification(v *masterv1.Verification) *report.Verification {
	result := map[masterv1.Verification_Result]string{
		masterv1.Verification_RESULT_EQUAL:      report.VerifiedEqual,
		masterv1.Verification_RESULT_DIFFERENT:  report.VerifiedDifferent,
		masterv1.Verification_RESULT_INCOMPLETE: report.VerifiedIncomplete,
	}[v.GetResult()]
	at := moment(v.GetTime())
	if result == "" || at == nil {
		return nil
	}
	return &report.Verification{Time: *at, Result: result, First: v.GetFirst(), Last: v.GetLast(), Failed: v.GetFailed()}
}

func scheduled(s *masterv1.ScheduledSnapshots) *report.ScheduledSnapshots {
	if s == nil {
		return nil
	}
	return &report.ScheduledSnapshots{
		Mount: s.GetMount(), Time: moment(s.GetTime()), Key: s.GetKey(), Index: s.GetIndex(), Bytes: s.GetSize(),
		Failures: int(s.GetFailures()), Error: s.GetError(), Next: moment(s.GetNext()),
	}
}

func moment(t *timestamppb.Timestamp) *metav1.Time {
	if t == nil || t.GetSeconds() <= 0 {
		return nil
	}
	value := metav1.NewTime(t.AsTime())
	return &value
}

func inSeconds(d *durationpb.Duration) *float64 {
	if d == nil {
		return nil
	}
	value := d.AsDuration().Seconds()
	return &value
}

func version(r *report.Runtime) string {
	for _, m := range r.Masters {
		if m.Version != "" {
			return m.Version
		}
	}
	for _, w := range r.Workers {
		if w.Version != "" {
			return w.Version
		}
	}
	return ""
}

// View returns the newest view of the workers. It fails when no worker has one.
func View(ctx context.Context, t Targets) (*commonv1.ClusterView, error) {
	t.Topology.Masters = nil
	all := t.query(ctx)
	if view := newestView(all.workers); view != nil {
		return view, nil
	}
	var failed error
	for i, w := range all.workers {
		if w.err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %s", t.Topology.Workers[i].Name, Reason(w.err)))
		}
	}
	if failed == nil {
		failed = errors.New("no worker has received the view of the cluster yet")
	}
	return nil, failed
}
