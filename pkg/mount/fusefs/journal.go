//go:build linux

package fusefs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// The journal is format 1 of the table, which this version reads and replaces when
// it takes over from a server that wrote it. It consists of a header and of frames
// in the order of the requests: length and CRC32C of a payload, little endian, then
// the payload, which is the request's id followed by its operations. Numbers are
// uvarints; a string is its length followed by its bytes.
const (
	journalName    = "table.journal"
	journalMagic   = "JINDOTAB"
	journalVersion = 1
	// journalHead is the size of the header in bytes: magic, version, session,
	// time of creation, CRC32C of these.
	journalHead = 8 + 4 + 16 + 8 + 4
	// frameHead is the size of length and CRC in bytes.
	frameHead = 8
	// maxFrame bounds the payload that the decoder accepts, in bytes. The record
	// of one request is much smaller.
	maxFrame = 8 << 20
)

// errTorn is returned for a truncated or damaged frame.
var errTorn = errors.New("truncated or damaged record")

// openJournal opens the journal of a session and returns the time at which the
// mount was created. It returns nil if there is none.
func openJournal(dir string, session [16]byte) (*os.File, time.Time, error) {
	path := filepath.Join(dir, journalName)
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("open the journal of the previous version: %w", err)
	}
	head := make([]byte, journalHead)
	if _, err := io.ReadFull(file, head); err != nil || string(head[:8]) != journalMagic ||
		crc32.Checksum(head[:journalHead-4], castagnoli) != binary.LittleEndian.Uint32(head[journalHead-4:]) ||
		[16]byte(head[12:28]) != session {
		return nil, time.Time{}, file.Close()
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != journalVersion {
		err := fmt.Errorf("open the journal %s: its format is %d, this version supports format %d: %w", path, v, journalVersion, errNewer)
		return nil, time.Time{}, errors.Join(err, file.Close())
	}
	return file, time.Unix(0, int64(binary.LittleEndian.Uint64(head[28:]))), nil
}

// removeJournal removes the journal of format 1 after its state was imported.
func removeJournal(dir string, log *slog.Logger) {
	if err := os.Remove(filepath.Join(dir, journalName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Warn("cannot remove the journal of the previous version", "error", err)
	}
}

// importJournal applies the records of a journal to an empty table, except those
// of pending requests, which must be processed again.
func (t *table) importJournal(file *os.File, pending map[uint64]bool) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("import the journal of the previous version: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r, at := bufio.NewReaderSize(file, 1<<20), int64(journalHead)
	for {
		payload, err := readFrame(r)
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, errTorn) {
			t.reportTail(info.Size() - at)
			break
		}
		unique, ops, err := decodeRecord(payload)
		if errors.Is(err, errNewer) {
			return fmt.Errorf("import the journal %s: %w", file.Name(), err)
		}
		if err != nil {
			t.reportTail(info.Size() - at)
			break
		}
		at += int64(frameHead + len(payload))
		if unique == 0 || !pending[unique] {
			t.importOps(ops)
		}
	}
	t.ids.RaiseID(t.root.largest)
	t.log.Info("imported the journal of the previous version", "nodes", t.root.nodes, "handles", t.root.handles)
	return nil
}

// maxTail is the largest number of bytes that a killed server can leave of a
// record, because it wrote a record at once.
const maxTail = 1 << 20

// reportTail reports the last bytes of a journal if they are more than a record
// whose request got no reply.
func (t *table) reportTail(size int64) {
	if size > maxTail {
		t.log.Error("the journal of the previous version is damaged; files opened since are lost and must be opened again", "lost_bytes", size)
	}
}

// importOps applies the operations of one record.
func (t *table) importOps(ops []op) {
	c := t.beginRequest(0)
	for _, o := range ops {
		c.splitIfLong()
		switch o.kind {
		case opLookup:
			t.importLookup(o)
		case opForget:
			t.forgetNode(o.node, o.count)
		case opOpen:
			t.insertHandle(&handle{id: o.handle, node: o.node, path: o.path, dir: o.dir, version: o.version, direct: o.direct})
		case opRelease:
			t.removeHandle(o.handle)
		case opCursor:
			t.setCursor(c, o)
		case opStale:
			if r, err := t.readID(kindNode, o.node); err == nil {
				r.state.flags |= flagStale
				t.setState(&r, withoutName(r.state))
			}
		}
	}
	c.commit()
}

