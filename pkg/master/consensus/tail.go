package consensus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// The keys of the values that the library keeps beside the log.
var (
	keyTerm      = []byte("CurrentTerm")
	keyVoteTerm  = []byte("LastVoteTerm")
	keyCandidate = []byte("LastVoteCand")
)

// tailRecord is what a member's disk must hold at least. It is kept in a file
// beside the log, so that a log that lost its newest part consistently, which no
// checksum within it can reveal, is recognized at the next start.
//
// Invariant, at every moment, also between two writes of a process that is
// killed or loses power: log, values and snapshots, together with the entries
// that the record carries, reach as far as the record. Everything that this
// member acknowledged is within the record.
//
//   - An append is acknowledged when both the log and the record are synced. A
//     small one is written to both at the same time, and the record carries the
//     entries: a crash leaves either ahead of the other, and a start appends to
//     the log what only the record has. A large one is written to the log first.
//     What only the log has was not acknowledged, and is legal.
//   - A suffix that conflicts with the leader's log is removed in the opposite
//     order: the record is lowered to the entry before it and synced, then the
//     suffix is deleted. A crash between the two leaves a log ahead of its
//     record. The lowered record is the intent.
//   - A prefix is deleted only when a snapshot covers it, and the record of that
//     snapshot is synced before the library learns of the snapshot.
//   - A term or a vote is written to the log's file and synced, then the record
//     follows, then the write returns. The term only grows. The term of the last
//     vote and its candidate are two writes: after the first, the record has no
//     candidate, and any is legal; after the second it has one, and no other is.
//     What the record has is what was acknowledged, and replaces an older or
//     damaged value.
//
// A disk that does not reach its record therefore lost something.
type tailRecord struct {
	// sequence increases with each write.
	sequence uint64
	// last, lastTerm and lastSum are index, term and checksum of the last log
	// entry; last is 0 when no entry of the log is needed.
	last, lastTerm uint64
	lastSum        uint32
	// snapshot and snapshotTerm are those of the newest snapshot, 0 without one.
	snapshot, snapshotTerm uint64
	// term is the current term, voteTerm that of the last vote.
	term, voteTerm uint64
	// candidate is that of the last vote, if voted.
	voted     bool
	candidate []byte
	// redo are the entries of the last append, up to last, if it was a small one.
	redo []*raft.Log
}

// covered is the index up to which this member has acknowledged the log.
func (r tailRecord) covered() uint64 { return max(r.last, r.snapshot) }

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

// readTail returns the newest record in a file. It returns a damageError when
// the file has none of this member.
func readTail(path, member string) (tailRecord, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return tailRecord{}, damage(path, "it is missing")
	}
	if err != nil {
		return tailRecord{}, err
	}
	defer file.Close()
	var newest tailRecord
	found := false
	for slot := range int64(2) {
		raw := make([]byte, tailSlot)
		n, err := file.ReadAt(raw, slot*tailSlot)
		if err != nil && !errors.Is(err, io.EOF) {
			return tailRecord{}, err
		}
		if record, ok := decodeTail(raw[:n], member); ok && (!found || record.sequence > newest.sequence) {
			newest, found = record, true
		}
	}
	if !found {
		return tailRecord{}, damage(path, "neither of its records belongs to this member and is complete")
	}
	return newest, nil
}

// tail is the open file with the record. Its methods are safe for concurrent
// use.
type tail struct {
	file   *os.File
	member string
	// slot is aligned as direct I/O requires.
	slot []byte

	mu     sync.Mutex
	record tailRecord
}

// createTail creates the file, or replaces it, with a record in both slots. Its
// blocks are allocated, so that a later write changes no metadata and needs no
// space.
func createTail(path, member string, record tailRecord) error {
	content := make([]byte, 2*tailSlot)
	record.sequence++
	record.encode(content[:0:tailSlot], member)
	record.sequence++
	record.encode(content[tailSlot:tailSlot], member)
	return atomicfile.Write(path, content, 0o600)
}

