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
	sum    uint64
	rows   map[string]int
	err    error
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
	return &tx{txn: txn, index: index, meta: clone(h.meta), sum: h.sum, rows: maps.Clone(h.rows)}, nil
}

func (t *tx) commit() (Digest, error) {
	t.meta.Index = t.index
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
		t.sum -= hashRow(table, old)
		t.rows[table]--
	}
	t.sum += hashRow(table, row)
	t.rows[table]++
	t.keep(t.txn.Insert(table, row))
	t.touch(table)
}

// drop deletes a row, which must exist.
func (t *tx) drop(table string, row proto.Message) {
	t.sum -= hashRow(table, row)
	t.rows[table]--
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
