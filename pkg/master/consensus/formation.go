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

// formAgain is the advice when no master has the state any more. It applies to
// both executors, and needs no shell in a container.
const formAgain = "to form the cluster again without that state, use `kubectl jindo local down NAME --purge` and " +
	"`kubectl jindo local up` on one machine, or `kubectl jindo delete` and `kubectl jindo create` with the manifests on Kubernetes; " +
	"mounts and workers are then registered again, cached data is fetched again, and the object store is not affected"

// NoStateLeft is the error of masters when the cluster was formed before and no
// disk holds its state. They do not form it again automatically, because a loss
// of state would then look like a first start.
const NoStateLeft = "this cluster was formed before, but no master has its state on disk; " +
	"to continue with a state that was saved, use `kubectl jindo raft snapshot restore`; " + formAgain

// aloneAdvice is the advice for an only master whose disk is damaged.
const aloneAdvice = "no other master has its state, so this one does not serve; it starts as soon as the file is repaired; " + formAgain

const (
	describeTimeout = 2 * time.Second
	// joinTimeout includes the time to catch up. A join that takes longer is
	// requested again and continues.
	joinTimeout = 30 * time.Second
	// formationInterval is the time between two attempts, reasonLogInterval the
	// time between two log lines with the same reason.
	formationInterval = 200 * time.Millisecond
	reasonLogInterval = 30 * time.Second
)

// Run makes this member part of a cluster: it continues with the one on its
// disk, forms one, or joins one. It then maintains the membership until ctx is
// done, and returns nil. While the member is in no cluster, because it cannot enter
// one or was removed, Run retries, and Reason returns the cause. It also returns when
// Recover or Restore has stopped this member, after they have changed its directory.
func (n *Node) Run(ctx context.Context) error {
	// The process ends when Run returns, and must not do so during a recovery.
	defer n.recovery.Unlock()
	defer n.recovery.Lock()
	for removed := false; ; {
		for removed || !n.voter() {
			err := n.joinOrForm(ctx)
			n.setReason(err)
			removed = removed || errors.Is(err, errRemoved) // an id is never added again
			if !n.pauseWith(ctx, formationInterval) {
				return nil
			}
		}
		n.setReason(nil)
		n.logger.Info("this master is a voter", "member", n.id)
		if err := n.dir.pruneAside(asideKept); err != nil {
			n.logger.Warn("cannot remove old directories that were set aside", "error", err)
		}
		var running bool
		if removed, running = n.maintainMembership(ctx); !running {
			return nil
		}
	}
}

// setReason records why this member is in no cluster, and logs the reason when
// it changes.
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
	n.logger.Warn("this master is not in a cluster yet", "reason", text)
}

type waitReason struct {
	text   string
	logged time.Time
}

// Reason returns why this member is not ready, or accepts no commands; empty
// when it does.
func (n *Node) Reason() string { return n.Status().GetReason() }

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

// voter reports whether this member is a voter in the newest configuration that
// it has.
func (n *Node) voter() bool {
	self, ok := find(n.servers(), n.id)
	return ok && self.Suffrage == raft.Voter
}

// joinOrForm takes one step towards a cluster. Its error says what prevents the
// next.
func (n *Node) joinOrForm(ctx context.Context) error {
	others := n.describeOthers(ctx)
	switch {
	case others.foreign != "":
		return errors.New(others.foreign)
	case others.state || n.hasState():
		return n.join(ctx)
	case n.config.Formed || others.formed:
		if others.silent != nil {
			return fmt.Errorf("this cluster was formed before, the disk of this master is empty, and no reachable master has state; waiting for the others: %w", others.silent)
		}
		return errors.New(NoStateLeft)
	case n.Topology().Masters[0].Name != n.config.Name:
		return fmt.Errorf("waiting for %s to form the cluster", n.Topology().Masters[0].Name)
	case others.silent != nil:
		return fmt.Errorf("waiting for every master to report that it has no state: %w", others.silent)
	}
	return n.bootstrap()
}

// survey summarizes how the other masters of the topology describe themselves.
type survey struct {
	// state reports whether one of them has a log or a snapshot, formed whether
	// one of them is configured with Formed.
	state, formed bool
	// silent holds the errors of those that did not respond.
	silent error
	// foreign describes one that belongs to another cluster; empty when there
	// is none.
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
			response, err := n.config.Peers.Describe(ctx, other, &masterv1.DescribeRequest{})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				all.silent = errors.Join(all.silent, fmt.Errorf("%s is unreachable: %w", other.Name, err))
			case response.GetName() != other.Name:
				all.foreign = fmt.Sprintf("expected master %s, but %s responded", other.Name, response.GetName())
			case response.GetClusterId() != n.config.ClusterID:
				all.foreign = fmt.Sprintf("%s belongs to cluster %q, this master to %q", other.Name, response.GetClusterId(), n.config.ClusterID)
			default:
				all.state = all.state || response.GetHasState()
				all.formed = all.formed || response.GetFormed()
			}
		})
	}
	wait.Wait()
	return all
}

// bootstrap forms a cluster of this member alone.
func (n *Node) bootstrap() error {
	n.logger.Info("forming the cluster", "cluster", n.config.ClusterID, "member", n.id)
	err := n.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{
		Suffrage: raft.Voter, ID: n.id, Address: n.stream.address,
	}}}).Error()
	if err != nil {
		return fmt.Errorf("form the cluster: %w", err)
	}
	return nil
}

// join requests membership from the other masters in turn, until the leader has
// made this member a voter.
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
	return fmt.Errorf("waiting to be admitted: %w", failed)
}

func (n *Node) joinAt(ctx context.Context, other topology.Member, request *masterv1.JoinRequest) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if !n.voter() {
		// With a vote, a member of an older version that cannot apply the log would count
		// for a majority that could not elect a leader from it.
		halting := n.fsm.halting.wait()
		if err := n.fsm.haltedBy(); err != nil {
			return err
		}
		go func() {
			select {
			case <-halting:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	response, err := n.config.Peers.Join(ctx, other, request)
	if err != nil {
		return err
	}
	if response.GetRemoved() {
		return n.leave()
	}
	return nil
}

// joinOrder returns the other masters, the leader first if it is known.
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
