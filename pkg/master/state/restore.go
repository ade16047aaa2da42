package state

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/go-memdb"
	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// errDamaged reports that a snapshot differs from what was written.
var errDamaged = errors.New("damaged snapshot")

// Restore replaces the state by a snapshot. The new state is built aside, and
// replaces the old one only when r was read to its end and verified; after an
// error the old state remains.
func (m *Machine) Restore(r io.Reader) error {
	db, digest, err := restore(r)
	if err != nil {
		return fmt.Errorf("restore state: %w", err)
	}
	m.db.Store(db)
	m.digests.reset(digest)
	return nil
}

func restore(r io.Reader) (*memdb.MemDB, Digest, error) {
	in := &frameReader{from: bufio.NewReaderSize(r, 64<<10), sum: xxhash.New()}
	header, err := readHeader(in)
	if err != nil {
		return nil, Digest{}, err
	}
	db, err := newDB()
	if err != nil {
		return nil, Digest{}, err
	}
	t := newTx(db.Txn(true), header.GetMeta().GetIndex(), header.GetMeta(), 0, map[string]int{})
	defer t.txn.Abort()
	view := t.meta.GetViewIndex()
	for range header.GetRecords() {
		record := &statev1.Record{}
		if err := in.frame(record); err != nil {
			return nil, Digest{}, err
		}
		if err := t.load(record); err != nil {
			return nil, Digest{}, err
		}
	}
	if err := in.end(); err != nil {
		return nil, Digest{}, err
	}
	t.meta.ViewIndex = view
	digest, err := t.commit()
	if err == nil && digest.Sum != header.GetDigest() {
		err = fmt.Errorf("%w: digest %s, want %016x", errDamaged, digest, header.GetDigest())
	}
	return db, digest, err
}

func readHeader(in *frameReader) (*statev1.Header, error) {
	start := make([]byte, len(snapshotMagic)+1)
	if err := in.full(start); err != nil {
		return nil, err
	}
	if string(start[:len(snapshotMagic)]) != snapshotMagic {
		return nil, fmt.Errorf("%w: invalid magic", errDamaged)
	}
	if version := start[len(snapshotMagic)]; version != snapshotVersion {
		return nil, fmt.Errorf("snapshot version %d: %w", version, ErrUnknown)
	}
	header := &statev1.Header{}
	if err := in.frame(header); err != nil {
		return nil, err
	}
	if header.GetMeta() == nil {
		return nil, fmt.Errorf("%w: empty header", errDamaged)
	}
	return header, nil
}

// load adds the row of one record. Every key must be new.
func (t *tx) load(record *statev1.Record) error {
	switch row := record.GetRow().(type) {
	case *statev1.Record_Cluster:
		return loadRow(t, tableCluster, row.Cluster, row.Cluster.GetId() != "", at(indexID, []byte{1}))
	case *statev1.Record_Mount:
		m := row.Mount
		keys := []place{at(indexID, text(m.GetId())), at(indexPath, text(m.GetPath()))}
		if m.GetName() != "" {
			keys = append(keys, at(indexName, text(m.GetName())))
		}
		return loadRow(t, tableMounts, m, m.GetId() != "" && m.GetPath() != "", keys...)
	case *statev1.Record_Worker:
		m := row.Worker.GetMember()
		return loadRow(t, tableWorkers, row.Worker, m.GetName() != "" && m.GetId() != "",
			at(indexID, text(m.GetName())), at(indexMember, text(m.GetId())))
	case *statev1.Record_Ring:
		return loadRow[*commonv1.Ring](t, tableRings, row.Ring, row.Ring.GetEpoch() != 0, at(indexID, number(row.Ring.GetEpoch())))
	case *statev1.Record_Session:
		return loadRow(t, tableSessions, row.Session, row.Session.GetId() != "", at(indexID, text(row.Session.GetId())))
	case *statev1.Record_Remembered:
		r := row.Remembered
		return loadRow(t, tableResults, r, r.GetSequence() != 0, at(indexID, resultKey(r.GetSession(), r.GetSequence())))
	}
	return fmt.Errorf("record of an unknown kind: %w", ErrUnknown)
}

// place is a key in an index.
type place struct {
	index string
	key   []byte
}

func at(index string, key []byte) place { return place{index, key} }

func loadRow[T interface {
	proto.Message
	comparable
}](t *tx, table string, row T, complete bool, keys ...place,
) error {
	if !complete {
		return fmt.Errorf("%w: row of %s without a key", errDamaged, table)
	}
	for _, k := range keys {
		present, err := t.txn.First(table, k.index, k.key)
		if err != nil {
			return err
		}
		if present != nil {
			return fmt.Errorf("%w: duplicate row of %s", errDamaged, table)
		}
	}
	var none T
	put(t, table, none, row)
	return t.err
}

type frameReader struct {
	from *bufio.Reader
	sum  hash.Hash64
}

func (r *frameReader) full(p []byte) error {
	if _, err := io.ReadFull(r.from, p); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: truncated", errDamaged)
		}
		return err
	}
	_, _ = r.sum.Write(p)
	return nil
}

func (r *frameReader) length() (uint32, error) {
	var raw [4]byte
	if err := r.full(raw[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(raw[:]), nil
}

// frame reads one message. It returns an error if the message has anything that
// this version does not know.
func (r *frameReader) frame(m proto.Message) error {
	length, err := r.length()
	if err != nil {
		return err
	}
	if length == 0 || length > maxFrame {
		return fmt.Errorf("%w: frame of %d bytes", errDamaged, length)
	}
	raw := make([]byte, length)
	if err := r.full(raw); err != nil {
		return err
	}
	if err := proto.Unmarshal(raw, m); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	if field := unknownField(m.ProtoReflect()); field != "" {
		return fmt.Errorf("%s has an unknown field: %w", field, ErrUnknown)
	}
	return nil
}

// end verifies the checksum, and that nothing follows it.
func (r *frameReader) end() error {
	length, err := r.length()
	if err != nil {
		return err
	}
	if length != 0 {
		return fmt.Errorf("%w: more records than the header has", errDamaged)
	}
	want := r.sum.Sum64()
	var raw [8]byte
	if err := r.full(raw[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint64(raw[:]) != want {
		return fmt.Errorf("%w: checksum mismatch", errDamaged)
	}
	if _, err := r.from.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: data after its end", errDamaged)
	}
	return nil
}
