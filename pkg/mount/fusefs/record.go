//go:build linux

package fusefs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// A record is a head, which is one slot, and the slots of its payload, linked by
// slot numbers. The head:
//
//	 0 kind          1 format, 0          2 number of slots of the payload (2)
//	 4 CRC32C of the bytes 0-4 and 20-32 and of the payload
//	 8 first slot of the payload (4)
//	12 next record of the bucket of the index by id (4)
//	16 next record of the bucket of the index by path (4)
//	20 hash of the path (4)               24 id (8)
//	32 CRC32C of the id and the bytes 36-64
//	36 flags (2)    38 mode bits, reserved for writable files (2)
//	40 and 48 state of the kind, see state (8 and 8)
//	56 backing id of the kernel: of a node whose open handles are in passthrough
//	   mode, see modes.go (4)
//	60 extension, reserved: the slot of a record with further fields, such as the
//	   staging id of a writable file; 0 is none (4)
//
// A slot of the payload: kind, 3 unused bytes, next slot, payloadSize bytes. The
// links are not covered by a checksum, because every record that is reached by
// them is checked.
//
// A later version that sets a reserved field sets a bit of the header's features,
// which earlier versions refuse.
const (
	kindFree = iota
	kindPayload
	// kindNode is a nodeid that is known to the kernel.
	kindNode
	// kindHandle is an open file or directory.
	kindHandle
	// kindCursor holds the names of one reply to a directory handle. Its id is
	// that of the handle.
	kindCursor
	// kindRequest holds the changes of a request whose reply may not be written
	// yet. Its id is that of the request.
	kindRequest
)

const (
	payloadSize = slotSize - 8
	// maxParts bounds the slots of one payload.
	maxParts = 1<<16 - 1

	kindAt     = 0
	partsAt    = 2
	sumAt      = 4
	payloadAt  = 8
	nextIDAt   = 12
	nextPathAt = 16
	hashAt     = 20
	idAt       = 24
	stateAt    = 32
)

// Flags of a record. The values are part of the format.
const (
	flagDir = 1 << iota
	flagStale
	flagDirect
	// flagRefused is set on a node whose open failed with ESTALE.
	flagRefused
	// flagNamed is set on the node that the index by path returns for its path.
	flagNamed
	// flagPassthrough is set on a handle that was opened in passthrough mode, and
	// flagCounted on one that counts in the open handles of its node.
	flagPassthrough
	flagCounted
	// The next one is reserved for writes that are not in the store.
)

var errDamaged = errors.New("damaged record")

// state holds the fields of a record that change. x and y are, of a node, the
// number of lookups with, from bit openShift on, the number of open handles that
// have its mode, and the time of modification; of a directory handle, the
// newest cursor and the one before it; of a request to forget, the number of
// entries that are done.
type state struct {
	flags, mode        uint16
	x, y               uint64
	backing, extension uint32
}

// encode returns the bytes of the head from stateAt on.
func (s state) encode(id uint64) (b [slotSize - stateAt]byte) {
	binary.LittleEndian.PutUint16(b[4:], s.flags)
	binary.LittleEndian.PutUint16(b[6:], s.mode)
	binary.LittleEndian.PutUint64(b[8:], s.x)
	binary.LittleEndian.PutUint64(b[16:], s.y)
	binary.LittleEndian.PutUint32(b[24:], s.backing)
	binary.LittleEndian.PutUint32(b[28:], s.extension)
	binary.LittleEndian.PutUint32(b[:], stateSum(id, b[4:]))
	return b
}

// stateSum returns the checksum of the state of a record with an id.
func stateSum(id uint64, b []byte) uint32 {
	return crc32.Update(uint32(id)^uint32(id>>32), castagnoli, b)
}

func decodeState(head []byte) state {
	b := head[stateAt:]
	return state{
		flags: binary.LittleEndian.Uint16(b[4:]), mode: binary.LittleEndian.Uint16(b[6:]),
		x: binary.LittleEndian.Uint64(b[8:]), y: binary.LittleEndian.Uint64(b[16:]),
		backing: binary.LittleEndian.Uint32(b[24:]), extension: binary.LittleEndian.Uint32(b[28:]),
	}
}

func headUint32(head []byte, at int) uint32 { return binary.LittleEndian.Uint32(head[at:]) }

func headID(head []byte) uint64 { return binary.LittleEndian.Uint64(head[idAt:]) }

// isHead reports whether a slot is the head of a record.
func isHead(slot []byte) bool { return slot[kindAt] >= kindNode && slot[kindAt] <= kindRequest }

// headSum returns the checksum of the fields of a head that never change.
func headSum(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:sumAt], castagnoli), castagnoli, head[hashAt:stateAt])
}

// record is a record that was read and verified.
type record struct {
	slot    uint32
	kind    byte
	id      uint64
	hash    uint32
	state   state
	payload []byte
	// parts are the slots of the payload.
	parts []uint32
}

