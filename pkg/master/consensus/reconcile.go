package consensus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// reconcileTimeout bounds one attempt to bring the members to the topology.
	reconcileTimeout = 10 * time.Second
)

// reconcile observes the members while this one leads, and removes those that the
// topology does not list. Those that it lists and that are no members request to
// join by themselves; see AddMember.
func (n *Node) reconcile() {
	for {
		changed := n.masters.changed.wait()
		if !n.pauseUntil(changed, n.config.Heartbeat/2) {
			return
		}
		term := n.readyTerm()
		if term == 0 {
			n.obstacle.Store(nil)
			n.newcomers.observe(0, nil, time.Now())
			continue
		}
		n.health.observe(term, n.servers(), n.caughtUp, time.Now())
		n.observeNewcomers(term)
		ctx, cancel := context.WithTimeout(n.running, reconcileTimeout)
		n.reportObstacle(n.removeUnlisted(ctx))
		cancel()
	}
}

// reportObstacle records what keeps the leader from removing members, and logs it
// when it changes.
func (n *Node) reportObstacle(err error) {
	if err == nil || errors.Is(err, errStopped) {
		n.obstacle.Store(nil)
		return
	}
	text := err.Error()
	if last := n.obstacle.Load(); last == nil || *last != text {
		n.logger.Warn("cannot bring the members to the masters of the topology yet", "reason", text)
	}
	n.obstacle.Store(&text)
}

// removeUnlisted removes the members that the topology does not list, one at a time
// and none whose removal would leave fewer than a majority of live, caught-up
// voters. If this member is one of them, it hands leadership over to the first
// master of the topology that can lead, which then continues.
//
// When it returns nil, the removed members may be stopped: no majority needs them. From
// three voters to one, the group has two for the time of one change, and stops if the
// other one fails just then, until it is back.
func (n *Node) removeUnlisted(ctx context.Context) error {
	if len(n.unlisted(n.caughtUp)) == 0 {
		return nil
	}
	if !n.masters.lists(n.config.Name) {
		return n.handOverToListed(ctx)
	}
	return n.changing(ctx, func() error {
		sound := n.confirmSound(ctx)
		for _, s := range n.unlisted(sound) {
			if err := n.mayRemoveIf(s.ID, sound); err != nil {
				return err
			}
			n.logger.Info("removing a member that the topology does not list", "member", s.ID)
			if err := n.change(ctx, func() raft.IndexFuture { return n.raft.RemoveServer(s.ID, 0, transportTimeout) }); err != nil {
				return fmt.Errorf("remove %s: %w", s.ID, err)
			}
		}
		return nil
	})
}

// confirmSound waits, for two heartbeats at most, until the members have responded to
// a request that was sent after the call, and returns whether one has and is caught
// up. A contact that is only recent may be that of a member that has just failed.
func (n *Node) confirmSound(ctx context.Context) (sound func(raft.ServerID) bool) {
	sequence, term := n.acks.begin(), n.raft.CurrentTerm()
	sound = func(id raft.ServerID) bool {
		c, _ := n.acks.contact(id)
		return id == n.id || c.term == term && c.stamp >= sequence && n.caughtUp(id)
	}
	n.triggerHeartbeats()
	for limit := time.Now().Add(2 * n.config.Heartbeat); time.Now().Before(limit) && ctx.Err() == nil; {
		acked := n.acks.changed.wait()
		if !slices.ContainsFunc(n.servers(), func(s raft.Server) bool { return !sound(s.ID) }) ||
			!n.pauseUntil(acked, time.Until(limit)) {
			break
		}
	}
	return sound
}

// unlisted returns the members that the topology does not list, in the order of
// their removal: those that are not sound first, because a majority must not depend
// on them, then the last by name.
func (n *Node) unlisted(sound func(raft.ServerID) bool) []raft.Server {
	var unlisted []raft.Server
	for _, s := range n.servers() {
		if !n.masters.lists(nameOf(string(s.ID))) {
			unlisted = append(unlisted, s)
		}
	}
	rank := func(s raft.Server) int {
		if sound(s.ID) {
			return 1
		}
		return 0
	}
	slices.SortFunc(unlisted, func(a, b raft.Server) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), -strings.Compare(string(a.ID), string(b.ID)))
	})
	return unlisted
}

// formerVoters returns, to be added to a reason for waiting, which voters the topology
// does not list any more: nothing goes on without a majority, and they are part of it
// until the leader has removed them. It is empty when there are none.
func (n *Node) formerVoters() string {
	var names []string
	for _, s := range n.servers() {
		if name := nameOf(string(s.ID)); s.Suffrage == raft.Voter && !n.masters.lists(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return fmt.Sprintf("; the topology does not list %s any more, but a majority of the %d voters is needed to remove a member: start the others until this master is alone",
		strings.Join(names, " and "), countVoters(n.servers()))
}

// handOverToListed transfers leadership to the first master of the topology that is
// a caught-up voter.
func (n *Node) handOverToListed(ctx context.Context) error {
	for _, m := range n.Topology().Masters {
		for _, s := range n.servers() {
			if nameOf(string(s.ID)) != m.Name || s.Suffrage != raft.Voter || !n.caughtUp(s.ID) {
				continue
			}
			n.logger.Info("the topology does not list this master: transferring leadership", "to", m.Name)
			_, err := n.transfer(ctx, m.Name)
			return err
		}
	}
	return fmt.Errorf("%s leads and is not a master of the topology any more, and none of those is a voter that is caught up", n.config.Name)
}

// errRemoved is the reason of a member that was removed and is not listed.
var errRemoved = errors.New("this master was removed from the cluster, because the topology does not list it: it may be stopped")

// leave ends the use of this member's id, because it was removed. A master that is
// listed joins as a new member when it is started again; one that is not stays idle
// until it is stopped.
func (n *Node) leave() error {
	if n.masters.lists(n.config.Name) {
		return n.retire("it was replaced or removed while it was unreachable or not listed")
	}
	if err := n.markRetired(errRemoved); err != nil {
		return err
	}
	return errRemoved
}
