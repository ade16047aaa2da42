//go:build linux

package fusefs

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"time"
)

// root holds the counters of a table. It is written in every transaction.
type root struct {
	chunks, buckets uint32
	// missing is the number of further chunks, which are in the memory of the
	// process only because the file could not be extended.
	missing uint32
	// records is the number of records in the index by id; nodes and handles are
	// those of these kinds.
	records, nodes, handles uint64
	// largest is the largest id of a node or handle so far.
	largest uint64
}

const rootSize = 4 + 4 + 4 + 8 + 8 + 8 + 8 + 4

func (r root) encode() (b [rootSize]byte) {
	p := b[:0]
	p = binary.LittleEndian.AppendUint32(p, r.chunks)
	p = binary.LittleEndian.AppendUint32(p, r.buckets)
	p = binary.LittleEndian.AppendUint32(p, r.missing)
	for _, v := range [...]uint64{r.records, r.nodes, r.handles, r.largest} {
		p = binary.LittleEndian.AppendUint64(p, v)
	}
	binary.LittleEndian.PutUint32(b[rootSize-4:], crc32.Checksum(p, castagnoli))
	return b
}

func decodeRoot(b []byte) (root, bool) {
	if crc32.Checksum(b[:rootSize-4], castagnoli) != binary.LittleEndian.Uint32(b[rootSize-4:]) {
		return root{}, false
	}
	u64 := binary.LittleEndian.Uint64
	return root{
		chunks: binary.LittleEndian.Uint32(b), buckets: binary.LittleEndian.Uint32(b[4:]), missing: binary.LittleEndian.Uint32(b[8:]),
		records: u64(b[12:]), nodes: u64(b[20:]), handles: u64(b[28:]), largest: u64(b[36:]),
	}, true
}

// space is the set of slots in use. It is not in the file: a successor finds them
// by its scan, and until then uses only slots that no predecessor has used.
type space struct {
	// used has one bit for each slot.
	used []uint64
	// unused and inChunk are the numbers of unused slots in all and of used slots
	// in each chunk.
	unused  int
	inChunk []int
	// cursor is the slot at which the next search begins.
	cursor uint32
	// freed holds the slots that the current transaction has freed, and taken
	// those that it uses. Freed slots can be used after the commit only: a
	// rollback restores their records.
	freed, taken []uint32
}

func (s *space) isUsed(slot uint32) bool { return s.used[slot/64]&(1<<(slot%64)) != 0 }

func (s *space) setUsed(slot uint32) {
	if !s.isUsed(slot) {
		s.used[slot/64] |= 1 << (slot % 64)
		s.inChunk[slot/chunkSlots]++
		s.unused--
	}
}

func (s *space) setUnused(slot uint32) {
	if s.isUsed(slot) {
		s.used[slot/64] &^= 1 << (slot % 64)
		s.inChunk[slot/chunkSlots]--
		s.unused++
	}
}

// addChunk adds the slots of a chunk, all of them unused unless full is set.
func (s *space) addChunk(full bool) {
	first := uint32(len(s.inChunk)) * chunkSlots
	s.inChunk = append(s.inChunk, chunkSlots)
	for range chunkSlots / 64 {
		s.used = append(s.used, ^uint64(0))
	}
	if full {
		return
	}
	for slot := first + bucketSlots; slot < first+chunkSlots; slot++ {
		s.setUnused(slot)
	}
	s.cursor = first + bucketSlots
}

// next returns an unused slot. There must be one.
func (s *space) next() uint32 {
	for word := s.cursor / 64; ; word++ {
		if int(word) >= len(s.used) {
			word = 0
		}
		if free := ^s.used[word]; free != 0 {
			s.cursor = word * 64
			return word*64 + uint32(bits.TrailingZeros64(free))
		}
	}
}

// allocate returns n unused slots.
func (t *table) allocate(n int) []uint32 {
	slots := make([]uint32, 0, n)
	for len(slots) < n {
		// With few unused slots a search would take long.
		if t.space.unused <= len(t.space.used)*64/32 && !t.space.freshChunk() {
			t.grow()
		}
		slot := t.space.next()
		if chunk := slot / chunkSlots; !t.arena.reserve(int(chunk)) {
			// The disk has no space for this chunk any more.
			t.hideChunk(chunk)
			continue
		}
		t.space.setUsed(slot)
		t.space.taken = append(t.space.taken, slot)
		slots = append(slots, slot)
	}
	return slots
}

// freshChunk reports whether the search is in a chunk with many unused slots.
func (s *space) freshChunk() bool {
	chunk := s.cursor / chunkSlots
	return int(chunk) < len(s.inChunk) && s.unused > 0 && s.inChunk[chunk] < chunkSlots*7/8
}

// hideChunk marks all slots of a chunk as used.
func (t *table) hideChunk(chunk uint32) {
	for slot := chunk * chunkSlots; slot < (chunk+1)*chunkSlots; slot++ {
		t.space.setUsed(slot)
	}
}

