package state

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/go-memdb"
	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// A snapshot is
//
//	magic "JINDOST" | version 1 byte |
//	frame of a Header | a frame of a Record for each row |
//	four zero bytes | xxhash64 of everything before, 8 bytes
//
// and nothing after. A frame is the length of a message in 4 bytes, never 0,
// and the message. Numbers are big-endian.
const (
	snapshotMagic   = "JINDOST"
	snapshotVersion = 1
	// maxFrame bounds what a reader allocates for one frame, in bytes. A ring
	// of MaxWorkers with the longest names fits.
	maxFrame = 8 << 20
)

// Snapshot is the state after one entry. It is created in constant time, and
// does not change while entries are applied.
type Snapshot struct {
	db *memdb.MemDB
}

// Snapshot returns a snapshot of the current state, in constant time.
func (m *Machine) Snapshot() *Snapshot { return &Snapshot{db: m.db.Load().Snapshot()} }

// Index returns the index of the last entry in the snapshot.
func (s *Snapshot) Index() (uint64, error) {
	h, err := headOf(s.db.Txn(false))
	if err != nil {
		return 0, fmt.Errorf("read the index of a snapshot: %w", err)
	}
	return h.meta.GetIndex(), nil
}

// Release does nothing: the garbage collector frees rows that are not
// referenced.
func (s *Snapshot) Release() {}

// WriteTo writes the snapshot and returns the number of bytes written.
func (s *Snapshot) WriteTo(to io.Writer) (int64, error) {
	w := &frameWriter{to: bufio.NewWriterSize(to, 64<<10), sum: xxhash.New()}
	if err := s.write(w); err != nil {
		return w.written, fmt.Errorf("write snapshot of the state: %w", err)
	}
	return w.written, nil
}

func (s *Snapshot) write(w *frameWriter) error {
	txn := s.db.Txn(false)
	h, err := headOf(txn)
	if err != nil {
		return err
	}
	if err := w.write(append([]byte(snapshotMagic), snapshotVersion)); err != nil {
		return err
	}
	if err := w.frame(&statev1.Header{Meta: h.meta, Records: h.records(), Digest: h.digest()}); err != nil {
		return err
	}
	for _, table := range dataTables() {
		rows, err := txn.Get(table, indexID)
		if err != nil {
			return err
		}
		for raw := rows.Next(); raw != nil; raw = rows.Next() {
			record, err := recordOf(raw)
			if err != nil {
				return err
			}
			if err := w.frame(record); err != nil {
				return err
			}
		}
	}
	return w.end()
}

func recordOf(row any) (*statev1.Record, error) {
	switch row := row.(type) {
	case *statev1.Cluster:
		return &statev1.Record{Row: &statev1.Record_Cluster{Cluster: row}}, nil
	case *commonv1.Mount:
		return &statev1.Record{Row: &statev1.Record_Mount{Mount: row}}, nil
	case *statev1.Worker:
		return &statev1.Record{Row: &statev1.Record_Worker{Worker: row}}, nil
	case *commonv1.Ring:
		return &statev1.Record{Row: &statev1.Record_Ring{Ring: row}}, nil
	case *statev1.Session:
		return &statev1.Record{Row: &statev1.Record_Session{Session: row}}, nil
	case *statev1.Remembered:
		return &statev1.Record{Row: &statev1.Record_Remembered{Remembered: row}}, nil
	}
	return nil, fmt.Errorf("no record type for a %T", row)
}

type frameWriter struct {
	to      *bufio.Writer
	sum     *xxhash.Digest
	written int64
	buffer  []byte
}

func (w *frameWriter) write(p []byte) error {
	_, _ = w.sum.Write(p)
	n, err := w.to.Write(p)
	w.written += int64(n)
	return err
}

func (w *frameWriter) frame(m proto.Message) error {
	buffer, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(append(w.buffer[:0], 0, 0, 0, 0), m)
	if err != nil {
		return err
	}
	w.buffer = buffer
	length := len(buffer) - 4
	if length == 0 || length > maxFrame {
		return fmt.Errorf("record of %d bytes exceeds the size of a frame", length)
	}
	binary.BigEndian.PutUint32(buffer, uint32(length))
	return w.write(buffer)
}

func (w *frameWriter) end() error {
	if err := w.write(make([]byte, 4)); err != nil {
		return err
	}
	if err := w.write(binary.BigEndian.AppendUint64(nil, w.sum.Sum64())); err != nil {
		return err
	}
	return w.to.Flush()
}
