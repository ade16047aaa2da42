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

// errDamaged says that bytes are not a snapshot as it was written.
var errDamaged = errors.New("the snapshot is damaged")

// Restore replaces the state by a snapshot. It is built aside, and takes the
// state's place only when it has been read to the end of r and verified; on an
// error the state stays as it was.
func (m *Machine) Restore(r io.Reader) error {
	db, digest, err := restore(r)
	if err != nil {
		return fmt.Errorf("restoring the state: %w", err)
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
	t := &tx{txn: db.Txn(true), index: header.GetMeta().GetIndex(), meta: header.GetMeta(), rows: map[string]int{}}
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
		err = fmt.Errorf("%w: its digest is %s, and should be %016x", errDamaged, digest, header.GetDigest())
	}
	return db, digest, err
}

func readHeader(in *frameReader) (*statev1.Header, error) {
	start := make([]byte, len(snapshotMagic)+1)
	if err := in.full(start); err != nil {
		return nil, err
	}
	if string(start[:len(snapshotMagic)]) != snapshotMagic {
		return nil, fmt.Errorf("%w: it does not start as one", errDamaged)
	}
	if version := start[len(snapshotMagic)]; version != snapshotVersion {
		return nil, fmt.Errorf("a snapshot of version %d: %w", version, ErrUnknown)
	}
	header := &statev1.Header{}
	if err := in.frame(header); err != nil {
		return nil, err
	}
	if header.GetMeta() == nil {
		return nil, fmt.Errorf("%w: its header is empty", errDamaged)
	}
	return header, nil
}

// load puts one record where it belongs. Every key must be new.
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
	return fmt.Errorf("a record of a kind that is not known: %w", ErrUnknown)
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
		return fmt.Errorf("%w: a row of %s has no key", errDamaged, table)
	}
	for _, k := range keys {
		there, err := t.txn.First(table, k.index, k.key)
		if err != nil {
			return err
		}
		if there != nil {
			return fmt.Errorf("%w: a row of %s is there twice", errDamaged, table)
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
			return fmt.Errorf("%w: it ends early", errDamaged)
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

// frame reads one message and refuses what this version does not know in it.
func (r *frameReader) frame(m proto.Message) error {
	length, err := r.length()
	if err != nil {
		return err
	}
	if length == 0 || length > maxFrame {
		return fmt.Errorf("%w: a frame of %d bytes", errDamaged, length)
	}
	raw := make([]byte, length)
	if err := r.full(raw); err != nil {
		return err
	}
	if err := proto.Unmarshal(raw, m); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	if field := unknownField(m.ProtoReflect()); field != "" {
		return fmt.Errorf("%s has a field that is not known: %w", field, ErrUnknown)
	}
	return nil
}

// end verifies that the snapshot is whole and that nothing follows it.
func (r *frameReader) end() error {
	length, err := r.length()
	if err != nil {
		return err
	}
	if length != 0 {
		return fmt.Errorf("%w: it has more records than its header says", errDamaged)
	}
	want := r.sum.Sum64()
	var raw [8]byte
	if err := r.full(raw[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint64(raw[:]) != want {
		return fmt.Errorf("%w: its checksum is wrong", errDamaged)
	}
	if _, err := r.from.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: bytes follow its end", errDamaged)
	}
	return nil
}
