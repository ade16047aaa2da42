package state

import (
	"fmt"
	"sync/atomic"

	"github.com/hashicorp/go-memdb"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// FormatVersion of a cluster that this version forms.
const FormatVersion = 1

// Machine is the state of one member. Apply and Restore are for one goroutine,
// the log's; everything else may be called by many at any time, and sees the
// state as it was after one entry.
type Machine struct {
	fatal  func(error)
	db     atomic.Pointer[memdb.MemDB]
	failed atomic.Pointer[error]

	digests history
}

// New is the state before the first entry. fatal is called at most once, when
// this member must not go on: it should end the process, and when it returns
// every later entry is refused with the same error.
func New(fatal func(error)) (*Machine, error) {
	db, err := newDB()
	if err != nil {
		return nil, err
	}
	m := &Machine{fatal: fatal}
	m.db.Store(db)
	return m, nil
}

// Apply executes the entry at an index. The answer is []*statev1.Result, one
// for each command, or an error when this member cannot go on. Results are
// shared with the state: they must not be changed.
func (m *Machine) Apply(index uint64, entry []byte) any {
	if failed := m.failed.Load(); failed != nil {
		return *failed
	}
	results, err := m.apply(index, entry)
	if err != nil {
		err = fmt.Errorf("applying entry %d: %w", index, err)
		m.failed.Store(&err)
		m.fatal(err)
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

// Digests are those after the last entries, newest first, at most n; n <= 0
// means all that are remembered.
func (m *Machine) Digests(n int) []Digest { return m.digests.newest(n) }

// Failed is why this member cannot go on; nil while it can.
func (m *Machine) Failed() error {
	if failed := m.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}
