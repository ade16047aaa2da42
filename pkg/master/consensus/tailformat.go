package consensus

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
)

// The file has two slots, which are written in turn, so that a write that is
// interrupted destroys neither of the records that were complete before it.
// Integers are big-endian.
//
//	magic "JDTAIL" | version 2 bytes | length of all 4 | checksum of the member
//	id 4 | sequence 8 | last 8 | its term 8 | its checksum 4 | snapshot 8 | its
//	term 8 | term 8 | term of the vote 8 | voted 1 | candidate: length 4, bytes |
//	number of entries 4 | entries: type 1 | term 8 | time 8 | length 4 | bytes |
//	crc32c 4 bytes, of everything before it
const (
	tailMagic   = "JDTAIL"
	tailVersion = 1
	// tailBlock is what a disk may write as a whole; a write has whole blocks.
	tailBlock = 4096
	tailSlot  = 16 * tailBlock
	// maxRedo is the size of the largest append that is written to log and record
	// at the same time, in bytes. It leaves room for the rest of the record.
	maxRedo = tailSlot - tailBlock
	// entryOverhead is the size of an entry in the record without its data.
	entryOverhead = 1 + 8 + 8 + 4
)

// encode appends the encoded record to raw.
func (r tailRecord) encode(raw []byte, member string) []byte {
	start := len(raw)
	u32, u64 := binary.BigEndian.AppendUint32, binary.BigEndian.AppendUint64
	raw = binary.BigEndian.AppendUint16(append(raw, tailMagic...), tailVersion)
	raw = u32(u32(raw, 0), crc32.Checksum([]byte(member), castagnoli))
	raw = u32(u64(u64(u64(raw, r.sequence), r.last), r.lastTerm), r.lastSum)
	raw = u64(u64(u64(u64(raw, r.snapshot), r.snapshotTerm), r.term), r.voteTerm)
	voted := byte(0)
	if r.voted {
		voted = 1
	}
	raw = append(u32(append(raw, voted), uint32(len(r.candidate))), r.candidate...)
	raw = u32(raw, uint32(len(r.redo)))
	for _, l := range r.redo {
		raw = u64(u64(append(raw, byte(l.Type)), l.Term), uint64(nanoseconds(l.AppendedAt)))
		raw = append(u32(raw, uint32(len(l.Data))), l.Data...)
	}
	binary.BigEndian.PutUint32(raw[start+len(tailMagic)+2:], uint32(len(raw)-start+4))
	return u32(raw, crc32.Checksum(raw[start:], castagnoli))
}

// decodeTail returns false for a slot that does not hold a record of the member.
func decodeTail(raw []byte, member string) (tailRecord, bool) {
	head := len(tailMagic) + 2
	if len(raw) < head+8 || string(raw[:len(tailMagic)]) != tailMagic || binary.BigEndian.Uint16(raw[len(tailMagic):]) != tailVersion {
		return tailRecord{}, false
	}
	length := int64(binary.BigEndian.Uint32(raw[head:]))
	if length < int64(head+8+4) || length > int64(len(raw)) {
		return tailRecord{}, false
	}
	raw = raw[:length]
	if binary.BigEndian.Uint32(raw[length-4:]) != crc32.Checksum(raw[:length-4], castagnoli) ||
		binary.BigEndian.Uint32(raw[head+4:]) != crc32.Checksum([]byte(member), castagnoli) {
		return tailRecord{}, false
	}
	d := &fields{raw: raw[head+8 : length-4]}
	r := tailRecord{
		sequence: d.u64(), last: d.u64(), lastTerm: d.u64(), lastSum: d.u32(),
		snapshot: d.u64(), snapshotTerm: d.u64(), term: d.u64(), voteTerm: d.u64(), voted: d.u8() == 1,
	}
	r.candidate = d.bytes()
	count := uint64(d.u32())
	for i := uint64(0); i < count && !d.short; i++ {
		l := &raft.Log{Index: r.last - count + 1 + i, Type: raft.LogType(d.u8()), Term: d.u64(), AppendedAt: fromNanoseconds(int64(d.u64()))}
		l.Data = d.bytes()
		seal(l)
		r.redo = append(r.redo, l)
	}
	return r, !d.short && len(d.raw) == 0 && count <= r.last
}

// nanoseconds returns 0 for the zero time.
func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanoseconds(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// fields reads the fields of a record. A read beyond its end sets short.
type fields struct {
	raw   []byte
	short bool
}

func (d *fields) take(n int) []byte {
	if n > len(d.raw) {
		d.short = true
		return make([]byte, min(n, 8))
	}
	taken := d.raw[:n]
	d.raw = d.raw[n:]
	return taken
}

func (d *fields) u8() byte      { return d.take(1)[0] }
func (d *fields) u32() uint32   { return binary.BigEndian.Uint32(d.take(4)) }
func (d *fields) u64() uint64   { return binary.BigEndian.Uint64(d.take(8)) }
func (d *fields) bytes() []byte { return bytes.Clone(d.take(int(d.u32()))) }
