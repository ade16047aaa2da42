package consensus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
// under its own id, catches up and remains so for a time; then the lost id of its
// name is removed, and then it is promoted. Changes are made one at a time, and
// none that would leave fewer than a majority of live, caught-up voters. AddMember
// takes as long as catching up does, and may be called again after any error. On
// members other than the leader it returns NotLeaderError.
//
// A cluster in use never has an even number of voters for longer than two changes
// take while the topology lists more masters: with two voters, the loss of either
// would stop it. The first of two newcomers therefore gets its vote together with
// the second.
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
	id := raft.ServerID(request.GetMemberId())
	removed, err := n.removed(ctx, id, request.GetHasState())
	if err == nil && removed {
		return &masterv1.JoinResponse{Removed: true}, nil
	}
	if err == nil && !n.masters.lists(request.GetName()) {
		err = errNotListed
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

// errNotListed rejects a member that the topology of the leader does not list.
var errNotListed = errors.New("it is not a master of the topology")

// checkJoin returns why a request is rejected at once. One of a master that is not
// listed is not if it has state: it may learn that it was removed.
func (n *Node) checkJoin(r *masterv1.JoinRequest) error {
	switch {
	case r.GetClusterId() != n.config.ClusterID:
		return fmt.Errorf("it belongs to cluster %q, this member to %q", r.GetClusterId(), n.config.ClusterID)
	case !n.masters.lists(r.GetName()) && !r.GetHasState():
		return errNotListed
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
	if err := n.changing(ctx, func() error { return n.addWithoutVote(ctx, id, address) }); err != nil {
		return err
	}
	for {
		if err := n.awaitStable(ctx, id); err != nil {
			return err
		}
		var waiting string
		err := n.changing(ctx, func() error {
			var failed error
			waiting, failed = n.promote(ctx, id, address)
			return failed
		})
		if err != nil || waiting == "" {
			return err
		}
		if !n.pauseWith(ctx, joinPoll) {
			return fmt.Errorf("%s: %w", waiting, cmp.Or(ctx.Err(), errStopped))
		}
	}
}

// changing calls a function that changes the configuration, while no other one runs.
func (n *Node) changing(ctx context.Context, change func() error) error {
	select {
	case n.changeLock <- struct{}{}:
		defer func() { <-n.changeLock }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another change of the configuration: %w", ctx.Err())
	}
	return change()
}

// addWithoutVote adds a member that is not in the configuration.
func (n *Node) addWithoutVote(ctx context.Context, id raft.ServerID, address raft.ServerAddress) error {
	if _, known := find(n.servers(), id); known {
		return nil
	}
	n.logger.Info("adding a member without a vote", "member", id)
	return n.change(ctx, func() raft.IndexFuture { return n.raft.AddNonvoter(id, address, 0, transportTimeout) })
}

// promote gives a member its vote, after it has removed the lost id of its name, and
// with it one more if the number of voters would become even; see AddMember. It
// returns what the member has to wait for; empty when it has its vote.
func (n *Node) promote(ctx context.Context, id raft.ServerID, address raft.ServerAddress) (string, error) {
	current, known := find(n.servers(), id)
	switch {
	case !known:
		return "", errors.New("it was removed meanwhile")
	case !n.masters.lists(nameOf(string(id))):
		return "", errNotListed
	case current.Suffrage == raft.Voter && current.Address == address:
		return "", nil
	case !n.caughtUp(id):
		return "it has to catch up", nil
	}
	if err := n.removeLost(ctx, id); err != nil {
		return "", err
	}
	promoted := []raft.Server{{ID: id, Address: address}}
	if current.Suffrage != raft.Voter {
		partner, needed := n.partner(id)
		switch {
		case needed && partner.ID == "":
			return awaitsPartner, nil
		case needed:
			promoted = append(promoted, partner)
		}
	}
	for _, p := range promoted {
		n.logger.Info("promoting a member to voter", "member", p.ID)
		if err := n.change(ctx, func() raft.IndexFuture { return n.raft.AddVoter(p.ID, p.Address, 0, transportTimeout) }); err != nil {
			return "", err
		}
	}
	return "", nil
}

// awaitsPartner is why a member that has caught up has no vote yet.
const awaitsPartner = "it gets its vote together with another new master, because an even number of voters tolerates no more failures"

// partner returns the member that is promoted together with another one, and whether
// there has to be one. The id is empty while none is ready.
func (n *Node) partner(of raft.ServerID) (partner raft.Server, needed bool) {
	servers := n.servers()
	if !n.fsm.used.Load() || countVoters(servers)%2 == 0 {
		return raft.Server{}, false
	}
	for _, m := range n.Topology().Masters {
		if m.Name == nameOf(string(of)) || n.votes(m.Name) {
			continue
		}
		needed = true
		for _, s := range servers {
			if nameOf(string(s.ID)) == m.Name && n.health.stable(s.ID, n.config.Stabilization) && n.caughtUp(s.ID) {
				return s, true
			}
		}
	}
	return raft.Server{}, needed
}

// votes reports whether a member of a name is a voter.
func (n *Node) votes(name string) bool {
	return slices.ContainsFunc(n.servers(), func(s raft.Server) bool {
		return s.Suffrage == raft.Voter && nameOf(string(s.ID)) == name
	})
}

// change blocks until a change of the configuration is committed.
func (n *Node) change(ctx context.Context, request func() raft.IndexFuture) error {
	err := n.await(ctx, func() raft.Future { return request() })
	if err != nil && refused(err) {
		return n.notLeader()
	}
	return err
}

// awaitStable blocks until a member has nearly all of the log, and, in a cluster in
// use, has had it for the time of stabilization.
func (n *Node) awaitStable(ctx context.Context, id raft.ServerID) error {
	for {
		if n.caughtUp(id) && (!n.fsm.used.Load() || n.health.stable(id, n.config.Stabilization)) {
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
		if err := n.change(ctx, func() raft.IndexFuture { return n.raft.RemoveServer(lost.ID, 0, transportTimeout) }); err != nil {
			return err
		}
	}
	return nil
}

// mayRemove returns an error when a member must stay, because too few of the
// other voters are alive and caught up.
func (n *Node) mayRemove(lost raft.ServerID) error { return n.mayRemoveIf(lost, n.caughtUp) }

// mayRemoveIf is mayRemove with another function that says whether a member is alive
// and caught up.
func (n *Node) mayRemoveIf(lost raft.ServerID, caughtUp func(raft.ServerID) bool) error {
	voters, sound := 0, 0
	for _, s := range n.servers() {
		if s.ID == lost || s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if caughtUp(s.ID) {
			sound++
		}
	}
	if sound < voters/2+1 {
		return fmt.Errorf("cannot remove %s now: only %d of the other %d voters are alive and caught up", lost, sound, voters)
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
