package consensus

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// NotLeaderError reports that this member is not the leader, or is not ready to
// serve as one. Nothing was executed.
type NotLeaderError struct {
	// Leader is the name of the current leader as far as this member knows;
	// empty when unknown.
	Leader string
	Term   uint64
	// Address is the host:port of the leader for gRPC; empty when unknown.
	Address string
}

func (e *NotLeaderError) Error() string {
	if e.Leader == "" {
		return fmt.Sprintf("this master is not the leader, and the leader of term %d is unknown", e.Term)
	}
	return fmt.Sprintf("this master is not the leader: %s is, in term %d", e.Leader, e.Term)
}

// ErrUnknownOutcome reports that a command may or may not have been executed,
// now or later. It may be retried only under the same request id.
var ErrUnknownOutcome = errors.New("unknown outcome: the command may have been executed")

// ErrNewerFormat is wrapped by the error of a StateMachine for a command or a
// snapshot that a newer version of the program wrote.
var ErrNewerFormat = errors.New("written by a newer version: upgrade this master")

// ErrTooLarge reports that a command has more than MaxCommand bytes. Nothing was
// executed.
var ErrTooLarge = errors.New("the command is too large")

// errStopped reports that this member is shut down, or has failed.
var errStopped = errors.New("this master is stopped")

// refused reports whether an error of the Raft library means that nothing was
// executed.
func refused(err error) bool {
	return errors.Is(err, raft.ErrNotLeader) ||
		errors.Is(err, raft.ErrLeadershipTransferInProgress) ||
		errors.Is(err, raft.ErrEnqueueTimeout)
}

// proposalError converts the library's error for a proposal. It may block: see
// elsewhere.
func (n *Node) proposalError(ctx context.Context, err error) error {
	if refused(err) {
		return n.elsewhere(ctx)
	}
	if errors.Is(err, ErrDiskFull) {
		return err // it was not written, and is in no log
	}
	return fmt.Errorf("%w (%w)", ErrUnknownOutcome, err)
}

func (n *Node) notLeader() error {
	leader, term := n.Leader()
	if leader == "" && n.closing.Load() {
		// The library, which is shut down, does not know it any more.
		if _, last := n.leaders.get(); last != n.config.Name {
			leader = last
		}
	}
	at := ""
	if m, known := n.masters.find(leader); known {
		at = m.Address()
	}
	return &NotLeaderError{Leader: leader, Term: term, Address: at}
}
