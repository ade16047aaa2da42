package state

import (
	"encoding/binary"
	"fmt"

	"github.com/hashicorp/go-memdb"
	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// The tables. Rows are messages that are never modified once they are inserted:
// a change inserts a new message, because snapshots and readers share the old
// one.
const (
	tableHead     = "head"
	tableCluster  = "cluster"
	tableMounts   = "mounts"
	tableWorkers  = "workers"
	tableRings    = "rings"
	tableSessions = "sessions"
	tableResults  = "results"
)

const (
	indexID     = "id"
	indexPath   = "path"
	indexName   = "name"
	indexMember = "member"
	indexEnded  = "ended"
	indexOwner  = "owner"
)

// dataTables returns the tables of a snapshot, in its order.
func dataTables() []string {
	return []string{tableCluster, tableMounts, tableWorkers, tableRings, tableSessions, tableResults}
}

// head is the row with the metadata of the state.
type head struct {
	// meta is never nil and never modified in place.
	meta *statev1.Meta
	// sum is the sum of the hashes of all rows of the data tables.
	sum uint64
	// rows is the number of rows in each data table.
	rows map[string]int
}

// records returns the number of rows of all tables.
func (h *head) records() uint64 {
	var n uint64
	for _, rows := range h.rows {
		n += uint64(rows)
	}
	return n
}

// key is an index over rows of type T; it returns nil for a row that is not in
// the index.
type key[T any] func(row T) []byte

var (
	_ memdb.SingleIndexer = key[*head](nil)
	_ memdb.PrefixIndexer = key[*head](nil)
)

// FromObject implements memdb.SingleIndexer.
func (k key[T]) FromObject(raw any) (bool, []byte, error) {
	row, ok := raw.(T)
	if !ok {
		return false, nil, fmt.Errorf("a %T in a table of another type", raw)
	}
	value := k(row)
	return value != nil, value, nil
}

// FromArgs implements memdb.Indexer. Its argument is the key itself.
func (k key[T]) FromArgs(args ...any) ([]byte, error) {
	if len(args) == 1 {
		if value, ok := args[0].([]byte); ok {
			return value, nil
		}
	}
	return nil, fmt.Errorf("index takes one key, not %v", args)
}

// PrefixFromArgs implements memdb.PrefixIndexer.
func (k key[T]) PrefixFromArgs(args ...any) ([]byte, error) { return k.FromArgs(args...) }

// text returns a string as a key. It is terminated, so that no key is a prefix
// of another.
func text(s string) []byte { return append([]byte(s), 0) }

// number returns a number as a key. Keys sort as the numbers do.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// resultsOf returns the prefix of the keys of a session's results.
func resultsOf(session string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(session))), session...)
}

func resultKey(session string, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(resultsOf(session), sequence)
}

func unique(name string, indexer memdb.Indexer) *memdb.IndexSchema {
	return &memdb.IndexSchema{Name: name, Unique: true, Indexer: indexer}
}

func table(name string, indexes ...*memdb.IndexSchema) *memdb.TableSchema {
	schema := &memdb.TableSchema{Name: name, Indexes: map[string]*memdb.IndexSchema{}}
	for _, index := range indexes {
		schema.Indexes[index.Name] = index
	}
	return schema
}

func newDB() (*memdb.MemDB, error) {
	only := func() []byte { return []byte{1} }
	name := unique(indexName, key[*commonv1.Mount](func(m *commonv1.Mount) []byte {
		if m.GetName() == "" {
			return nil
		}
		return text(m.GetName())
	}))
	name.AllowMissing = true
	ended := &memdb.IndexSchema{Name: indexEnded, AllowMissing: true, Indexer: key[*statev1.Session](func(s *statev1.Session) []byte {
		if s.GetEnded() == 0 {
			return nil
		}
		return number(uint64(s.GetEnded()))
	})}
	owner := &memdb.IndexSchema{Name: indexOwner, Indexer: key[*statev1.Session](func(s *statev1.Session) []byte { return text(s.GetOwner()) })}
	schema := &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{}}
	for _, t := range []*memdb.TableSchema{
		table(tableHead, unique(indexID, key[*head](func(*head) []byte { return only() }))),
		table(tableCluster, unique(indexID, key[*statev1.Cluster](func(*statev1.Cluster) []byte { return only() }))),
		table(tableMounts,
			unique(indexID, key[*commonv1.Mount](func(m *commonv1.Mount) []byte { return text(m.GetId()) })),
			unique(indexPath, key[*commonv1.Mount](func(m *commonv1.Mount) []byte { return text(m.GetPath()) })),
			name),
		table(tableWorkers,
			unique(indexID, key[*statev1.Worker](func(w *statev1.Worker) []byte { return text(w.GetMember().GetName()) })),
			unique(indexMember, key[*statev1.Worker](func(w *statev1.Worker) []byte { return text(w.GetMember().GetId()) }))),
		table(tableRings, unique(indexID, key[*commonv1.Ring](func(r *commonv1.Ring) []byte { return number(r.GetEpoch()) }))),
		table(tableSessions,
			unique(indexID, key[*statev1.Session](func(s *statev1.Session) []byte { return text(s.GetId()) })),
			ended, owner),
		table(tableResults, unique(indexID, key[*statev1.Remembered](func(r *statev1.Remembered) []byte {
			return resultKey(r.GetSession(), r.GetSequence())
		}))),
	} {
		schema.Tables[t.Name] = t
	}
	db, err := memdb.NewMemDB(schema)
	if err != nil {
		return nil, fmt.Errorf("create tables: %w", err)
	}
	txn := db.Txn(true)
	if err := txn.Insert(tableHead, &head{meta: &statev1.Meta{}, rows: map[string]int{}}); err != nil {
		return nil, fmt.Errorf("create tables: %w", err)
	}
	txn.Commit()
	return db, nil
}

// first returns the row at a key, or nil. An error can only be caused by the
// schema, which newDB has verified.
func first[T any](txn *memdb.Txn, table, index string, at []byte) (T, error) {
	var none T
	raw, err := txn.First(table, index, at)
	if err != nil || raw == nil {
		return none, err
	}
	row, ok := raw.(T)
	if !ok {
		return none, fmt.Errorf("table %s has a row of type %T", table, raw)
	}
	return row, nil
}

// all returns the rows of a table in the order of an index.
func all[T any](txn *memdb.Txn, table, index string) ([]T, error) {
	rows, err := txn.Get(table, index)
	if err != nil {
		return nil, err
	}
	var out []T
	for raw := rows.Next(); raw != nil; raw = rows.Next() {
		row, ok := raw.(T)
		if !ok {
			return nil, fmt.Errorf("table %s has a row of type %T", table, raw)
		}
		out = append(out, row)
	}
	return out, nil
}

func headOf(txn *memdb.Txn) (*head, error) {
	h, err := first[*head](txn, tableHead, indexID, []byte{1})
	if err == nil && h == nil {
		err = fmt.Errorf("state without a head")
	}
	return h, err
}

// clone returns a copy of a row, which may be modified and inserted in its
// place.
func clone[T proto.Message](row T) T { return proto.CloneOf(row) }
