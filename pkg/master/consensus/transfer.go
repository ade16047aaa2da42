package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// transferTries is how often another member is asked to take over.
const transferTries = 3

// Transfer hands leadership to the member named, or, when to is empty, to the
// one that is most caught up, and returns the name of the member that leads
// then. Only the leader can: others answer NotLeaderError.
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
	var failed error
	for range transferTries {
		successor, err := n.successor(to)
		if err != nil {
			// Right after an election nobody has been heard from.
			failed = err
			if ctx.Err() != nil || !n.pause(n.config.Heartbeat/4) {
				break
			}
			continue
		}
		// The library moves leadership, or gives up, within the election
		// timeout, and then still has to wind up.
		err = n.await(ctx, n.raft.LeadershipTransferToServer(successor.ID, successor.Address))
		if err == nil {
			return n.awaitLeader(ctx)
		}
		failed = fmt.Errorf("handing leadership to %s: %w", nameOf(string(successor.ID)), err)
		if n.raft.State() != raft.Leader {
			return n.awaitLeader(ctx)
		}
		if ctx.Err() != nil || !n.pause(5*commitTimeout) {
			break
		}
	}
	return "", failed
}

// heir picks who is to lead. The library would pick the one with the highest
// next index, which after an election is a guess that favours the dead.
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
			return raft.Server{}, fmt.Errorf("handing leadership over: %s is no voter that this leader has heard from lately", to)
		}
		return raft.Server{}, errors.New("handing leadership over: this leader has heard from no other voter lately")
	}
	return best, nil
}

// fresh tells whether a contact is of this term and recent.
func (n *Node) fresh(c contact) bool {
	return c.term == n.raft.CurrentTerm() && time.Since(c.at) < 2*n.config.Heartbeat
}

// await waits for a future of the library.
func (n *Node) await(ctx context.Context, future raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- future.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-n.stopped:
		return errStopped
	}
}

// awaitLeader waits until another member is known to lead.
func (n *Node) awaitLeader(ctx context.Context) (string, error) {
	limit := time.Now().Add(4 * n.config.Election)
	for {
		if name, _ := n.Leader(); name != "" && name != n.config.Name {
			return name, nil
		}
		if n.raft.State() == raft.Leader {
			return "", errors.New("handing leadership over: this member was elected again")
		}
		if err := ctx.Err(); err != nil || time.Now().After(limit) || !n.pause(commitTimeout) {
			return "", errors.New("leadership was given up, and no other member is known to lead yet")
		}
	}
}
