package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// Propose replicates a command. Once a majority has it on disk and it is
// applied here, it returns the result of Apply and the index of the entry.
// NotLeaderError means that nothing was executed, ErrUnknownOutcome that the
// command may have been executed, or may be later. The caller must not modify
// command afterwards. Propose is safe for concurrent use.
func (n *Node) Propose(ctx context.Context, command []byte) (any, uint64, error) {
	return n.ProposeNotify(ctx, command, func() {})
}

// ProposeNotify is Propose, and calls appended once: when the command is in the
// log of this member, which is before it is committed, or when the call ends. A
// proposer that waits for it merges everything that arrives during one append into
// the next. appended must not block.
func (n *Node) ProposeNotify(ctx context.Context, command []byte, appended func()) (any, uint64, error) {
	if len(command) == 0 {
		appended()
		return nil, 0, errors.New("propose: command is empty")
	}
	defer n.appends.watch(command, appended)()
	if len(command) > MaxCommand {
		return nil, 0, fmt.Errorf("propose: %w: it has %d bytes, at most %d are allowed", ErrTooLarge, len(command), MaxCommand)
	}
	if n.refusing.Load() {
		return nil, 0, n.notLeader()
	}
	result, index, err := n.propose(ctx, command)
	if halted, ok := result.(error); ok && errors.Is(halted, ErrNewerFormat) {
		result, err = nil, fmt.Errorf("%w (%w)", ErrUnknownOutcome, halted)
	}
	n.metrics.proposed(err)
	return result, index, err
}

// propose commits a command once this member serves as leader. After a transfer of
// leadership that failed, during which commands are refused, it tries again.
func (n *Node) propose(ctx context.Context, command []byte) (any, uint64, error) {
	for {
		if _, err := n.awaitReady(ctx); err != nil {
			return nil, 0, err
		}
		if err := n.checkWritable(len(command)); err != nil {
			return nil, 0, err
		}
		n.awaitNewcomers(ctx)
		result, index, err := n.commit(ctx, command)
		if err == nil {
			return result, index, nil
		}
		transferring := errors.Is(err, raft.ErrLeadershipTransferInProgress)
		err = n.proposalError(ctx, err)
		if !transferring || n.readyTerm() == 0 || n.refusing.Load() || ctx.Err() != nil || !n.pause(commitTimeout) {
			return nil, 0, err
		}
	}
}

type outcome struct {
	result any
	index  uint64
	err    error
}

// commit commits one entry; a nil command is a barrier. Its errors are the
// library's, or report that ctx is done or the node stopped.
func (n *Node) commit(ctx context.Context, command []byte) (any, uint64, error) {
	// The library's future cannot be part of a select. Shutdown waits for these
	// goroutines while the library still completes futures.
	done := make(chan outcome, 1)
	if !n.pending.begin() {
		return nil, 0, raft.ErrNotLeader
	}
	go func() {
		defer n.pending.end()
		future := n.raft.ApplyLog(raft.Log{Data: command}, transportTimeout)
		if mutantAckEarly && command != nil {
			done <- outcome{index: n.raft.LastIndex()}
			return
		}
		if err := future.Error(); err != nil {
			done <- outcome{err: err}
			return
		}
		done <- outcome{result: future.Response(), index: future.Index()}
	}()
	select {
	case o := <-done:
		return o.result, o.index, o.err
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("wait for the commit: %w", ctx.Err())
	case <-n.stopped:
		return nil, 0, errStopped
	}
}

// inflight counts operations that have begun and not ended.
type inflight struct {
	mu     sync.Mutex
	count  int
	closed bool
	// none is closed when no operation is left after close.
	none chan struct{}
}

// begin returns false after close.
func (f *inflight) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.count++
	return true
}

func (f *inflight) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count--
	if f.closed && f.count == 0 {
		close(f.none)
	}
}

// close prevents further operations. The channel that it returns is closed when
// all have ended.
func (f *inflight) close() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		f.none = make(chan struct{})
		if f.count == 0 {
			close(f.none)
		}
	}
	return f.none
}
