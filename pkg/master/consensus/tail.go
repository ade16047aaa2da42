package consensus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

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
	t := &tail{member: member, slot: alignedSlot(), record: record}
	err = t.open(path, true)
	if errors.Is(err, syscall.EINVAL) {
		// The file system has no direct I/O.
		err = t.open(path, false)
	}
	if err != nil {
		return nil, fmt.Errorf("open tail record: %w", err)
	}
	return t, nil
}

// open opens the file and writes both slots, of which one may be damaged.
func (t *tail) open(path string, direct bool) error {
	file, err := openSynced(path, direct)
	if err != nil {
		return err
	}
	t.file = file
	for range 2 {
		if err := t.update(func(*tailRecord) {}); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return nil
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
