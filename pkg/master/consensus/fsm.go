package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// fsm adapts a StateMachine to the Raft library. Its methods are called from
// one goroutine; only applied and configuration are read from others.
type fsm struct {
	state StateMachine
	// fail ends the process.
	fail func(error)
	// applied is the index of the last entry that the state machine has
	// finished to apply. The library's own applied index counts entries that
	// were only handed to it, and cannot serve a read.
	applied watermark
	// configuration is the index of the newest committed configuration.
	configuration atomic.Uint64
	// used is set once the state machine has executed a command.
	used atomic.Bool
	// halted is why the state machine applies nothing any more: an entry or a
	// snapshot of a newer version.
	halted atomic.Pointer[error]
	// halting is sent when it is set.
	halting broadcast
}

// halt ends the application of the log for the life of this process. The member
// continues to store entries and to vote for others, so that commands commit,
// but it neither leads nor takes a snapshot, and its state remains as it was
// before the entry. It does not exit, because it would meet the entry again.
func (f *fsm) halt(act string, err error) error {
	err = fmt.Errorf("%s: %w", act, err)
	f.halted.CompareAndSwap(nil, &err)
	f.halting.send()
	return err
}

// haltedBy returns why the state machine is halted; nil when it is not.
func (f *fsm) haltedBy() error {
	if err := f.halted.Load(); err != nil {
		return *err
	}
	return nil
}

var _ raft.BatchingFSM = (*fsm)(nil)

// ApplyBatch implements raft.BatchingFSM.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	results := make([]any, len(logs))
	last := uint64(0)
	for i, l := range logs {
		if halted := f.haltedBy(); halted != nil {
			results[i] = halted
			continue
		}
		results[i] = f.apply(l)
		if f.haltedBy() == nil {
			last = l.Index
		}
	}
	f.applied.advance(last)
	return results
}

// Apply implements raft.FSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

func (f *fsm) apply(l *raft.Log) any {
	if err := verify(l); err != nil {
		f.fail(fmt.Errorf("apply the log: %w", err))
		runtime.Goexit()
	}
	switch {
	case l.Type == raft.LogConfiguration:
		f.configuration.Store(l.Index)
		return nil
	case len(l.Data) == 0:
		// An empty entry is a barrier: see Node.establishLeadership. The
		// library does not show its own kind of barrier to state machines, so
		// that its application could not be observed.
		return l.Term
	default:
		f.used.Store(true)
		result := f.state.Apply(l.Index, l.Data)
		if err, ok := result.(error); ok && errors.Is(err, ErrNewerFormat) {
			return f.halt(fmt.Sprintf("apply entry %d", l.Index), err)
		}
		return result
	}
}

// Snapshot implements raft.FSM.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if halted := f.haltedBy(); halted != nil {
		return nil, halted
	}
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
	if err := f.state.Restore(envelope); errors.Is(err, ErrNewerFormat) {
		// The file is complete, and the member keeps it for its next version.
		_ = f.halt("restore a snapshot", err)
		return envelope.finish()
	} else if err != nil {
		return fmt.Errorf("restore the state: %w", err)
	}
	// A state machine that stopped reading early has not caused the checksum to
	// be verified.
	if err := envelope.finish(); err != nil {
		f.fail(fmt.Errorf("restore a snapshot: %w", err))
		runtime.Goexit()
	}
	f.used.Store(true)
	f.configuration.Store(envelope.header.configuration)
	f.applied.advance(envelope.header.index)
	return nil
}

// fsmSnapshot is a snapshot that is being written to disk.
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
		return fmt.Errorf("finish the snapshot: %w", err)
	}
	return nil
}

// Release implements raft.FSMSnapshot.
func (f *fsmSnapshot) Release() { f.state.Release() }

// watermark is an index that only grows and can be waited for. The zero value
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

// wait blocks until the index is reached, ctx is done or stopped is closed.
func (w *watermark) wait(ctx context.Context, index uint64, stopped <-chan struct{}) error {
	for {
		changed := w.changed.wait()
		if w.get() >= index {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for index %d to be applied: %w", index, ctx.Err())
		case <-stopped:
			return errStopped
		}
	}
}