// read reads and verifies the record of a head.
func (a *arena) read(slot uint32) (record, error) {
	head := a.slot(slot)
	if !isHead(head) || stateSum(headID(head), head[stateAt+4:]) != headUint32(head, stateAt) {
		return record{}, errDamaged
	}
	n := int(binary.LittleEndian.Uint16(head[partsAt:]))
	r := record{slot: slot, kind: head[kindAt], id: headID(head), hash: headUint32(head, hashAt), state: decodeState(head)}
	r.payload, r.parts = make([]byte, 0, n*payloadSize), make([]uint32, 0, n)
	for next := headUint32(head, payloadAt); len(r.parts) < n; {
		if !a.holds(next) || a.slot(next)[kindAt] != kindPayload {
			return record{}, errDamaged
		}
		part := a.slot(next)
		r.parts, r.payload = append(r.parts, next), append(r.payload, part[8:]...)
		next = headUint32(part, 4)
	}
	if crc32.Update(headSum(head), castagnoli, r.payload) != headUint32(head, sumAt) {
		return record{}, errDamaged
	}
	return r, nil
}

// hasPayload reports whether the record of a head has a payload, and is not damaged.
// It is as strict as read, and needs no memory. The payload must be complete: none is
// the beginning of another of the same kind.
func (a *arena) hasPayload(head, payload []byte) bool {
	n := int(binary.LittleEndian.Uint16(head[partsAt:]))
	if n != (len(payload)+payloadSize-1)/payloadSize || stateSum(headID(head), head[stateAt+4:]) != headUint32(head, stateAt) {
		return false
	}
	sum, next := headSum(head), headUint32(head, payloadAt)
	for ; n > 0; n-- {
		if !a.holds(next) || a.slot(next)[kindAt] != kindPayload {
			return false
		}
		part := a.slot(next)
		size := min(len(payload), payloadSize)
		if !bytes.Equal(part[8:8+size], payload[:size]) {
			return false
		}
		sum, payload, next = crc32.Update(sum, castagnoli, part[8:]), payload[size:], headUint32(part, 4)
	}
	return sum == headUint32(head, sumAt)
}

// write fills free slots with a record. The record takes effect when the head's
// kind is set, which is left to the caller.
func (a *arena) write(slots []uint32, kind byte, id uint64, hash uint32, s state, payload []byte) {
	var head [slotSize]byte
	parts := slots[1:]
	head[kindAt] = kind
	binary.LittleEndian.PutUint16(head[partsAt:], uint16(len(parts)))
	binary.LittleEndian.PutUint32(head[hashAt:], hash)
	binary.LittleEndian.PutUint64(head[idAt:], id)
	encoded := s.encode(id)
	copy(head[stateAt:], encoded[:])
	sum := headSum(head[:])
	for i, slot := range parts {
		var part [slotSize]byte
		part[kindAt] = kindPayload
		if i+1 < len(parts) {
			binary.LittleEndian.PutUint32(part[4:], parts[i+1])
		}
		n := copy(part[8:], payload)
		payload = payload[n:]
		a.store(a.slot(slot), part[:])
		sum = crc32.Update(sum, castagnoli, a.slot(slot)[8:])
	}
	if len(parts) > 0 {
		binary.LittleEndian.PutUint32(head[payloadAt:], parts[0])
	}
	binary.LittleEndian.PutUint32(head[sumAt:], sum)
	a.store(a.slot(slots[0])[1:], head[1:])
}

// withoutName returns the state of a node that is not the newest of its path.
func withoutName(s state) state {
	s.flags &^= flagNamed
	return s
}

// node decodes the record of a node.
func (r record) node() (node, error) {
	d := decoder{b: r.payload}
	path, version := d.versioned(r.state.flags&flagDir != 0)
	if d.err != nil {
		return node{}, fmt.Errorf("node %d: %w", r.id, errDamaged)
	}
	return r.nodeOf(path, version), nil
}

// nodeOf returns the node of a record whose payload has a path and a version.
func (r record) nodeOf(path string, version reader.Version) node {
	return node{
		id: r.id, path: path, version: version, dir: r.state.flags&flagDir != 0, modified: int64(r.state.y),
		lookups: r.state.x & (1<<openShift - 1), opens: r.state.x >> openShift, backing: r.state.backing,
		stale: r.state.flags&flagStale != 0, refused: r.state.flags&flagRefused != 0,
	}
}

// handle decodes the record of a handle.
func (r record) handle() (*handle, error) {
	d := decoder{b: r.payload}
	h := &handle{
		id: r.id, dir: r.state.flags&flagDir != 0, direct: r.state.flags&flagDirect != 0,
		passthrough: r.state.flags&flagPassthrough != 0, counted: r.state.flags&flagCounted != 0,
	}
	h.node = d.uint()
	h.path, h.version = d.versioned(h.dir)
	if d.err != nil {
		return nil, fmt.Errorf("handle %d: %w", r.id, errDamaged)
	}
	return h, nil
}

// names decodes the names of a cursor.
func (r record) names() []string {
	d := decoder{b: r.payload}
	var names []string
	for n := d.uint(); n > 0 && d.err == nil; n-- {
		names = append(names, d.string())
	}
	return names
}

// touch is one change of a request: the kind of the changed record, and its id.
type touch struct {
	kind byte
	id   uint64
}

func appendTouches(b []byte, touches []touch) []byte {
	b = binary.AppendUvarint(b, uint64(len(touches)))
	for _, c := range touches {
		b = binary.AppendUvarint(append(b, c.kind), c.id)
	}
	return b
}

// touches decodes the changes of a request, the newest first.
func (r record) touches() []touch {
	d := decoder{b: r.payload}
	var touches []touch
	for n := d.uint(); n > 0 && d.err == nil; n-- {
		touches = append(touches, touch{kind: d.byte(), id: d.uint()})
	}
	slices.Reverse(touches)
	return touches
}
