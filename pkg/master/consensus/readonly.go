package consensus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/raft"
)

// openSpace begins to observe the space on this member's disk, before anything
// is written to it.
func (n *Node) openSpace() {
	n.space = newSpace(n.config.DataDir, n.logger)
	if n.config.hooks.measure != nil {
		n.space.measure = n.config.hooks.measure
	}
	// Where the directory cannot be created, the member reports that next.
	_ = os.MkdirAll(n.config.DataDir, 0o700)
	n.space.open()
}

// observeLog makes the space account for the next snapshot: it may be as large as
// the last one and all that was appended since.
func (n *Node) observeLog() {
	n.space.needed = func() uint64 {
		return uint64(max(n.snapshots.meta().Size+n.store.unsnapshotted.Load(), 0))
	}
}

// watchSpace measures the space until the node stops. A leader whose disk is
// full hands leadership over if another member has space, and takes a snapshot
// otherwise, which makes room in the log.
func (n *Node) watchSpace() {
	var tried bool
	for n.pause(spaceInterval) {
		n.space.update()
		// Where it fails, the next command is refused.
		_ = n.room.ensure(nil)
		n.unwritable.Store(n.findUnwritable())
		if n.space.reason() == "" {
			tried = false
			continue
		}
		if !tried {
			tried = true
			if err := n.snapshot(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
				n.logger.Warn("cannot take a snapshot", "error", err)
			}
		}
		if n.readyTerm() != 0 {
			n.yield(n.running)
		}
	}
}

// yield hands leadership to a member that is not read-only, if there is one.
func (n *Node) yield(ctx context.Context) {
	for _, server := range n.servers() {
		c, ok := n.acks.contact(server.ID)
		if server.ID == n.id || server.Suffrage != raft.Voter || !ok || !n.fresh(c) {
			continue
		}
		if r, known := n.memory.of(server.ID); !known || r.Full {
			continue
		}
		if name, err := n.transfer(ctx, nameOf(string(server.ID))); err == nil {
			n.logger.Info("leadership transferred, because the disk of this master is full", "leader", name)
			return
		}
	}
}

// findUnwritable returns why commands are refused; nil when they are not. They
// are if this member has no space, or if too few of the others would have it for
// a majority.
func (n *Node) findUnwritable() *string {
	if reason := n.space.reason(); reason != "" {
		return &reason
	}
	var full []string
	voters := 0
	for _, server := range n.servers() {
		if server.Suffrage != raft.Voter {
			continue
		}
		voters++
		if r, _ := n.memory.of(server.ID); server.ID != n.id && r.Full {
			full = append(full, nameOf(string(server.ID)))
		}
	}
	if len(full) == 0 || voters-len(full) >= voters/2+1 {
		return nil
	}
	reason := fmt.Sprintf("the disks of %s are full: free some space on them, or enlarge the volumes", strings.Join(full, ", "))
	return &reason
}

// checkWritable returns ErrDiskFull while commands are refused, and for one that
// would leave too little space.
func (n *Node) checkWritable(size int) error {
	if reason := n.unwritable.Load(); reason != nil {
		return fmt.Errorf("%w: %s", ErrDiskFull, *reason)
	}
	if n.space.room(size) {
		return nil
	}
	n.space.update()
	return fmt.Errorf("%w: %s", ErrDiskFull, cmp.Or(n.space.reason(), "a command of this size would fill the disk of this master"))
}
