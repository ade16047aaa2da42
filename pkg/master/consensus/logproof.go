package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/master/consensus/boltfile"
)

// The buckets of raft-boltdb.
const (
	bucketLog    = "logs"
	bucketValues = "conf"
)

// logProof is what the file of a log holds, read without mapping it.
type logProof struct {
	path string
	// metas is the number of valid meta pages.
	metas int
	// first and last are the bounds of the log; 0 when it is empty.
	first, last uint64
	// run is the first entry from which all entries up to last are present,
	// undamaged and in the order of their terms.
	run uint64
	// spoiled is the index of the newest damaged entry; 0 without one.
	spoiled uint64
	// reason describes what ended the newest run before this one.
	reason string
	// lastTerm and lastSum are term and checksum of the last entry.
	lastTerm uint64
	lastSum  uint32
	// wanted is the index of an entry that the tail record names; wantedTerm and
	// wantedSum are what the log has there.
	wanted, wantedTerm uint64
	wantedSum          uint32
	// values are those that the library keeps beside the log.
	values map[string][]byte
}

// proveLog reads the whole file. It returns a DamageError when the file is not a
// complete tree or a value beside the log is damaged. Damaged entries are
// reported in the result, because a snapshot may cover them. wanted is the index
// of an entry whose term and checksum are to be returned.
func proveLog(path string, wanted uint64) (*logProof, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, damage(path, "it is missing")
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, damage(path, "it is not a file")
	}
	p := &logProof{path: path, wanted: wanted, run: 1, values: map[string][]byte{}}
	found, err := boltfile.Verify(file, info.Size(), p.visit)
	var broken *boltfile.DamageError
	if errors.As(err, &broken) {
		return nil, damage(path, "%s", broken.What)
	}
	p.metas = found.Metas
	return p, err
}

func (p *logProof) visit(bucket, key, value []byte) error {
	switch string(bucket) {
	case bucketValues:
		opened, err := openValue(key, value)
		if err != nil {
			return damage(p.path, "%v", err)
		}
		p.values[string(key)] = append([]byte(nil), opened...)
		return nil
	case bucketLog:
		if len(key) != 8 {
			return damage(p.path, "a log entry has the key %x", key)
		}
		p.entry(binary.BigEndian.Uint64(key), value)
		return nil
	}
	return damage(p.path, "it has the unknown part %q", bucket)
}

// entry adds the entry that follows the previous one in the file.
func (p *logProof) entry(index uint64, raw []byte) {
	previous, previousTerm := p.last, p.lastTerm
	if p.first == 0 {
		p.first, p.run = index, index
	}
	p.last = index
	var l raft.Log
	if err := decodeEntry(index, raw, &l); err != nil {
		p.run, p.spoiled, p.reason = index+1, index, err.Error()
		p.lastTerm, p.lastSum = 0, 0
		return
	}
	p.lastTerm, p.lastSum = l.Term, entryChecksum(&l)
	if index == p.wanted {
		p.wantedTerm, p.wantedSum = p.lastTerm, p.lastSum
	}
	switch {
	case previous == 0:
	case index != previous+1:
		p.run, p.reason = index, fmt.Sprintf("log entries %d to %d are missing", previous+1, index-1)
	case l.Term < previousTerm:
		// A snapshot was installed that ends exactly where stale entries do.
		p.run, p.reason = index, fmt.Sprintf("log entry %d has term %d, after term %d", index, l.Term, previousTerm)
	}
}

// decodeEntry decodes and verifies an entry as it is stored.
func decodeEntry(index uint64, raw []byte, l *raft.Log) error {
	if err := codec.NewDecoderBytes(raw, &codec.MsgpackHandle{}).Decode(l); err != nil {
		return fmt.Errorf("log entry %d: %w", index, err)
	}
	if l.Index != index {
		return fmt.Errorf("log entry %d has index %d: %w", index, l.Index, errDamaged)
	}
	return verify(l)
}

// reaches returns the index up to which the log continues a snapshot, which is 0
// for no snapshot. It returns an error when entries between the two are missing
// or damaged.
func (p *logProof) reaches(snapshot uint64) (uint64, error) {
	if p.last <= snapshot {
		return snapshot, nil
	}
	if p.run <= snapshot+1 {
		return p.last, nil
	}
	why := p.reason
	if why == "" {
		why = fmt.Sprintf("the log begins at entry %d", p.run)
	}
	if snapshot == 0 {
		return 0, damage(p.path, "%s, and no snapshot covers it", why)
	}
	return 0, damage(p.path, "%s, after the end of the newest intact snapshot at %d", why, snapshot)
}

// checkValues returns a DamageError unless the values beside the log are present
// and not older than the log and the record. Term and vote are written one by
// one, so a new term may have an older vote, and the term of a vote an older
// candidate.
func (p *logProof) checkValues(record tailRecord, snapshotTerm uint64) error {
	for _, key := range [][]byte{keyTerm, keyVoteTerm} {
		if value, ok := p.values[string(key)]; ok && len(value) != 8 {
			return damage(p.path, "%s has %d bytes", key, len(value))
		}
	}
	term, voteTerm := number(p.values[string(keyTerm)]), number(p.values[string(keyVoteTerm)])
	candidate, voted := p.values[string(keyCandidate)]
	newest := max(p.lastTerm, snapshotTerm)
	var after tailRecord
	after.setValue(keyCandidate, candidate)
	switch {
	case term < newest:
		return damage(p.path, "this member's term is %d, but it has entries of term %d", term, newest)
	case term < record.term:
		return damage(p.path, "this member's term is %d, but it was in term %d", term, record.term)
	case voteTerm > term:
		return damage(p.path, "this member's term is %d, but it voted in term %d", term, voteTerm)
	case voteTerm < record.voteTerm:
		return damage(p.path, "this member's last vote is of term %d, but it voted in term %d", voteTerm, record.voteTerm)
	case voteTerm == record.voteTerm && record.voted && (!voted || after.candidate != record.candidate):
		return damage(p.path, "this member's vote in term %d is not the one that it gave", voteTerm)
	}
	return nil
}
