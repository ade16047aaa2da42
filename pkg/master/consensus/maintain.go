package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// maintainInterval is how often a voter checks its membership.
const maintainInterval = time.Second

// maintainMembership detects that this member was removed, or replaced while it was
// unreachable, and updates its address in the configuration. It returns when this
// member has no vote any more, with whether it was removed, and, with running false,
// when ctx is done or the node stops.
func (n *Node) maintainMembership(ctx context.Context) (removed, running bool) {
	led := time.Now()
	for n.pauseWith(ctx, maintainInterval) {
		if !n.voter() {
			return false, true
		}
		if leader, _ := n.Leader(); leader != "" {
			led = time.Now()
			n.maintainAddress(ctx)
			continue
		}
		if time.Since(led) < 5*n.config.Election {
			continue
		}
		// Members with a vote reject the candidacy of a replaced member without
		// a reason. A join request returns one.
		err := n.join(ctx)
		if errors.Is(err, errRemoved) {
			return true, true
		}
		if err != nil {
			n.logger.Info("no leader is known", "error", err)
		}
		led = time.Now()
	}
	return false, false
}

// maintainAddress writes the topology's address of this member into the
// configuration.
func (n *Node) maintainAddress(ctx context.Context) {
	self, known := find(n.servers(), n.id)
	if !known || self.Address == n.stream.address {
		return
	}
	var err error
	if n.raft.State() == raft.Leader {
		err = n.change(ctx, func() raft.IndexFuture { return n.raft.AddVoter(n.id, n.stream.address, 0, transportTimeout) })
	} else {
		err = n.join(ctx)
	}
	if err != nil {
		n.logger.Warn("cannot update this master's address in the configuration", "error", err)
	}
}

// retire stops a member whose id must not be used again. The next start sets its
// directory aside and joins as a new member.
func (n *Node) retire(reason string) error {
	err := fmt.Errorf("member %s: %s: at its next start, its directory is set aside and it joins as a new member", n.id, reason)
	if failed := n.markRetired(err); failed != nil {
		return failed
	}
	n.fail(err)
	return err
}

// markRetired makes durable that this member's id must not be used by another
// process. It returns an error when the member has stopped: its directory may be that of
// another member then; see offline.
func (n *Node) markRetired(reason error) error {
	n.stopLock.Lock()
	defer n.stopLock.Unlock()
	if n.closing.Load() {
		return errStopped
	}
	if marked, err := exists(n.dir.retired()); err == nil && marked {
		return nil
	}
	return atomicfile.Write(n.dir.retired(), []byte(reason.Error()+"\n"), 0o600)
}
