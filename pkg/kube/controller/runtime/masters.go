package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/authority"
	"github.com/jindo-io/jindo/pkg/kube/render"
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
	Close()
}

// Dialer returns a client of a runtime's masters.
type Dialer func(members topology.Topology, identity *mtls.Identity) (Masters, error)

func dialMasters(members topology.Topology, identity *mtls.Identity) (Masters, error) {
	return client.New(client.Config{Topology: members, Identity: identity, Holder: "jindoruntime-controller"})
}

// connections are the connections to the masters of every runtime, kept between
// passes. It is safe for concurrent use.
type connections struct {
	dial Dialer
	now  func() time.Time
	mu   sync.Mutex
	all  map[types.UID]connection
}

type connection struct {
	masters Masters
	// misses is the number of consecutive passes that found no leader.
	misses int
	// key identifies the topology and the authority of the connection.
	key       string
	createdAt time.Time
}

func newConnections(dial Dialer, now func() time.Time) *connections {
	return &connections{dial: dial, now: now, all: map[types.UID]connection{}}
}

func (c *connections) get(uid types.UID, members topology.Topology, ca *mtls.Authority) (Masters, error) {
	// Changes of workers do not affect the connections to masters.
	members.Workers = nil
	raw, err := members.Marshal()
	if err != nil {
		return nil, err
	}
	key := string(raw) + string(ca.CertPEM())
	c.mu.Lock()
	defer c.mu.Unlock()
	existing, ok := c.all[uid]
	if ok && existing.key == key && c.now().Sub(existing.createdAt) < identityRenewInterval {
		return existing.masters, nil
	}
	identity, err := authority.Identity(ca, "jindoruntime-controller")
	if err != nil {
		return nil, err
	}
	masters, err := c.dial(members, identity)
	if err != nil {
		return nil, err
	}
	if ok {
		existing.masters.Close()
	}
	c.all[uid] = connection{masters: masters, key: key, createdAt: c.now()}
	return masters, nil
}

// recordLeader records whether a pass found a leader, and returns the number of
// consecutive passes that found none.
func (c *connections) recordLeader(uid types.UID, leads bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	existing, ok := c.all[uid]
	if !ok {
		return 0
	}
	existing.misses++
	if leads {
		existing.misses = 0
	}
	c.all[uid] = existing
	return existing.misses
}

func (c *connections) forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if existing, ok := c.all[uid]; ok {
		existing.masters.Close()
		delete(c.all, uid)
	}
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
}

// queryMasters reads the state of the masters, creates the mounts, and records when
// the cluster has been formed. Unreachable masters are reported in the status and are
// not an error.
func (p *pass) queryMasters(ctx context.Context) error {
	if p.plan.Masters == nil || p.authority == nil || !p.anyPodRunning(plan.RoleMaster) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	masters, err := p.r.masters.get(p.runtime.UID, p.topology, p.authority)
	if err != nil {
		return err
	}
	a := &p.masterState
	a.queried = true
	a.members = masters.Members(ctx)
	for _, m := range a.members {
		if m.Err == nil && m.Status.GetState() == "LEADER" && (a.leader == nil || m.Status.GetTerm() > a.leader.GetTerm()) {
			a.leader = m.Status
		}
	}
	misses := p.r.masters.recordLeader(p.runtime.UID, a.leader != nil)
	if a.leader == nil {
		a.leaderUnconfirmed = misses < maxMisses && p.status.Raft != nil && p.status.Raft.Leader != "" && p.allReady()
		return nil
	}
	if p.allVote() {
		p.status.Formation.Formed = true
	}
	// Errors below are reported in the status.
	if a.view, a.failed = masters.View(ctx); a.failed == nil {
		a.workers, a.failed = masters.ListWorkers(ctx)
	}
	if a.failed == nil {
		a.failed = p.mount(ctx, masters)
	}
	return nil
}

// anyPodRunning reports whether a pod of the role is running.
func (p *pass) anyPodRunning(role plan.Role) bool {
	for _, pod := range p.observed.pods[role] {
		if pod.Status.PodIP != "" && pod.Status.Phase == "Running" {
			return true
		}
	}
	return false
}

// allReady reports whether every master's pod is ready.
func (p *pass) allReady() bool {
	set := p.observed.masters
	return set != nil && set.Status.ReadyReplicas >= p.plan.Masters.Replicas
}

// allVote reports whether every master is a voter, so that the cluster is formed.
func (p *pass) allVote() bool {
	for _, m := range p.topology.Masters {
		votes := slices.ContainsFunc(p.masterState.leader.GetPeers(), func(peer *masterv1.Peer) bool {
			return peer.GetName() == m.Name && peer.GetVoter()
		})
		if !votes {
			return false
		}
	}
	return true
}

// raft returns the Raft status of the masters.
func (p *pass) raft() *v1alpha1.RaftStatus {
	if p.plan.Masters == nil {
		return nil
	}
	if p.masterState.leaderUnconfirmed {
		return p.status.Raft
	}
	if !p.masterState.queried {
		if p.status.Raft == nil {
			return nil
		}
		raft := &v1alpha1.RaftStatus{Term: p.status.Raft.Term}
		for _, m := range p.topology.Masters {
			raft.Members = append(raft.Members, v1alpha1.RaftMember{Name: m.Name, State: "UNKNOWN", Message: "no master is running"})
		}
		return raft
	}
	raft := &v1alpha1.RaftStatus{}
	if p.status.Raft != nil {
		raft.Term = p.status.Raft.Term
	}
	if leader := p.masterState.leader; leader != nil {
		raft.Leader, raft.Term = leader.GetName(), int64(leader.GetTerm())
	}
	for _, m := range p.masterState.members {
		member := v1alpha1.RaftMember{Name: m.Member.Name, State: "UNKNOWN"}
		if m.Err != nil {
			member.Message = errorSummary(m.Err)
		} else {
			member.State, member.Voter = m.Status.GetState(), m.Status.GetVoter()
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

// queryClusterID returns the cluster id that the masters have stored.
func (p *pass) queryClusterID(ctx context.Context) (string, error) {
	built, err := plan.Build(nil, p.want)
	if err != nil {
		return "", err
	}
	ca, err := p.r.authorities.Authority(ctx, p.runtime)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	masters, err := p.r.masters.get(p.runtime.UID, render.Topology(built, ""), ca)
	if err != nil {
		return "", err
	}
	failed := errors.New("the runtime has no masters")
	for _, m := range masters.Members(ctx) {
		if m.Err == nil && m.Status.GetClusterId() != "" {
			return m.Status.GetClusterId(), nil
		}
		failed = m.Err
	}
	return "", failed
}