// importLookup is part of a transaction.
func (t *table) importLookup(o op) {
	if o.node == rootID {
		return
	}
	r, err := t.readID(kindNode, o.node)
	if err == nil {
		s := r.state
		s.x += o.count
		t.setState(&r, s)
		if s.flags&flagStale != 0 {
			return
		}
	}
	if newest, n, ok := t.findPath(o.path); ok && n.id != o.node && !o.stale {
		n.stale = true
		t.setState(&newest, n.state(newest.state, 0))
	}
	if err == nil {
		s := r.state
		s.y, s.flags = uint64(o.modified), s.flags|flagNamed
		t.setState(&r, s)
		return
	}
	named := uint16(flagNamed)
	if o.stale {
		named = 0
	}
	t.insertNode(node{id: o.node, path: o.path, dir: o.dir, version: o.version, modified: o.modified, stale: o.stale, lookups: o.count}, named)
}

type opKind uint8

const (
	// opLookup increments the lookup count of a node, and creates the node.
	opLookup opKind = iota + 1
	// opForget decrements the lookup count of a node.
	opForget
	// opOpen creates a handle.
	opOpen
	// opRelease removes a handle.
	opRelease
	// opCursor sets the names of the last reply to a directory handle.
	opCursor
	// opStale marks a node whose name has another version now, or none.
	opStale
)

// op is one change of the table. The fields in use depend on the kind.
type op struct {
	kind opKind
	// node is set for lookup, forget, open and stale.
	node uint64
	// count is the number of lookups, for lookup and forget.
	count uint64
	// handle is set for open, release and cursor.
	handle uint64
	// path, dir and version are set for lookup and open, stale and modified (in
	// Unix nanoseconds) for lookup, direct for open.
	path     string
	dir      bool
	stale    bool
	direct   bool
	modified int64
	version  reader.Version
	// names are those of cursor, in the order of the reply.
	names []string
}

// readFrame reads one frame and returns its payload. It returns io.EOF at the end,
// and errTorn for a truncated or damaged frame.
func readFrame(r io.Reader) (payload []byte, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, errTorn
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxFrame {
		return nil, errTorn
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil || crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errTorn
	}
	return payload, nil
}

func decodeRecord(payload []byte) (uint64, []op, error) {
	d := decoder{b: payload}
	unique := d.uint()
	var ops []op
	for len(d.b) > 0 && d.err == nil {
		ops = append(ops, d.op())
	}
	if d.err != nil {
		return 0, nil, d.err
	}
	return unique, ops, nil
}

func (d *decoder) op() op {
	o := op{kind: opKind(d.byte())}
	switch o.kind {
	case opLookup:
		o.node, o.count, o.modified = d.uint(), d.uint(), d.int()
		d.file(&o)
	case opForget:
		o.node, o.count = d.uint(), d.uint()
	case opOpen:
		o.handle, o.node = d.uint(), d.uint()
		d.file(&o)
	case opRelease:
		o.handle = d.uint()
	case opCursor:
		o.handle = d.uint()
		n := d.uint()
		for range n {
			if d.err != nil {
				break
			}
			o.names = append(o.names, d.string())
		}
	case opStale:
		o.node = d.uint()
	default:
		d.fail(fmt.Errorf("unknown operation %d: %w", o.kind, errNewer))
	}
	return o
}

func (d *decoder) file(o *op) {
	flags := d.uint()
	o.dir, o.stale, o.direct = flags&flagDir != 0, flags&flagStale != 0, flags&flagDirect != 0
	o.path = d.string()
	if !o.dir {
		o.version = reader.Version{Mount: d.string(), Key: d.string(), ETag: d.string(), Size: d.int()}
	}
}
