package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
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

// requestReplacement requests a new member of this name from the other masters in turn.
func (n *Node) requestReplacement(ctx context.Context, id string) error {
	request := &masterv1.JoinRequest{
		Name: n.config.Name, MemberId: id, Address: n.self.RaftAddress(), ClusterId: n.config.ClusterID, Probe: true,
	}
	var failed error
	for _, other := range n.others() {
		_, err := n.config.Peers.Join(ctx, other, request)
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", other.Name, err))
	}
	return failed
}

// probe returns nil when this member is the leader of a majority without the
// requesting member, and every id of its name may be removed.
func (n *Node) probe(ctx context.Context, request *masterv1.JoinRequest) error {
	if _, err := n.ReadIndex(ctx); err != nil {
		return err
	}
	for _, s := range n.servers() {
		if nameOf(string(s.ID)) != request.GetName() {
			continue
		}
		if c, ok := n.acks.contact(s.ID); ok && n.fresh(c) {
			return fmt.Errorf("%s still responds: two members of one name must not run at the same time", s.ID)
		}
		if err := n.mayRemove(s.ID); err != nil {
			return err
		}
	}
	return nil
}
