package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

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
// killed or loses power: log, values and snapshots together reach as far as the
// record. Everything that this member acknowledged is within the record.
//
//   - An append is written to the log and synced, then the record is raised and
//     synced, then the append is acknowledged. A crash between the two leaves a
//     log ahead of its record, which is legal: nothing beyond the record was
//     acknowledged.
//   - A suffix that conflicts with the leader's log is removed in the opposite
//     order: the record is lowered to the entry before it and synced, then the
//     suffix is deleted. A crash between the two leaves a log ahead of its
//     record again. The lowered record is the intent.
//   - A prefix is deleted only when a snapshot covers it, and the record of that
//     snapshot is synced before the library learns of the snapshot.
//   - A term or a vote is written to the log's file and synced, then the record
//     follows, then the write returns. The term only grows. The term of the last
//     vote and its candidate are two writes: after the first, the record has no
//     candidate, and any is legal; after the second it has one, and no other is.
//
// A record ahead of its disk therefore proves that something was lost.
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
	// candidate is the checksum of the candidate of the last vote, if voted.
	voted     bool
	candidate uint32
}

// covered is the index up to which this member has acknowledged the log.
func (r tailRecord) covered() uint64 { return max(r.last, r.snapshot) }

// The file has two slots, which are written in turn, so that a write that is
// interrupted destroys neither of the records that were complete before it. They
// are in blocks of their own, because a disk may write 4096 bytes as a whole.
//
//	magic "JDTAIL" | version 2 bytes | checksum of the member id 4 |
//	sequence 8 | last 8 | its term 8 | its checksum 4 | snapshot 8 | its term 8 |
//	term 8 | term of the vote 8 | voted 1 | checksum of the candidate 4 |
//	crc32c 4 bytes, of everything before it
const (
	tailMagic   = "JDTAIL"
	tailVersion = 1
	tailLength  = len(tailMagic) + 2 + 4 + 3*8 + 4 + 4*8 + 1 + 4 + 4
	tailBlock   = 4096
)

func (r tailRecord) encode(member string) []byte {
	raw := append(make([]byte, 0, tailLength), tailMagic...)
	raw = binary.BigEndian.AppendUint16(raw, tailVersion)
	raw = binary.BigEndian.AppendUint32(raw, crc32.Checksum([]byte(member), castagnoli))
	for _, v := range []uint64{r.sequence, r.last, r.lastTerm} {
		raw = binary.BigEndian.AppendUint64(raw, v)
	}
	raw = binary.BigEndian.AppendUint32(raw, r.lastSum)
	for _, v := range []uint64{r.snapshot, r.snapshotTerm, r.term, r.voteTerm} {
		raw = binary.BigEndian.AppendUint64(raw, v)
	}
	voted := byte(0)
	if r.voted {
		voted = 1
	}
	raw = binary.BigEndian.AppendUint32(append(raw, voted), r.candidate)
	return binary.BigEndian.AppendUint32(raw, crc32.Checksum(raw, castagnoli))
}

// decodeTail returns false for a slot that does not hold a record of the member.
func decodeTail(raw []byte, member string) (tailRecord, bool) {
	if len(raw) < tailLength {
		return tailRecord{}, false
	}
	raw = raw[:tailLength]
	sum := binary.BigEndian.Uint32(raw[tailLength-4:])
	if sum != crc32.Checksum(raw[:tailLength-4], castagnoli) || string(raw[:len(tailMagic)]) != tailMagic ||
		binary.BigEndian.Uint16(raw[len(tailMagic):]) != tailVersion ||
		binary.BigEndian.Uint32(raw[len(tailMagic)+2:]) != crc32.Checksum([]byte(member), castagnoli) {
		return tailRecord{}, false
	}
	raw = raw[len(tailMagic)+6:]
	u64 := func(at int) uint64 { return binary.BigEndian.Uint64(raw[at:]) }
	return tailRecord{
		sequence: u64(0), last: u64(8), lastTerm: u64(16), lastSum: binary.BigEndian.Uint32(raw[24:]),
		snapshot: u64(28), snapshotTerm: u64(36), term: u64(44), voteTerm: u64(52),
		voted: raw[60] == 1, candidate: binary.BigEndian.Uint32(raw[61:]),
	}, true
}

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
		raw := make([]byte, tailLength)
		n, err := file.ReadAt(raw, slot*tailBlock)
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
	// block is aligned as direct I/O requires.
	block []byte

	mu     sync.Mutex
	record tailRecord
}

// createTail creates the file, or replaces it, with a record in both slots. Its
// blocks are allocated, so that a later write changes no metadata and needs no
// space.
func createTail(path, member string, record tailRecord) error {
	content := make([]byte, 2*tailBlock)
	record.sequence++
	copy(content, record.encode(member))
	record.sequence++
	copy(content[tailBlock:], record.encode(member))
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
	return &tail{file: file, member: member, block: alignedBlock(), record: record}, nil
}

// update changes the record and makes it durable.
func (t *tail) update(change func(*tailRecord)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.record
	change(&next)
	next.sequence++
	clear(t.block)
	copy(t.block, next.encode(t.member))
	if _, err := t.file.WriteAt(t.block, int64(next.sequence%2)*tailBlock); err != nil {
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

// appended raises the record to an entry that is durable in the log.
func (t *tail) appended(l *raft.Log) error {
	return t.update(func(r *tailRecord) { r.setLast(l) })
}

func (r *tailRecord) setLast(l *raft.Log) {
	r.last, r.lastTerm, r.lastSum = l.Index, l.Term, entryChecksum(l)
}

// truncating lowers the record to the entry before a suffix that is going to be
// deleted; nil when the log has none.
func (t *tail) truncating(before *raft.Log) error {
	return t.update(func(r *tailRecord) {
		r.last, r.lastTerm, r.lastSum = 0, 0, 0
		if before != nil {
			r.setLast(before)
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
		r.voteTerm, r.voted, r.candidate = number(value), false, 0
	case string(keyCandidate):
		r.voted, r.candidate = true, crc32.Checksum(value, castagnoli)
	}
}

// number decodes a value of SetUint64; 0 when it is none.
func number(value []byte) uint64 {
	if len(value) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}