// openTail opens a file that createTail has written.
func openTail(path, member string) (*tail, error) {
	record, err := readTail(path, member)
	if err != nil {
		return nil, err
	}
	file, err := openSynced(path)
	if err != nil {
		return nil, err
	}
	t := &tail{file: file, member: member, slot: alignedSlot(), record: record}
	// After two writes both slots are complete, also if one was damaged.
	for range 2 {
		if err := t.update(func(*tailRecord) {}); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return t, nil
}

// update changes the record and makes it durable.
func (t *tail) update(change func(*tailRecord)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.record
	change(&next)
	next.sequence++
	used := len(next.encode(t.slot[:0], t.member))
	if used > tailSlot {
		return fmt.Errorf("write tail record: it has %d bytes, more than %d", used, tailSlot)
	}
	whole := (used + tailBlock - 1) / tailBlock * tailBlock
	clear(t.slot[used:whole])
	if _, err := t.file.WriteAt(t.slot[:whole], int64(next.sequence%2)*tailSlot); err != nil {
		return fmt.Errorf("write tail record: %w", err)
	}
	t.record = next
	return nil
}

func (t *tail) get() tailRecord {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.record
}

// close closes the file. A nil tail is closed.
func (t *tail) close() error {
	if t == nil {
		return nil
	}
	return t.file.Close()
}

// append appends entries with store and raises the record to the last one. When
// it returns nil, both are durable. When store fails, the record is as before.
func (t *tail) append(logs []*raft.Log, store func() error) error {
	last := logs[len(logs)-1]
	if !redoable(logs) {
		if err := store(); err != nil {
			return err
		}
		return t.update(func(r *tailRecord) { r.setLast(last, nil) })
	}
	before := t.get()
	recorded := make(chan error, 1)
	go func() { recorded <- t.update(func(r *tailRecord) { r.setLast(last, logs) }) }()
	err := store()
	failed := <-recorded
	if err != nil && failed == nil {
		failed = t.update(func(r *tailRecord) {
			r.last, r.lastTerm, r.lastSum, r.redo = before.last, before.lastTerm, before.lastSum, before.redo
		})
	}
	return errors.Join(err, failed)
}

// redoable reports whether a record can carry entries.
func redoable(logs []*raft.Log) bool {
	size := 0
	for i, l := range logs {
		size += entryOverhead + len(l.Data)
		if size > maxRedo || l.Index != logs[0].Index+uint64(i) {
			return false
		}
	}
	return true
}

func (r *tailRecord) setLast(l *raft.Log, redo []*raft.Log) {
	r.last, r.lastTerm, r.lastSum, r.redo = l.Index, l.Term, entryChecksum(l), redo
}

// truncating lowers the record to the entry before a suffix that is going to be
// deleted; nil when the log has none.
func (t *tail) truncating(before *raft.Log) error {
	return t.update(func(r *tailRecord) {
		r.last, r.lastTerm, r.lastSum, r.redo = 0, 0, 0, nil
		if before != nil {
			r.setLast(before, nil)
		}
	})
}

// snapshotTaken raises the record to a durable snapshot.
func (t *tail) snapshotTaken(index, term uint64) error {
	return t.update(func(r *tailRecord) {
		if index >= r.snapshot {
			r.snapshot, r.snapshotTerm = index, term
		}
	})
}

// stored records a value that is durable in the log's file.
func (t *tail) stored(key, value []byte) error {
	return t.update(func(r *tailRecord) { r.setValue(key, value) })
}

func (r *tailRecord) setValue(key, value []byte) {
	switch string(key) {
	case string(keyTerm):
		r.term = number(value)
	case string(keyVoteTerm):
		r.voteTerm, r.voted, r.candidate = number(value), false, nil
	case string(keyCandidate):
		r.voted, r.candidate = true, bytes.Clone(value)
	}
}

// number decodes a value of SetUint64; 0 when it is none.
func number(value []byte) uint64 {
	if len(value) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}
