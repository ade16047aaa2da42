package consensus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/raft"
)

// RemoveMember removes a member, given by its name or id, and returns the id. A
// member is removed only if the others have a majority that is alive and caught up
// without it, and if it does not come back by itself: a master that the topology
// lists and that responds would join again. On members other than the leader it
// returns NotLeaderError.
func (n *Node) RemoveMember(ctx context.Context, member string) (string, error) {
	if n.readyTerm() == 0 {
		return "", n.notLeader()
	}
	var removed raft.ServerID
	err := n.changing(ctx, func() error {
		found, err := n.lookUp(member)
		if err != nil {
			return err
		}
		removed = found.ID
		return n.removeMember(ctx, found)
	})
	var follower *NotLeaderError
	if err != nil && !errors.As(err, &follower) {
		err = fmt.Errorf("remove %s: %w", member, err)
	}
	return string(removed), err
}

// lookUp returns the only member with a name or id.
func (n *Node) lookUp(member string) (raft.Server, error) {
	var found []raft.Server
	var all []string
	for _, s := range n.servers() {
		all = append(all, string(s.ID))
		if string(s.ID) == member || nameOf(string(s.ID)) == member {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return raft.Server{}, fmt.Errorf("not a member: the members are %s", strings.Join(all, ", "))
	default:
		return raft.Server{}, fmt.Errorf("%d members have this name: give the id of one: %s", len(found), strings.Join(all, ", "))
	}
}

func (n *Node) removeMember(ctx context.Context, s raft.Server) error {
	name := nameOf(string(s.ID))
	c, heard := n.acks.contact(s.ID)
	switch {
	case s.ID == n.id:
		return errors.New("it is the leader: transfer leadership to another master first")
	case n.masters.lists(name) && heard && n.fresh(c):
		return errors.New("it responds, and the topology lists it, so that it would join again: stop it, or reduce the number of masters")
	}
	if err := n.mayRemove(s.ID); err != nil {
		return err
	}
	n.logger.Warn("removing a member as requested", "member", s.ID)
	return n.change(ctx, func() raft.IndexFuture { return n.raft.RemoveServer(s.ID, 0, transportTimeout) })
}
