package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

const (
	// joinPoll is how often the progress of a new member is checked.
	joinPoll = 20 * time.Millisecond
	// joinLag is how many entries a new member may be behind when it becomes a
	// voter.
	joinLag = 64
)

// Describe returns the identity of this member, whether or not it is in a
// cluster, and what it remembers of the caller. It records what the request says
// about the caller.
func (n *Node) Describe(request *masterv1.DescribeRequest) *masterv1.DescribeResponse {
	response := &masterv1.DescribeResponse{
		Name:          n.config.Name,
		MemberId:      string(n.id),
		HasState:      n.hasState(),
		ClusterId:     n.config.ClusterID,
		Formed:        n.config.Formed,
		Term:          n.raft.CurrentTerm(),
		LeadingTerm:   n.readyTerm(),
		FormatVersion: n.config.Format,
	}
	if response.GetLeadingTerm() != 0 {
		response.CommitIndex = n.raft.CommitIndex()
	}
	n.remember(request, response)
	return response
}

func (n *Node) hasState() bool {
	index, _ := n.snapshots.last()
	return n.hadState || index > 0 || n.store.last.Load() > 0
}

// AddMember makes the requesting member a voter. It is added without a vote,
// under its own id, and catches up; then the lost id of its name is removed,
// and then it is promoted. Changes are made one at a time, and none that would
// leave fewer than a majority of live, caught-up voters. AddMember takes as
// long as catching up does, and may be called again after any error. On members
// other than the leader it returns NotLeaderError.
func (n *Node) AddMember(ctx context.Context, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error) {
	if err := n.checkJoin(request); err != nil {
		return nil, fmt.Errorf("reject %s: %w", request.GetName(), err)
	}
	if n.raft.State() != raft.Leader {
		return nil, n.notLeader()
	}
	if request.GetProbe() {
		if err := n.probe(ctx, request); err != nil {
			return nil, fmt.Errorf("accept a new %s: %w", request.GetName(), err)
		}
		return &masterv1.JoinResponse{}, nil
	}
	select {
	case n.changeLock <- struct{}{}:
		defer func() { <-n.changeLock }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another change of the configuration: %w", ctx.Err())
	}
	id := raft.ServerID(request.GetMemberId())
	removed, err := n.removed(ctx, id, request.GetHasState())
	if err == nil && removed {
		return &masterv1.JoinResponse{Removed: true}, nil
	}
	if err == nil {
		err = n.admit(ctx, id, serverAddress(request.GetAddress(), request.GetMemberId()))
	}
	if err != nil {
		var follower *NotLeaderError
		if errors.As(err, &follower) {
			return nil, err
		}
		return nil, fmt.Errorf("add %s as %s: %w", request.GetName(), request.GetMemberId(), err)
	}
	return &masterv1.JoinResponse{Voter: true}, nil
}

func (n *Node) checkJoin(r *masterv1.JoinRequest) error {
	_, listed := n.config.Topology.Master(r.GetName())
	switch {
	case r.GetClusterId() != n.config.ClusterID:
		return fmt.Errorf("it belongs to cluster %q, this member to %q", r.GetClusterId(), n.config.ClusterID)
	case !listed:
		return errors.New("it is not a master of the topology")
	case nameOf(r.GetMemberId()) != r.GetName() || len(r.GetMemberId()) > maxName:
		return fmt.Errorf("member id %q does not match its name", r.GetMemberId())
	case r.GetName() == n.config.Name:
		return errors.New("it has the name of this member")
	case r.GetAddress() == "":
		return errors.New("its address is empty")
	}
	return nil
}

// removed reports whether a member that has a log was removed from the
// configuration. Only the current leader can tell.
func (n *Node) removed(ctx context.Context, id raft.ServerID, hasState bool) (bool, error) {
	if _, known := find(n.servers(), id); known || !hasState {
		return false, nil
	}
	if _, err := n.ReadIndex(ctx); err != nil {
		return false, err
	}
	_, known := find(n.servers(), id)
	return !known, nil
}

// admit performs the steps of AddMember that remain.
func (n *Node) admit(ctx context.Context, id raft.ServerID, address raft.ServerAddress) error {
	current, known := find(n.servers(), id)
	if known && current.Suffrage == raft.Voter && current.Address == address {
		return nil
	}
	if !known {
		n.logger.Info("adding a member without a vote", "member", id)
		if err := n.change(ctx, n.raft.AddNonvoter(id, address, 0, transportTimeout)); err != nil {
			return err
		}
	}
	if err := n.catchUp(ctx, id); err != nil {
		return err
	}
	if err := n.removeLost(ctx, id); err != nil {
		return err
	}
	n.logger.Info("promoting a member to voter", "member", id)
	return n.change(ctx, n.raft.AddVoter(id, address, 0, transportTimeout))
}

// change blocks until a change of the configuration is committed.
func (n *Node) change(ctx context.Context, future raft.IndexFuture) error {
	err := n.await(ctx, future)
	if err != nil && refused(err) {
		return n.notLeader()
	}
	return err
}

// catchUp blocks until a member has nearly all of the log.
func (n *Node) catchUp(ctx context.Context, id raft.ServerID) error {
	for {
		if n.caughtUp(id) {
			return nil
		}
		if n.raft.State() != raft.Leader {
			return n.notLeader()
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("wait for it to catch up: %w", err)
		}
		if !n.pause(joinPoll) {
			return errStopped
		}
	}
}

// caughtUp reports whether a member responds and is at most joinLag entries
// behind.
func (n *Node) caughtUp(id raft.ServerID) bool {
	if id == n.id {
		return true
	}
	c, ok := n.acks.contact(id)
	return ok && n.fresh(c) && c.match > 0 && c.match+joinLag >= n.raft.CommitIndex()
}

// removeLost removes the other ids of a new member's name.
func (n *Node) removeLost(ctx context.Context, newcomer raft.ServerID) error {
	for _, lost := range n.servers() {
		if lost.ID == newcomer || nameOf(string(lost.ID)) != nameOf(string(newcomer)) {
			continue
		}
		if c, ok := n.acks.contact(lost.ID); ok && n.fresh(c) {
			return fmt.Errorf("%s still responds: two members of one name must not run at the same time", lost.ID)
		}
		if err := n.mayRemove(lost.ID); err != nil {
			return err
		}
		n.logger.Info("removing a member that lost its disk", "member", lost.ID, "replacement", newcomer)
		if err := n.change(ctx, n.raft.RemoveServer(lost.ID, 0, transportTimeout)); err != nil {
			return err
		}
	}
	return nil
}

// mayRemove returns an error when a member must stay, because too few of the
// other voters are alive and caught up.
func (n *Node) mayRemove(lost raft.ServerID) error {
	voters, sound := 0, 0
	for _, s := range n.servers() {
		if s.ID == lost || s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if n.caughtUp(s.ID) {
			sound++
		}
	}
	if sound < voters/2+1 {
		return fmt.Errorf("cannot replace %s now: only %d of the other %d voters are alive and caught up", lost, sound, voters)
	}
	return nil
}

func find(servers []raft.Server, id raft.ServerID) (raft.Server, bool) {
	for _, s := range servers {
		if s.ID == id {
			return s, true
		}
	}
	return raft.Server{}, false
}
