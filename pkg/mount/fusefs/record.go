//go:build linux

package fusefs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// A record of the journal is a frame: length and CRC32C of a payload, little
// endian, then the payload, which is the request's id followed by its operations.
// Numbers are uvarints; a string is its length followed by its bytes.
const (
	// frameHead is the size of length and CRC in bytes.
	frameHead = 8
	// maxFrame bounds the payload that the decoder accepts, in bytes. The record
	// of one request is much smaller.
	maxFrame = 8 << 20
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errTorn = errors.New("truncated or damaged record")
)

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

// Flags of the operations lookup and open.
const (
	flagDir = 1 << iota
	flagStale
	flagDirect
)

func (o op) flags() uint64 {
	var f uint64
	if o.dir {
		f |= flagDir
	}
	if o.stale {
		f |= flagStale
	}
	if o.direct {
		f |= flagDirect
	}
	return f
}

// appendRecord appends a frame with the changes of one request to b.
func appendRecord(b []byte, unique uint64, ops []op) []byte {
	start := len(b)
	b = append(b, make([]byte, frameHead)...)
	b = binary.AppendUvarint(b, unique)
	for _, o := range ops {
		b = appendOp(b, o)
	}
	payload := b[start+frameHead:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(payload, castagnoli))
	return b
}

func appendOp(b []byte, o op) []byte {
	b = append(b, byte(o.kind))
	switch o.kind {
	case opLookup:
		b = binary.AppendUvarint(b, o.node)
		b = binary.AppendUvarint(b, o.count)
		b = binary.AppendVarint(b, o.modified)
		b = appendFile(b, o)
	case opForget:
		b = binary.AppendUvarint(b, o.node)
		b = binary.AppendUvarint(b, o.count)
	case opOpen:
		b = binary.AppendUvarint(b, o.handle)
		b = binary.AppendUvarint(b, o.node)
		b = appendFile(b, o)
	case opRelease:
		b = binary.AppendUvarint(b, o.handle)
	case opCursor:
		b = binary.AppendUvarint(b, o.handle)
		b = binary.AppendUvarint(b, uint64(len(o.names)))
		for _, name := range o.names {
			b = appendString(b, name)
		}
	case opStale:
		b = binary.AppendUvarint(b, o.node)
	}
	return b
}

func appendFile(b []byte, o op) []byte {
	b = binary.AppendUvarint(b, o.flags())
	b = appendString(b, o.path)
	if o.dir {
		return b
	}
	b = appendString(b, o.version.Mount)
	b = appendString(b, o.version.Key)
	b = appendString(b, o.version.ETag)
	return binary.AppendVarint(b, o.version.Size)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// nextRecord decodes the first frame of b and returns the rest. It returns
// errTorn for a truncated or damaged frame; the frames after it are lost.
func nextRecord(b []byte) (unique uint64, ops []op, rest []byte, err error) {
	if len(b) < frameHead {
		return 0, nil, nil, errTorn
	}
	n, sum := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if n > maxFrame || uint64(n) > uint64(len(b)-frameHead) {
		return 0, nil, nil, errTorn
	}
	payload := b[frameHead : frameHead+n]
	if crc32.Checksum(payload, castagnoli) != sum {
		return 0, nil, nil, errTorn
	}
	unique, ops, err = decodeRecord(payload)
	return unique, ops, b[frameHead+n:], err
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

// decoder decodes the values of a payload. After the first error it returns zero
// values.
type decoder struct {
	b   []byte
	err error
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
		d.fail(fmt.Errorf("unknown operation %d in a record: the journal is of a newer version", o.kind))
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

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail(errTorn)
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errTorn)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail(errTorn)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail(errTorn)
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
