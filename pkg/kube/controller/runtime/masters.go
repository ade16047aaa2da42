package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

const (
	// queryTimeout is the timeout of all requests to masters in one pass.
	queryTimeout = 8 * time.Second
	// identityRenewInterval is how often the controller renews its own
	// certificate.
	identityRenewInterval = 12 * time.Hour
	// maxMisses is how many consecutive passes may find no leader while every
	// master is ready before the loss of the leader is reported. Ready masters
	// have a leader, but responses may be late on an overloaded machine.
	maxMisses = 3
)

// Masters is the part of the master API that the controller uses.
type Masters interface {
	Members(ctx context.Context) []client.MemberResult
	ListWorkers(ctx context.Context) ([]*masterv1.WorkerState, error)
	View(ctx context.Context) (*commonv1.ClusterView, error)
	Mount(ctx context.Context, mount *commonv1.Mount) (*commonv1.Mount, bool, error)
	Unmount(ctx context.Context, path string) error
	RemoveWorker(ctx context.Context, name string) error
	// Transfer moves leadership to a master, "" for any, and returns the leader.
	Transfer(ctx context.Context, to string) (string, error)
	Close()
}

// Dialer returns a client of a runtime's masters.
type Dialer func(members topology.Topology, identity *mtls.Identity) (Masters, error)

func dialMasters(members topology.Topology, identity *mtls.Identity) (Masters, error) {
	return client.New(client.Config{Topology: members, Identity: identity, Holder: "jindoruntime-controller"})
}

// masterState is the state that the masters return.
type masterState struct {
	queried bool
	members []client.MemberResult
	// leader is the status of the leader; nil without one.
	leader *masterv1.StatusResponse
	// leaderUnconfirmed reports that no leader was found, but for fewer than
	// maxMisses passes.
	leaderUnconfirmed bool
	// workers and view are nil if they could not be read.
	workers []*masterv1.WorkerState
	view    *commonv1.ClusterView
	// failed is the error of a failed request to the leader.
	failed error
	// topology is that of the masters that were queried: all that run.
	topology topology.Topology
	// masters is the client; nil if no master was queried.
	masters Masters
}

// masterReader reads the state of the masters, and records when the cluster has been
// formed.
//
// Input: the desired state, the authority and the workloads. Output: the state,
// status.formation.formed and status.raft.
type masterReader struct {
	connections *connections
}

// reconcile reads the state of the masters. Unreachable masters are reported in the
// status and are not an error.
func (c masterReader) reconcile(ctx context.Context, r *report, want *desired, ca *mtls.Authority, w *workloads) (*masterState, error) {
	m := &masterState{topology: runningMasters(want)}
	err := c.query(ctx, r, want, ca, w, m)
	r.status.Raft = m.raft(r, want)
	return m, err
}

func (c masterReader) query(ctx context.Context, r *report, want *desired, ca *mtls.Authority, w *workloads, m *masterState) error {
	if want.plan.Masters == nil || ca == nil || !w.anyPodRunning(plan.RoleMaster) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	masters, err := c.connections.get(r.runtime.UID, m.topology, ca)
	if err != nil {
		return err
	}
	m.queried, m.masters = true, masters
	m.members = masters.Members(ctx)
	for _, member := range m.members {
		if member.Err == nil && member.Status.GetState() == "LEADER" && (m.leader == nil || member.Status.GetTerm() > m.leader.GetTerm()) {
			m.leader = member.Status
		}
	}
	misses := c.connections.recordLeader(r.runtime.UID, m.leader != nil)
	if m.leader == nil {
		m.leaderUnconfirmed = misses < maxMisses && r.status.Raft != nil && r.status.Raft.Leader != "" && allReady(want, w)
		return nil
	}
	if m.allVote(want.topology) {
		r.status.Formation.Formed = true
	}
	// Errors below are reported in the status.
	if m.view, m.failed = masters.View(ctx); m.failed == nil {
		m.workers, m.failed = masters.ListWorkers(ctx)
	}
	return nil
}

// allReady reports whether every master's pod is ready.
func allReady(want *desired, w *workloads) bool {
	return w.masters != nil && w.masters.Status.ReadyReplicas >= want.plan.Masters.ListedInstances()
}

// allVote reports whether every master of a topology is a voter, so that the cluster is
// formed.
func (m *masterState) allVote(of topology.Topology) bool {
	for _, member := range of.Masters {
		if !m.votes(member.Name) {
			return false
		}
	}
	return true
}

// raft returns the Raft status of the masters.
func (m *masterState) raft(r *report, want *desired) *v1alpha1.RaftStatus {
	previous := r.status.Raft
	if want.plan.Masters == nil {
		return nil
	}
	if m.leaderUnconfirmed || !m.queried && previous == nil {
		return previous
	}
	raft := &v1alpha1.RaftStatus{}
	if previous != nil {
		raft.Term = previous.Term
	}
	if !m.queried {
		for _, member := range m.topology.Masters {
			raft.Members = append(raft.Members, v1alpha1.RaftMember{Name: member.Name, State: "UNKNOWN", Message: "no master is running"})
		}
		return raft
	}
	if m.leader != nil {
		raft.Leader, raft.Term = m.leader.GetName(), int64(m.leader.GetTerm())
	}
	for _, result := range m.members {
		member := v1alpha1.RaftMember{Name: result.Member.Name, State: "UNKNOWN"}
		if result.Err != nil {
			member.Message = errorSummary(result.Err)
		} else {
			member.State, member.Voter = result.Status.GetState(), result.Status.GetVoter()
		}
		raft.Members = append(raft.Members, member)
	}
	return raft
}

// errorSummary returns an error message that is stable between attempts, because
// every change of the message writes the status.
func errorSummary(err error) string {
	var refused *client.RefusedError
	if errors.As(err, &refused) {
		return fmt.Sprintf("not responding (%s)", refused.Code)
	}
	return "not responding"
}
