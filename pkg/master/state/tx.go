package state

import (
	"fmt"
	"maps"

	"github.com/hashicorp/go-memdb"
	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// tx executes the commands of one entry in one transaction. The first error of
// the tables, which only a bug in this package can cause, is kept and fails the
// whole entry.
type tx struct {
	txn   *memdb.Txn
	index uint64
	// format is the format of the entry.
	format uint32
	meta   *statev1.Meta
	// sum is that of the rows that were in the tables before the entry and were not
	// replaced or dropped by it. inserted holds the rows that it inserted and that
	// are still there, with their tables: a row that the next command of the entry
	// replaces is never hashed.
	sum      uint64
	inserted map[proto.Message]string
	rows     map[string]int
	err      error
}

func begin(db *memdb.MemDB, index uint64) (*tx, error) {
	txn := db.Txn(true)
	h, err := headOf(txn)
	if err == nil && index <= h.meta.GetIndex() {
		err = fmt.Errorf("entry %d was applied before", h.meta.GetIndex())
	}
	if err != nil {
		txn.Abort()
		return nil, err
	}
	return newTx(txn, index, clone(h.meta), h.sum, maps.Clone(h.rows)), nil
}

// newTx returns a transaction that owns meta and rows.
func newTx(txn *memdb.Txn, index uint64, meta *statev1.Meta, sum uint64, rows map[string]int) *tx {
	return &tx{txn: txn, index: index, meta: meta, sum: sum, rows: rows, inserted: map[proto.Message]string{}}
}

func (t *tx) commit() (Digest, error) {
	t.meta.Index = t.index
	for row, table := range t.inserted {
		t.sum += hashRow(table, row)
	}
	h := &head{meta: t.meta, sum: t.sum, rows: t.rows}
	if t.err == nil {
		t.err = t.txn.Insert(tableHead, h)
	}
	if t.err != nil {
		return Digest{}, fmt.Errorf("write tables: %w", t.err)
	}
	t.txn.Commit()
	return Digest{Index: t.index, Sum: h.digest()}, nil
}

func (t *tx) keep(err error) {
	if t.err == nil && err != nil {
		t.err = err
	}
}

// put inserts row in place of old, which is a zero T when there is none.
func put[T interface {
	proto.Message
	comparable
}](t *tx, table string, old, row T,
) {
	var none T
	if old != none {
		t.subtract(table, old)
	}
	t.inserted[row] = table
	t.rows[table]++
	t.keep(t.txn.Insert(table, row))
	t.touch(table)
}

// subtract subtracts a row that is replaced or dropped from the sum.
func (t *tx) subtract(table string, row proto.Message) {
	if _, fresh := t.inserted[row]; fresh {
		delete(t.inserted, row)
	} else {
		t.sum -= hashRow(table, row)
	}
	t.rows[table]--
}

// drop deletes a row, which must exist.
func (t *tx) drop(table string, row proto.Message) {
	t.subtract(table, row)
	t.keep(t.txn.Delete(table, row))
	t.touch(table)
}

// touch records that the entry changed what readers see.
func (t *tx) touch(table string) {
	switch table {
	case tableCluster, tableMounts, tableRings:
		t.meta.ViewIndex = t.index
	}
}

// find returns the row at a key, or a zero T.
func find[T any](t *tx, table, index string, at []byte) T {
	row, err := first[T](t.txn, table, index, at)
	t.keep(err)
	return row
}

func list[T any](t *tx, table, index string) []T {
	rows, err := all[T](t.txn, table, index)
	t.keep(err)
	return rows
}
