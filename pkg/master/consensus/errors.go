package consensus

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// NotLeaderError says that this member does not lead, or cannot serve as the
// leader: nothing was executed.
type NotLeaderError struct {
	// Leader is the name of the member believed to lead; empty when unknown.
	Leader string
	Term   uint64
}

func (e *NotLeaderError) Error() string {
	if e.Leader == "" {
		return fmt.Sprintf("this master does not lead, and knows of no leader in term %d", e.Term)
	}
	return fmt.Sprintf("this master does not lead: %s does in term %d", e.Leader, e.Term)
}

// ErrUnknownOutcome says that a command may or may not have been executed, now
// or later. It may be retried only under the same request id.
var ErrUnknownOutcome = errors.New("the outcome is unknown: the command may have been executed")

// errStopped says that this member is shut down, or has failed.
var errStopped = errors.New("this master has stopped")

// refused tells whether raft's error means that nothing was executed.
func refused(err error) bool {
	return errors.Is(err, raft.ErrNotLeader) ||
		errors.Is(err, raft.ErrLeadershipTransferInProgress) ||
		errors.Is(err, raft.ErrEnqueueTimeout)
}

// proposalError translates raft's answer to a proposal.
func (n *Node) proposalError(err error) error {
	if refused(err) {
		return n.notLeader()
	}
	return fmt.Errorf("%w (%w)", ErrUnknownOutcome, err)
}

func (n *Node) notLeader() error {
	leader, term := n.Leader()
	return &NotLeaderError{Leader: leader, Term: term}
}
