package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// Propose replicates a command and answers what Apply returned for it here,
// with its index, once a majority has it on disk. NotLeaderError means that
// nothing was executed, ErrUnknownOutcome that it may have been, or may be
// later. The command must not be changed afterwards. Safe for concurrent use.
func (n *Node) Propose(ctx context.Context, command []byte) (any, uint64, error) {
	if len(command) == 0 {
		return nil, 0, errors.New("proposing: the command is empty")
	}
	if n.closing.Load() {
		return nil, 0, n.notLeader()
	}
	if _, err := n.awaitReady(ctx); err != nil {
		n.metrics.proposed(err)
		return nil, 0, err
	}
	result, index, err := n.commit(ctx, command)
	if err != nil {
		err = n.proposalError(err)
	}
	n.metrics.proposed(err)
	return result, index, err
}

type outcome struct {
	result any
	index  uint64
	err    error
}

// commit sends one entry through the log; a nil command is a barrier. Its
// errors are the library's, or tell that ctx ended or the node stopped.
func (n *Node) commit(ctx context.Context, command []byte) (any, uint64, error) {
	// The library's future cannot be waited for together with anything else.
	// Shutdown waits for these goroutines while the library still answers.
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
		return nil, 0, fmt.Errorf("waiting for the commit: %w", ctx.Err())
	case <-n.stopped:
		return nil, 0, errStopped
	}
}

// inflight counts what was begun and has not ended.
type inflight struct {
	mu     sync.Mutex
	count  int
	closed bool
	// none is closed when nothing is left after close.
	none chan struct{}
}

// begin answers false after close.
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

// close lets nothing begin any more. The result is closed when all has ended.
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
