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
	// askTimeout of all questions of one pass together.
	queryTimeout = 8 * time.Second
	// identityRenew is how often the controller gives itself another
	// certificate.
	identityRenewInterval = 12 * time.Hour
	// maxMisses is how many passes in a row may find no leader while every
	// master is ready, which says that it knows one: on a starved machine an
	// answer may come too late.
	maxMisses = 3
)

// Masters are the calls that the controller makes.
type Masters interface {
	Members(ctx context.Context) []client.MemberResult
	ListWorkers(ctx context.Context) ([]*masterv1.WorkerState, error)
	View(ctx context.Context) (*commonv1.ClusterView, error)
	Mount(ctx context.Context, mount *commonv1.Mount) (*commonv1.Mount, bool, error)
	Unmount(ctx context.Context, path string) error
	Close()
}

// Dialer makes a client of a runtime's masters.
type Dialer func(members topology.Topology, identity *mtls.Identity) (Masters, error)

func dialMasters(members topology.Topology, identity *mtls.Identity) (Masters, error) {
	return client.New(client.Config{Topology: members, Identity: identity, Holder: "jindoruntime-controller"})
}

// connections to the masters of every runtime, kept from one pass to the next.
type connections struct {
	dial Dialer
	now  func() time.Time
	mu   sync.Mutex
	all  map[types.UID]connection
}

type connection struct {
	masters Masters
	// misses counts the passes in a row that found no leader.
	misses int
	// of is what it was made for.
	key       string
	createdAt time.Time
}

func newConnections(dial Dialer, now func() time.Time) *connections {
	return &connections{dial: dial, now: now, all: map[types.UID]connection{}}
}

func (c *connections) get(uid types.UID, members topology.Topology, ca *mtls.Authority) (Masters, error) {
	// Workers come and go without concerning the masters' connections.
	members.Workers = nil
	raw, err := members.Marshal()
	if err != nil {
		return nil, err
	}
	of := string(raw) + string(ca.CertPEM())
	c.mu.Lock()
	defer c.mu.Unlock()
	there, ok := c.all[uid]
	if ok && there.key == of && c.now().Sub(there.createdAt) < identityRenewInterval {
		return there.masters, nil
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
		there.masters.Close()
	}
	c.all[uid] = connection{masters: masters, key: of, createdAt: c.now()}
	return masters, nil
}

// heard notes whether a pass found a leader, and answers in how many passes in a
// row none was found.
func (c *connections) recordLeader(uid types.UID, leads bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	there, ok := c.all[uid]
	if !ok {
		return 0
	}
	there.misses++
	if leads {
		there.misses = 0
	}
	c.all[uid] = there
	return there.misses
}

func (c *connections) forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if there, ok := c.all[uid]; ok {
		there.masters.Close()
		delete(c.all, uid)
	}
}

// answers of the masters.
type masterState struct {
	queried bool
	members []client.MemberResult
	// leader is nil when none leads.
	leader *masterv1.StatusResponse
	// late: none answered, which is not believed yet.
	leaderUnconfirmed bool
	// workers and view are nil when they could not be read.
	workers []*masterv1.WorkerState
	view    *commonv1.ClusterView
	// failed is why not.
	failed error
}

// ask finds out from the masters what they know, brings mounts into place and
// notes when the cluster is formed. That masters do not answer is no error of
// the pass: it is what status tells.
func (p *pass) queryMasters(ctx context.Context) error {
	if p.plan.Masters == nil || p.authority == nil || !p.anyPodRunning(plan.RoleMaster) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	masters, err := p.r.masters.get(p.runtime.UID, p.roster, p.authority)
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
	// What fails from here on is told in the status.
	if a.view, a.failed = masters.View(ctx); a.failed == nil {
		a.workers, a.failed = masters.ListWorkers(ctx)
	}
	if a.failed == nil {
		a.failed = p.mount(ctx, masters)
	}
	return nil
}

// anyRuns tells whether a container of the role's pods was started, so that
// there is somebody to ask.
func (p *pass) anyPodRunning(role plan.Role) bool {
	for _, pod := range p.observed.pods[role] {
		if pod.Status.PodIP != "" && pod.Status.Phase == "Running" {
			return true
		}
	}
	return false
}

// allReady: the kubelets say that every master is ready.
func (p *pass) allReady() bool {
	set := p.observed.masters
	return set != nil && set.Status.ReadyReplicas >= p.plan.Masters.Replicas
}

// allVote: the cluster exists for good.
func (p *pass) allVote() bool {
	for _, m := range p.roster.Masters {
		votes := slices.ContainsFunc(p.masterState.leader.GetPeers(), func(peer *masterv1.Peer) bool {
			return peer.GetName() == m.Name && peer.GetVoter()
		})
		if !votes {
			return false
		}
	}
	return true
}

// raft is what the masters say of themselves.
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
		for _, m := range p.roster.Masters {
			raft.Members = append(raft.Members, v1alpha1.RaftMember{Name: m.Name, State: "UNKNOWN", Message: "no master runs"})
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

// brief is an error without what differs from one try to the next, which would
// write status for nothing.
func errorSummary(err error) string {
	var refused *client.RefusedError
	if errors.As(err, &refused) {
		return fmt.Sprintf("it does not answer (%s)", refused.Code)
	}
	return "it does not answer"
}

// askClusterID asks the masters of a runtime whose record is lost.
func (p *pass) queryClusterID(ctx context.Context) (string, error) {
	made, err := plan.Build(nil, p.want)
	if err != nil {
		return "", err
	}
	ca, err := p.r.authorities.Authority(ctx, p.runtime)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	masters, err := p.r.masters.get(p.runtime.UID, render.Topology(made, ""), ca)
	if err != nil {
		return "", err
	}
	failed := errors.New("none is planned")
	for _, m := range masters.Members(ctx) {
		if m.Err == nil && m.Status.GetClusterId() != "" {
			return m.Status.GetClusterId(), nil
		}
		failed = m.Err
	}
	return "", failed
}
