package consensus

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// placePause is how often a voter looks after its place in the cluster.
const maintainInterval = time.Second

// keepPlace notices when this member was replaced while it was away, and when
// it is reached elsewhere than the configuration says. It returns when ctx
// ends or the node stops.
func (n *Node) maintainMembership(ctx context.Context) {
	led := time.Now()
	for n.pauseWith(ctx, maintainInterval) {
		if leader, _ := n.Leader(); leader != "" {
			led = time.Now()
			n.maintainAddress(ctx)
			continue
		}
		if time.Since(led) < 5*n.config.Election {
			continue
		}
		// The members that still have a vote refuse this one's candidacy
		// without a word about why.
		if err := n.join(ctx); err != nil {
			n.logger.Info("this master knows of no leader", "error", err)
		}
		led = time.Now()
	}
}

// keepAddress puts the roster's address of this member into the configuration.
func (n *Node) maintainAddress(ctx context.Context) {
	self, known := find(n.servers(), n.id)
	if !known || self.Address == n.stream.address {
		return
	}
	var err error
	if n.raft.State() == raft.Leader {
		err = n.change(ctx, n.raft.AddVoter(n.id, n.stream.address, 0, transportTimeout))
	} else {
		err = n.join(ctx)
	}
	if err != nil {
		n.logger.Warn("telling the others this master's new address", "error", err)
	}
}

// retire ends a member that was replaced: its id must not be used again. The
// next start sets its directory aside and joins as a new member.
func (n *Node) retire() error {
	err := fmt.Errorf("member %s was replaced while it was away: when it starts again, its directory is set aside and it joins as a new member", n.id)
	if failed := atomicfile.Write(n.dir.retired(), []byte(err.Error()+"\n"), 0o600); failed != nil {
		return failed
	}
	n.fail(err)
	return err
}
