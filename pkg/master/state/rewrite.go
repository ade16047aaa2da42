package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Rewrite returns another state, made of this one: edit is called with a copy of the
// metadata and of each row, which it may modify, and reports whether the row is kept; the
// metadata always is. Rows must have the keys of their tables afterwards, and no two of a
// table the same. The receiver is not changed.
func (m *Machine) Rewrite(edit func(row proto.Message) (keep bool)) (*Machine, error) {
	to, err := m.rewrite(edit)
	if err != nil {
		return nil, fmt.Errorf("rewrite state: %w", err)
	}
	return to, nil
}

func (m *Machine) rewrite(edit func(row proto.Message) bool) (*Machine, error) {
	from := m.db.Load().Txn(false)
	h, err := headOf(from)
	if err != nil {
		return nil, err
	}
	to, err := New(m.fatal)
	if err != nil {
		return nil, err
	}
	meta := clone(h.meta)
	edit(meta)
	view := meta.GetViewIndex()
	t := newTx(to.db.Load().Txn(true), meta.GetIndex(), meta, 0, map[string]int{})
	defer t.txn.Abort()
	for _, table := range dataTables() {
		rows, err := from.Get(table, indexID)
		if err != nil {
			return nil, err
		}
		for raw := rows.Next(); raw != nil; raw = rows.Next() {
			row, ok := raw.(proto.Message)
			if !ok {
				return nil, fmt.Errorf("table %s has a row of type %T", table, raw)
			}
			row = clone(row)
			if !edit(row) {
				continue
			}
			record, err := recordOf(row)
			if err == nil {
				err = t.load(record)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	t.meta.ViewIndex = view
	digest, err := t.commit()
	if err != nil {
		return nil, err
	}
	to.digests.reset(digest)
	return to, nil
}
