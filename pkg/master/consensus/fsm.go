package consensus

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// machine puts a StateMachine under the library. All methods but the reading
// of applied and configuration are called from one goroutine.
type fsm struct {
	state StateMachine
	// fail ends the process.
	fail func(error)
	// applied is the index of the last entry that the state machine has seen
	// the end of. The library's own index says what was sent to it, which is
	// no use to a read.
	applied watermark
	// configuration is the index of the newest committed configuration.
	configuration atomic.Uint64
	// used is set once the state machine has seen a command.
	used atomic.Bool
}

var _ raft.BatchingFSM = (*fsm)(nil)

// ApplyBatch implements raft.BatchingFSM.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	results := make([]any, len(logs))
	for i, l := range logs {
		results[i] = f.apply(l)
	}
	if len(logs) > 0 {
		f.applied.advance(logs[len(logs)-1].Index)
	}
	return results
}

// Apply implements raft.FSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

func (f *fsm) apply(l *raft.Log) any {
	if err := verify(l); err != nil {
		f.fail(fmt.Errorf("applying the log: %w", err))
		runtime.Goexit()
	}
	switch {
	case l.Type == raft.LogConfiguration:
		f.configuration.Store(l.Index)
		return nil
	case len(l.Data) == 0:
		// A barrier: see Node.takeOffice. The library's own kind is not shown
		// to state machines, so that nobody could tell when it was applied.
		return l.Term
	default:
		f.used.Store(true)
		return f.state.Apply(l.Index, l.Data)
	}
}

// Snapshot implements raft.FSM.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	return &fsmSnapshot{
		header: envelopeHeader{index: f.applied.get(), configuration: f.configuration.Load()},
		state:  f.state.Snapshot(),
	}, nil
}

// Restore implements raft.FSM.
func (f *fsm) Restore(from io.ReadCloser) error {
	envelope, err := openEnvelope(from)
	if err != nil {
		return err
	}
	if err := f.state.Restore(envelope); err != nil {
		return fmt.Errorf("restoring the state: %w", err)
	}
	// A state machine that stopped reading early has not seen the checksum.
	if err := envelope.finish(); err != nil {
		f.fail(fmt.Errorf("a damaged snapshot was restored: %w", err))
		runtime.Goexit()
	}
	f.used.Store(true)
	f.configuration.Store(envelope.header.configuration)
	f.applied.advance(envelope.header.index)
	return nil
}

// frozen is a snapshot on its way to disk.
type fsmSnapshot struct {
	header envelopeHeader
	state  Snapshot
}

var _ raft.FSMSnapshot = (*fsmSnapshot)(nil)

// Persist implements raft.FSMSnapshot.
func (f *fsmSnapshot) Persist(sink raft.SnapshotSink) error {
	if err := writeEnvelope(sink, f.header, f.state); err != nil {
		_ = sink.Cancel()
		return err
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("finishing the snapshot: %w", err)
	}
	return nil
}

// Release implements raft.FSMSnapshot.
func (f *fsmSnapshot) Release() { f.state.Release() }

// watermark is an index that only grows, and can be waited for. The zero value
// is at 0.
type watermark struct {
	mu      sync.Mutex
	index   uint64
	changed broadcast
}

func (w *watermark) get() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.index
}

func (w *watermark) advance(to uint64) {
	w.mu.Lock()
	w.index = max(w.index, to)
	w.mu.Unlock()
	w.changed.send()
}

// wait returns when the index has been reached, ctx ends or stopped is closed.
func (w *watermark) wait(ctx context.Context, index uint64, stopped <-chan struct{}) error {
	for {
		changed := w.changed.wait()
		if w.get() >= index {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for index %d to be applied: %w", index, ctx.Err())
		case <-stopped:
			return errStopped
		}
	}
}
