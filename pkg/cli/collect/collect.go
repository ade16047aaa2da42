// Package collect asks the members of a runtime about themselves and fills a
// report with their answers: all at once, each with its own deadline, and one
// that does not answer is a row like the others.
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

// Targets to ask.
type Targets struct {
	Topology topology.Topology
	Identity *mtls.Identity
	// Timeout of each target.
	Timeout time.Duration
	// Dial reaches a member; nil is to connect to its address.
	Dial func(ctx context.Context, member topology.Member) (net.Conn, error)
}

// connect to a member, lazily.
func (t Targets) connect(m topology.Member, role mtls.Role) (*grpc.ClientConn, error) {
	if t.Dial == nil {
		return t.Identity.Dial(m.Address(), role, m.Name)
	}
	return t.Identity.Dial(m.Address(), role, m.Name, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return t.Dial(ctx, m)
	}))
}

// answers of all targets, in the order of the roster.
type answers struct {
	masters []masterAnswer
	workers []workerAnswer
}

type masterAnswer struct {
	status *masterv1.StatusResponse
	rtt    time.Duration
	err    error
}

type workerAnswer struct {
	report *commonv1.WorkerReport
	view   *commonv1.ClusterView
	err    error
}

// Fill asks masters and workers and adds what they say to the report.
func Fill(ctx context.Context, r *report.Runtime, t Targets) {
	a := t.ask(ctx)
	for i, m := range t.Topology.Masters {
		answer := a.masters[i]
		if answer.err != nil {
			r.Failures = append(r.Failures, report.Failure{Target: m.Name, Error: Reason(answer.err)})
		}
		r.Masters = append(r.Masters, master(m, answer))
	}
	view := newestView(a.workers)
	if view == nil {
		view = t.leadersView(ctx, r.Leader())
	}
	for i, w := range t.Topology.Workers {
		answer := a.workers[i]
		if answer.err != nil {
			r.Failures = append(r.Failures, report.Failure{Target: w.Name, Error: Reason(answer.err)})
		}
		r.Workers = append(r.Workers, worker(w, answer, view))
	}
	r.Mounts = append(r.Mounts, mounts(view, a.workers)...)
	r.Targets += len(t.Topology.Masters) + len(t.Topology.Workers)
	r.Asked = true
	r.Version = version(r)
	r.Sum()
}

// Masters asks the masters only.
func Masters(ctx context.Context, t Targets) []report.Master {
	t.Topology.Workers = nil
	a := t.ask(ctx)
	masters := make([]report.Master, len(t.Topology.Masters))
	for i, m := range t.Topology.Masters {
		masters[i] = master(m, a.masters[i])
	}
	return masters
}

func (t Targets) ask(ctx context.Context) answers {
	a := answers{masters: make([]masterAnswer, len(t.Topology.Masters)), workers: make([]workerAnswer, len(t.Topology.Workers))}
	var asking sync.WaitGroup
	for i, m := range t.Topology.Masters {
		asking.Go(func() { a.masters[i] = t.askMaster(ctx, m) })
	}
	for i, w := range t.Topology.Workers {
		asking.Go(func() { a.workers[i] = t.askWorker(ctx, w) })
	}
	asking.Wait()
	return a
}

func (t Targets) askMaster(ctx context.Context, m topology.Member) masterAnswer {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	conn, err := t.connect(m, mtls.Master)
	if err != nil {
		return masterAnswer{err: err}
	}
	defer func() { _ = conn.Close() }()
	client := masterv1.NewMemberClient(conn)
	if _, err := client.Status(ctx, &masterv1.StatusRequest{}); err != nil {
		return masterAnswer{err: err}
	}
	// The first call paid for the connection; the second is the round trip.
	began := time.Now()
	response, err := client.Status(ctx, &masterv1.StatusRequest{})
	return masterAnswer{status: response, rtt: time.Since(began), err: err}
}

// leadersView asks the leader where no worker can say what is mounted; nil when
// it cannot either.
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

func (t Targets) askWorker(ctx context.Context, w topology.Member) workerAnswer {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	conn, err := t.connect(w, mtls.Worker)
	if err != nil {
		return workerAnswer{err: err}
	}
	defer func() { _ = conn.Close() }()
	client := workerv1.NewCacheClient(conn)
	response, err := client.Status(ctx, &workerv1.StatusRequest{})
	if err != nil {
		return workerAnswer{err: err}
	}
	answer := workerAnswer{report: response.GetReport()}
	view, err := client.GetView(ctx, &workerv1.GetViewRequest{})
	if err == nil {
		answer.view = view.GetView()
	} else if code := status.Code(err); code != codes.Unavailable && code != codes.FailedPrecondition && code != codes.NotFound {
		// A worker that has not heard of the cluster yet has no view.
		answer.err = err
	}
	return answer
}

func master(m topology.Member, a masterAnswer) report.Master {
	out := report.Master{Name: m.Name, Address: m.Address(), RaftAddress: m.RaftAddress(), State: "UNREACHABLE"}
	if a.err != nil {
		out.Error = Reason(a.err)
		return out
	}
	s := a.status
	out.MemberID, out.State, out.Voter, out.Ready = s.GetMemberId(), s.GetState(), s.GetVoter(), s.GetReady()
	out.Term, out.Leader, out.LeaderSince = s.GetTerm(), s.GetLeader(), moment(s.GetLeaderSince())
	out.LastLogIndex, out.CommitIndex, out.AppliedIndex = s.GetLastLogIndex(), s.GetCommitIndex(), s.GetAppliedIndex()
	out.SnapshotIndex, out.SnapshotTime = s.GetLastSnapshotIndex(), moment(s.GetLastSnapshotTime())
	out.ConfigurationIndex = s.GetConfigurationIndex()
	out.LogEntries, out.LogBytes = s.GetLogEntries(), s.GetLogBytes()
	out.Started, out.Version = moment(s.GetStarted()), s.GetVersion()
	if s.GetState() != "LEADER" {
		out.ContactSeconds = inSeconds(s.GetLastContact())
	}
	out.FsyncP99Seconds = inSeconds(s.GetFsyncP99())
	rtt := a.rtt.Seconds()
	out.RTTSeconds = &rtt
	for _, p := range s.GetPeers() {
		out.Peers = append(out.Peers, report.Peer{Name: p.GetName(), MemberID: p.GetMemberId(), Address: p.GetAddress(), Voter: p.GetVoter()})
	}
	for _, d := range s.GetDigests() {
		out.Digests = append(out.Digests, report.Digest{Index: d.GetIndex(), Digest: d.GetDigest()})
	}
	return out
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

// View is the newest view that a worker has; nil when none answers.
func View(ctx context.Context, t Targets) (*commonv1.ClusterView, error) {
	t.Topology.Masters = nil
	a := t.ask(ctx)
	if view := newestView(a.workers); view != nil {
		return view, nil
	}
	var failed error
	for i, w := range a.workers {
		if w.err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %s", t.Topology.Workers[i].Name, Reason(w.err)))
		}
	}
	if failed == nil {
		failed = errors.New("no worker has heard of the cluster yet")
	}
	return nil, failed
}