// grow adds a chunk. When the disk is full, it is in memory only: lookups and
// reads work, and only a takeover would lose open files.
func (t *table) grow() {
	if err := t.arena.grow(); err != nil && t.broken == nil {
		t.broken, t.retryAt = err, time.Now().Add(retryAfter)
		t.log.Error("cannot extend the node table; files opened from now on are lost if this server ends", "error", err)
	}
	t.space.addChunk(false)
}

// retryAfter is the time between attempts to write the table after a failure.
const retryAfter = 10 * time.Second

// save moves what is only in memory into the file, after a failure.
func (t *table) save() {
	if err := t.arena.save(); err != nil {
		t.retryAt = time.Now().Add(retryAfter)
		t.log.Error("cannot extend the node table; files opened since then are lost if this server ends", "error", err)
		return
	}
	t.begin()
	t.commit()
	t.broken = nil
	t.log.Info("writing the node table works again")
}

// begin starts a transaction.
func (t *table) begin() {
	if t.arena.undo != 0 {
		// A panic has left a transaction open.
		t.arena.begin()
		t.root, _ = decodeRoot(t.arena.at(rootAt, rootSize))
		for _, slot := range t.space.taken {
			t.space.setUnused(slot)
		}
	}
	t.space.freed, t.space.taken = t.space.freed[:0], t.space.taken[:0]
}

// commit ends a transaction. When it returns, the changes survive this process.
func (t *table) commit() {
	t.root.chunks, t.root.missing = uint32(t.arena.backed), uint32(len(t.arena.chunks)-t.arena.backed)
	encoded := t.root.encode()
	t.arena.put(rootAt, encoded[:])
	t.arena.commit()
	for _, slot := range t.space.freed {
		if t.scanning.pends(slot) {
			continue
		}
		t.space.setUnused(slot)
		t.releaseChunk(slot / chunkSlots)
		if slot < t.space.cursor && slot/chunkSlots == t.space.cursor/chunkSlots {
			t.space.cursor = slot
		}
	}
	t.space.freed, t.space.taken = t.space.freed[:0], t.space.taken[:0]
}

// releaseChunk gives the space of a chunk back if it holds no records and is not
// the one in which the next record will be.
func (t *table) releaseChunk(chunk uint32) {
	if t.space.inChunk[chunk] == bucketSlots && t.scanned && !t.arena.isHole(int(chunk)) && chunk != t.space.cursor/chunkSlots {
		t.arena.release(int(chunk))
	}
}

// insert writes a record and returns its slot. It is part of a transaction.
func (t *table) insert(kind byte, id uint64, hash uint32, s state, payload []byte) uint32 {
	parts := (len(payload) + payloadSize - 1) / payloadSize
	if parts > maxParts {
		// No name or version is that long. The record is unreadable, as if it
		// were damaged.
		payload, parts = nil, 0
	}
	slots := t.allocate(1 + parts)
	head := slots[0]
	t.arena.write(slots, kind, id, hash, s, payload)
	t.arena.put(addressOf(head)+kindAt, []byte{kind})
	if kind == kindCursor {
		return head
	}
	t.link(byID, head)
	if s.flags&flagNamed != 0 {
		t.link(byPath, head)
	}
	t.root.records++
	if !t.scanned {
		t.scanning.created(kind)
	}
	switch kind {
	case kindNode:
		t.root.nodes++
		t.root.largest = max(t.root.largest, id)
	case kindHandle:
		t.root.handles++
		t.root.largest = max(t.root.largest, id)
	}
	t.split()
	return head
}

// remove removes a record. It is part of a transaction.
func (t *table) remove(r record) {
	if r.kind != kindCursor {
		t.unlink(byID, r.slot)
		if r.state.flags&flagNamed != 0 {
			t.unlink(byPath, r.slot)
		}
		t.root.records -= min(1, t.root.records)
	}
	if !t.scanned {
		t.scanning.removed(r)
	}
	switch r.kind {
	case kindNode:
		t.root.nodes -= min(1, t.root.nodes)
	case kindHandle:
		t.root.handles -= min(1, t.root.handles)
	}
	t.arena.put(addressOf(r.slot)+kindAt, []byte{kindFree})
	t.space.freed = append(append(t.space.freed, r.slot), r.parts...)
}

// setState replaces the state of a record. It is part of a transaction.
func (t *table) setState(r *record, s state) {
	if named, before := s.flags&flagNamed != 0, r.state.flags&flagNamed != 0; named != before {
		if named {
			t.link(byPath, r.slot)
		} else {
			t.unlink(byPath, r.slot)
		}
	}
	r.state = s
	encoded := s.encode(r.id)
	t.arena.put(addressOf(r.slot)+stateAt, encoded[:])
}
