package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// replaceTimeout bounds how long a start waits for the other masters to accept
// the replacement of a damaged directory.
const replaceTimeout = 5 * time.Second

// replaceDamaged makes this member a new one when the others do not need its
// directory: the leader of the same cluster has confirmed, by a read, that it
// has a majority without this member, and that the others are caught up. The
// damaged directory is then moved away. Otherwise it stays as it is, because it
// may hold what no other disk has, and the error describes what to do.
func (n *Node) replaceDamaged(spoiled *DamageError) (provenDir, error) {
	if len(n.others()) == 0 {
		spoiled.Next = aloneAdvice
		return provenDir{}, spoiled
	}
	id, err := newMemberID(n.config.Name)
	if err != nil {
		return provenDir{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), replaceTimeout)
	defer cancel()
	if err := n.replaceable(ctx, id); err != nil {
		spoiled.Next = fmt.Sprintf("this master joins as a new one as soon as the other masters have a leader and are caught up; start them if they do not run: %v", err)
		return provenDir{}, spoiled
	}
	n.logger.Warn("the disk of this master is damaged; it joins as a new member", "damage", spoiled, "member", id)
	if err := n.dir.setAside(spoiled.member, spoiled.Error()); err != nil {
		return provenDir{}, err
	}
	if mutantKeepID && spoiled.member != "" {
		id = spoiled.member
	}
	return n.dir.create(n.config.Name, n.config.ClusterID, id)
}

// replaceable returns nil when the leader accepts a new member of this name. It
// waits for an election until ctx is done.
func (n *Node) replaceable(ctx context.Context, id string) error {
	var reason error
	for {
		err := n.requestReplacement(ctx, id)
		if err == nil {
			return nil
		}
		if reason == nil || ctx.Err() == nil {
			reason = err
		}
		if !n.pauseWith(ctx, formationInterval) {
			return reason
		}
	}
}

// requestReplacement requests a new member of this name from the other masters, at
// the same time: one that does not respond must not take the time of the leader.
func (n *Node) requestReplacement(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	others := n.others()
	failed := make([]error, len(others))
	var accepted atomic.Bool
	var wait sync.WaitGroup
	for i, other := range others {
		wait.Go(func() {
			err := n.requestProbe(ctx, other, id)
			if err == nil {
				accepted.Store(true)
				cancel()
				return
			}
			failed[i] = fmt.Errorf("%s: %w", other.Name, err)
		})
	}
	wait.Wait()
	if accepted.Load() {
		return nil
	}
	return errors.Join(failed...)
}

// requestProbe returns nil when another master is the leader and can spare every
// member of this name; see Node.probe.
func (n *Node) requestProbe(ctx context.Context, to topology.Member, id string) error {
	_, err := n.config.Peers.Join(ctx, to, &masterv1.JoinRequest{
		Name: n.config.Name, MemberId: id, Address: n.self.RaftAddress(), ClusterId: n.config.ClusterID, Probe: true,
	})
	return err
}

// probe returns nil when this member is the leader of a majority without the
// requesting member, and every id of its name may be removed. The requesting
// member itself may respond to this one.
func (n *Node) probe(ctx context.Context, request *masterv1.JoinRequest) error {
	if _, err := n.ReadIndex(ctx); err != nil {
		return err
	}
	for _, s := range n.servers() {
		if nameOf(string(s.ID)) != request.GetName() {
			continue
		}
		if c, ok := n.acks.contact(s.ID); ok && n.fresh(c) && string(s.ID) != request.GetMemberId() {
			return fmt.Errorf("%s still responds: two members of one name must not run at the same time", s.ID)
		}
		if err := n.mayRemove(s.ID); err != nil {
			return err
		}
	}
	return nil
}
