package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// NoStateLeft is what masters say when the cluster was formed and no disk
// remembers it. They will not form it again by themselves: that would make
// loss look like a start.
const NoStateLeft = "this cluster was formed before, and no master has its state on disk any more: " +
	"mounts and workers must be registered again. To form it anew, run " +
	"`kubectl jindo local down --purge` and then `kubectl jindo local up`; " +
	"the cache is fetched again, the store has lost nothing"

const (
	describeTimeout = 2 * time.Second
	// joinTimeout covers catching up; a join that takes longer is asked for
	// again and goes on where it was.
	joinTimeout = 30 * time.Second
	// formationPause lies between two attempts, complaintEvery between two
	// lines in the log that say the same.
	formationInterval = 200 * time.Millisecond
	reasonLogInterval = 30 * time.Second
)

// Run makes this member part of a cluster: it goes on with the one on its
// disk, forms one when that is its to do, or joins. It then keeps looking
// after its place in it until ctx ends, and returns nil. While there is no way
// into a cluster it keeps trying, and Reason says why.
func (n *Node) Run(ctx context.Context) error {
	for !n.voter() {
		n.setReason(n.joinOrForm(ctx))
		if !n.pauseWith(ctx, formationInterval) {
			return nil
		}
	}
	n.setReason(nil)
	n.logger.Info("this master has a vote", "id", n.id)
	n.maintainMembership(ctx)
	return nil
}

// complain remembers why this member is in no cluster, and logs it when it is
// news.
func (n *Node) setReason(reason error) {
	if reason == nil {
		n.waiting.Store(nil)
		return
	}
	text, now := reason.Error(), time.Now()
	if last := n.waiting.Load(); last != nil && last.text == text && now.Sub(last.logged) < reasonLogInterval {
		return
	}
	n.waiting.Store(&waitReason{text: text, logged: now})
	n.logger.Warn("this master is in no cluster yet", "reason", text)
}

type waitReason struct {
	text   string
	logged time.Time
}

// Reason says why this member is in no cluster yet; empty when it is in one.
func (n *Node) Reason() string {
	if reason := n.waiting.Load(); reason != nil {
		return reason.text
	}
	return ""
}

func (n *Node) pauseWith(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-n.stopped:
		return false
	}
}

// voter tells whether this member has a vote in the configuration it knows.
func (n *Node) voter() bool {
	self, ok := find(n.servers(), n.id)
	return ok && self.Suffrage == raft.Voter
}

// enter takes one step towards a cluster, and says what stands in the way.
func (n *Node) joinOrForm(ctx context.Context) error {
	others := n.describeOthers(ctx)
	switch {
	case others.foreign != "":
		return errors.New(others.foreign)
	case others.state || n.hasState():
		return n.join(ctx)
	case n.config.Formed || others.formed:
		if others.silent != nil {
			return fmt.Errorf("this cluster was formed before, this master's disk is empty, and no master that answers has state; waiting for the others: %w", others.silent)
		}
		return errors.New(NoStateLeft)
	case n.config.Topology.Masters[0].Name != n.config.Name:
		return fmt.Errorf("waiting for %s to form the cluster", n.config.Topology.Masters[0].Name)
	case others.silent != nil:
		return fmt.Errorf("waiting for every master to say that it has no state: %w", others.silent)
	}
	return n.bootstrap()
}

// census is what the other masters of the roster say of themselves.
type survey struct {
	// state: one has a log or a snapshot. formed: one was told that the
	// cluster was formed before.
	state, formed bool
	// silent is why not all have answered.
	silent error
	// foreign is a sentence about one that belongs to another cluster.
	foreign string
}

func (n *Node) describeOthers(ctx context.Context) survey {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	var mu sync.Mutex
	var all survey
	var wait sync.WaitGroup
	for _, other := range n.others() {
		wait.Go(func() {
			answer, err := n.config.Peers.Describe(ctx, other)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				all.silent = errors.Join(all.silent, fmt.Errorf("%s does not answer: %w", other.Name, err))
			case answer.GetName() != other.Name:
				all.foreign = fmt.Sprintf("where the roster has %s, %s answers", other.Name, answer.GetName())
			case answer.GetClusterId() != n.config.ClusterID:
				all.foreign = fmt.Sprintf("%s belongs to cluster %q, and this master to %q", other.Name, answer.GetClusterId(), n.config.ClusterID)
			default:
				all.state = all.state || answer.GetHasState()
				all.formed = all.formed || answer.GetFormed()
			}
		})
	}
	wait.Wait()
	return all
}

func (n *Node) others() []topology.Member {
	var others []topology.Member
	for _, m := range n.config.Topology.Masters {
		if m.Name != n.config.Name {
			others = append(others, m)
		}
	}
	return others
}

// bootstrap forms a cluster of this member alone.
func (n *Node) bootstrap() error {
	n.logger.Info("forming the cluster", "cluster", n.config.ClusterID, "member", n.id)
	err := n.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{
		Suffrage: raft.Voter, ID: n.id, Address: n.stream.address,
	}}}).Error()
	if err != nil {
		return fmt.Errorf("forming the cluster: %w", err)
	}
	return nil
}

// join asks the others, one after the other, until one that leads has made
// this member a voter.
func (n *Node) join(ctx context.Context) error {
	request := &masterv1.JoinRequest{
		Name: n.config.Name, MemberId: string(n.id), Address: n.self.RaftAddress(), ClusterId: n.config.ClusterID,
		HasState: n.hasState(),
	}
	var failed error
	for _, other := range n.joinOrder() {
		err := n.joinAt(ctx, other, request)
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", other.Name, err))
	}
	return fmt.Errorf("waiting to be let in: %w", failed)
}

func (n *Node) joinAt(ctx context.Context, other topology.Member, request *masterv1.JoinRequest) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	answer, err := n.config.Peers.Join(ctx, other, request)
	if err != nil {
		return err
	}
	if answer.GetRemoved() {
		return n.retire()
	}
	return nil
}

// joinOrder starts with the member that is known to lead.
func (n *Node) joinOrder() []topology.Member {
	leader, _ := n.Leader()
	var order []topology.Member
	for _, m := range n.others() {
		if m.Name == leader {
			order = append([]topology.Member{m}, order...)
		} else {
			order = append(order, m)
		}
	}
	return order
}
