package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// transferTries is how often a transfer is attempted.
const transferTries = 3

// Transfer transfers leadership to the named member, or, when to is empty, to
// the one that is most caught up, and returns the name of the member that is
// the leader then. On members other than the leader it returns NotLeaderError.
func (n *Node) Transfer(ctx context.Context, to string) (string, error) {
	if n.raft.State() != raft.Leader {
		return "", n.notLeader()
	}
	if to == n.config.Name {
		return to, nil
	}
	return n.transfer(ctx, to)
}

func (n *Node) transfer(ctx context.Context, to string) (string, error) {
	// The library accepts no commands meanwhile: see elsewhere.
	n.leaders.update(func() string { return "" })
	defer n.leaders.update(n.leaderName)
	var failed error
	for range transferTries {
		successor, err := n.successor(to)
		if err != nil {
			// Right after an election no peer has responded yet.
			failed = err
			if ctx.Err() != nil || !n.pause(n.config.Heartbeat/4) {
				break
			}
			continue
		}
		err = n.transferTo(ctx, successor)
		if err == nil {
			return n.awaitLeader(ctx)
		}
		failed = fmt.Errorf("transfer leadership to %s: %w", nameOf(string(successor.ID)), err)
		if n.raft.State() != raft.Leader {
			return n.awaitLeader(ctx)
		}
		if ctx.Err() != nil || !n.pause(5*commitTimeout) {
			break
		}
	}
	return "", failed
}

// transferTo transfers leadership to a member that accepts entries.
//
// While the library transfers, it accepts no commands, and it ends the transfer
// only once the goroutine that replicates to the successor has noticed. That
// goroutine must not be kept in a request to a member that only responds to
// heartbeats: this member would accept no command again, not even in a later
// term. See transport.yield.
func (n *Node) transferTo(ctx context.Context, successor raft.Server) error {
	if err := n.awaitReplicated(ctx, successor.ID); err != nil {
		return err
	}
	defer n.transport.yield(successor.ID, n.raft.CurrentTerm())()
	// The library transfers leadership, or gives up, within the election
	// timeout, and needs some time after that.
	return n.await(ctx, func() raft.Future {
		return n.raft.LeadershipTransferToServer(successor.ID, successor.Address)
	})
}

// awaitReplicated blocks until a member has accepted the log up to its present
// end, for the election timeout at most.
func (n *Node) awaitReplicated(ctx context.Context, id raft.ServerID) error {
	last, limit := n.raft.LastIndex(), time.Now().Add(n.config.Election)
	for {
		acked := n.acks.changed.wait()
		c, _ := n.acks.contact(id)
		if c.term == n.raft.CurrentTerm() && c.match >= last {
			return nil
		}
		if n.raft.State() != raft.Leader {
			return n.notLeader()
		}
		if err := ctx.Err(); err != nil || time.Now().After(limit) || !n.pauseUntil(acked, commitTimeout) {
			return fmt.Errorf("it has accepted the log up to entry %d of %d: retry when it has caught up, or choose another master", c.match, last)
		}
	}
}

// successor chooses the member to transfer leadership to. The library would
// choose the one with the highest next index, which after an election is a
// guess and may be that of an unreachable member.
func (n *Node) successor(to string) (raft.Server, error) {
	var best raft.Server
	var most contact
	for _, server := range n.servers() {
		if server.ID == n.id || server.Suffrage != raft.Voter || to != "" && nameOf(string(server.ID)) != to {
			continue
		}
		c, ok := n.acks.contact(server.ID)
		if !ok || !n.fresh(c) {
			continue
		}
		if best.ID == "" || c.match > most.match {
			best, most = server, c
		}
	}
	if best.ID == "" {
		if to != "" {
			return raft.Server{}, fmt.Errorf("transfer leadership: %s is not a voter, or has not responded to this leader recently", to)
		}
		return raft.Server{}, errors.New("transfer leadership: no other voter has responded to this leader recently")
	}
	return best, nil
}

// fresh reports whether a contact is of this term and recent.
func (n *Node) fresh(c contact) bool {
	return c.term == n.raft.CurrentTerm() && time.Since(c.at) < 2*n.config.Heartbeat
}

// await makes a request to the library, and blocks until it completes, ctx is done or
// the node stops. Shutdown waits for requests while the library still completes them.
func (n *Node) await(ctx context.Context, request func() raft.Future) error {
	if !n.pending.begin() {
		return errStopped
	}
	done := make(chan error, 1)
	go func() {
		defer n.pending.end()
		done <- request().Error()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-n.stopped:
		return errStopped
	}
}

// awaitLeader blocks until another member is known to be the leader.
func (n *Node) awaitLeader(ctx context.Context) (string, error) {
	limit := time.Now().Add(4 * n.config.Election)
	for {
		changed := n.leaders.changed.wait()
		if name, _ := n.Leader(); name != "" && name != n.config.Name {
			return name, nil
		}
		if n.raft.State() == raft.Leader {
			return "", errors.New("transfer leadership: this member was elected again")
		}
		if err := ctx.Err(); err != nil || time.Now().After(limit) || !n.pauseUntil(changed, commitTimeout) {
			return "", errors.New("leadership was given up, but no other member is known to be the leader yet")
		}
	}
}
