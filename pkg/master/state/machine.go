package state

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hashicorp/go-memdb"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// Machine is the state of one member. Apply and Restore must be called from one
// goroutine, that of the log. All other methods are safe for concurrent use,
// and see the state as it was after one entry.
type Machine struct {
	fatal  func(error)
	db     atomic.Pointer[memdb.MemDB]
	failed atomic.Pointer[error]

	digests history
}

// New returns the state before the first entry. fatal is called at most once,
// when this member must not continue. It should end the process; if it returns,
// every later entry is refused with the same error. It is not called for an
// entry of a newer version, because the next start would meet it again: Apply
// then returns an error that wraps ErrUnknown, for this entry and all later
// ones, and the state remains as it was before.
func New(fatal func(error)) (*Machine, error) {
	db, err := newDB()
	if err != nil {
		return nil, err
	}
	m := &Machine{fatal: fatal}
	m.db.Store(db)
	return m, nil
}

// Apply executes the entry at an index. It is a pure function of the state,
// index and entry. It returns a []*statev1.Result, with one result for each
// command, or an error when this member must not continue. A command with a
// request id that was executed before returns its stored result and changes
// nothing. Results are shared with the state and must not be modified.
func (m *Machine) Apply(index uint64, entry []byte) any {
	if failed := m.failed.Load(); failed != nil {
		return *failed
	}
	results, err := m.apply(index, entry)
	if err != nil {
		err = fmt.Errorf("apply entry %d: %w", index, err)
		m.failed.Store(&err)
		if !errors.Is(err, ErrUnknown) {
			m.fatal(err)
		}
		return err
	}
	return results
}

func (m *Machine) apply(index uint64, entry []byte) ([]*statev1.Result, error) {
	batch, err := DecodeBatch(entry)
	if err != nil {
		return nil, err
	}
	t, err := begin(m.db.Load(), index)
	if err != nil {
		return nil, err
	}
	t.format = batch.GetVersion()
	defer t.txn.Abort()
	results := make([]*statev1.Result, len(batch.GetCommands()))
	for i, command := range batch.GetCommands() {
		results[i] = t.execute(command)
	}
	digest, err := t.commit()
	if err != nil {
		return nil, err
	}
	m.digests.add(digest)
	return results, nil
}

// Digests returns the digests after the last entries, newest first, at most n;
// n <= 0 means all that are kept.
func (m *Machine) Digests(n int) []Digest { return m.digests.newest(n) }

// Failed returns why this member must not continue; nil while it may.
func (m *Machine) Failed() error {
	if failed := m.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}
