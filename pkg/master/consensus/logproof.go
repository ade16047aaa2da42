package consensus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/master/consensus/boltfile"
)

// The buckets of raft-boltdb.
const (
	bucketLog    = "logs"
	bucketValues = "conf"
)

// usedKeys are the keys of the values that are read at a start.
var usedKeys = []string{string(keyTerm), string(keyVoteTerm), string(keyCandidate), string(keyIncarnation)}

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
	// record is what the disk must hold; redo are its entries that the log does
	// not have, or has damaged, and the log is taken to have.
	record tailRecord
	redo   []*raft.Log
	// conflict is the index of an entry that the record has otherwise; 0 without
	// one.
	conflict uint64
	// recorded reports whether the log has the entry that the record names.
	recorded bool
	// values are those that the library keeps beside the log, without damaged
	// ones.
	values map[string][]byte
	// spoiledValues holds the keys of the damaged ones.
	spoiledValues []string
	// repaired describes the damage that the record repairs.
	repaired []*DamageError
}

// proveLog reads the whole file. It returns a DamageError when the file is not a
// complete tree. Damaged entries are reported in the result, because a snapshot
// may cover them. Entries that the record carries are taken to be in the log,
// unless they are within the snapshot with the given index and the log ends
// before it.
func proveLog(path string, record tailRecord, snapshot uint64) (*logProof, error) {
	p := &logProof{path: path, record: record, run: 1, values: map[string][]byte{}}
	found, err := proveTree(path, p.visit)
	if errors.Is(err, os.ErrNotExist) {
		return nil, damage(path, "it is missing")
	}
	if err != nil {
		return nil, err
	}
	p.metas = found.Metas
	for _, l := range record.redo {
		if l.Index == p.last+1 || p.last <= snapshot && l.Index == snapshot+1 {
			p.redo = append(p.redo, l)
			p.add(l)
		}
	}
	return p, nil
}

// proveTree reads the whole file of a log and calls visit for every key. It
// returns a DamageError when the file is not a complete tree.
func proveTree(path string, visit boltfile.Visit) (boltfile.Info, error) {
	file, err := os.Open(path)
	if err != nil {
		return boltfile.Info{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return boltfile.Info{}, err
	}
	if !info.Mode().IsRegular() {
		return boltfile.Info{}, damage(path, "it is not a file")
	}
	found, err := boltfile.Verify(file, info.Size(), visit)
	var broken *boltfile.DamageError
	if errors.As(err, &broken) {
		return found, damage(path, "%s", broken.What)
	}
	return found, err
}

func (p *logProof) visit(bucket, key, value []byte) error {
	switch string(bucket) {
	case bucketValues:
		opened, err := openValue(key, value)
		if err != nil {
			p.repaired = append(p.repaired, damage(p.path, "%v", err))
			p.spoiledValues = append(p.spoiledValues, string(key))
			return nil
		}
		p.values[string(key)] = bytes.Clone(opened)
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

// entry adds the entry that follows the previous one in the file. The record's
// own copy replaces a damaged one. Where the two differ and both are intact, one
// of the files is an older copy, and neither is trusted.
func (p *logProof) entry(index uint64, raw []byte) {
	l := &raft.Log{}
	err := decodeEntry(index, raw, l)
	if carried := p.record.carried(index); carried != nil {
		switch {
		case err != nil:
			p.repaired = append(p.repaired, damage(p.path, "%v", err))
			p.redo = append(p.redo, carried)
			l, err = carried, nil
		case l.Term != carried.Term || entryChecksum(l) != entryChecksum(carried):
			p.conflict = index
		}
	}
	if err == nil {
		p.add(l)
		return
	}
	if p.first == 0 {
		p.first = index
	}
	p.last, p.lastTerm, p.lastSum = index, 0, 0
	p.run, p.spoiled, p.reason = index+1, index, err.Error()
}

// add adds an undamaged entry that follows the previous one.
func (p *logProof) add(l *raft.Log) {
	switch {
	case p.first == 0:
		p.first, p.run = l.Index, l.Index
	case l.Index != p.last+1:
		p.run, p.reason = l.Index, fmt.Sprintf("log entries %d to %d are missing", p.last+1, l.Index-1)
	case l.Term < p.lastTerm:
		// A snapshot was installed that ends exactly where stale entries do.
		p.run, p.reason = l.Index, fmt.Sprintf("log entry %d has term %d, after term %d", l.Index, l.Term, p.lastTerm)
	}
	p.last, p.lastTerm, p.lastSum = l.Index, l.Term, entryChecksum(l)
	if l.Index == p.record.last {
		p.recorded = p.lastTerm == p.record.lastTerm && p.lastSum == p.record.lastSum
	}
}

// carried returns the entry that the record carries at an index, or nil.
func (r tailRecord) carried(index uint64) *raft.Log {
	first := r.last - uint64(len(r.redo)) + 1
	if len(r.redo) == 0 || index < first || index > r.last {
		return nil
	}
	return r.redo[index-first]
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

// mend replaces the values beside the log that are older than the record, and
// returns those that it replaced. Term and vote are written one by one, so a new
// term may have an older vote, and the term of a vote an older candidate.
func (p *logProof) mend() map[string][]byte {
	mended := map[string][]byte{}
	set := func(key, value []byte, what string) {
		p.repaired = append(p.repaired, damage(p.path, "%s", what))
		mended[string(key)], p.values[string(key)] = value, value
	}
	if r := p.record; number(p.values[string(keyTerm)]) < r.term {
		set(keyTerm, encodeNumber(r.term), fmt.Sprintf("this member's term is %d, but it was in term %d", number(p.values[string(keyTerm)]), r.term))
	}
	if r := p.record; number(p.values[string(keyVoteTerm)]) < r.voteTerm {
		set(keyVoteTerm, encodeNumber(r.voteTerm), fmt.Sprintf("this member's last vote is of term %d, but it voted in term %d", number(p.values[string(keyVoteTerm)]), r.voteTerm))
	}
	candidate, voted := p.values[string(keyCandidate)]
	if r := p.record; r.voted && number(p.values[string(keyVoteTerm)]) == r.voteTerm && (!voted || !bytes.Equal(candidate, r.candidate)) {
		set(keyCandidate, r.candidate, fmt.Sprintf("this member's vote in term %d is not the one that it gave", r.voteTerm))
	}
	return mended
}

// checkValues returns a DamageError unless the values beside the log are intact
// or mended, and consistent with each other, with the log, and with a snapshot of
// a term. A damaged value under another key is one that was renamed, and counts
// as absent under its own.
func (p *logProof) checkValues(snapshotTerm uint64) error {
	for _, key := range p.spoiledValues {
		_, mended := p.values[key]
		if used := slices.Contains(usedKeys, key); used && !mended {
			return damage(p.path, "%s of this member: %v", key, errDamaged)
		}
	}
	term, voteTerm := number(p.values[string(keyTerm)]), number(p.values[string(keyVoteTerm)])
	switch newest := max(p.lastTerm, snapshotTerm); {
	case term < newest:
		return damage(p.path, "this member's term is %d, but it has entries of term %d", term, newest)
	case voteTerm > term:
		return damage(p.path, "this member's term is %d, but it voted in term %d", term, voteTerm)
	}
	return nil
}

func encodeNumber(value uint64) []byte { return binary.BigEndian.AppendUint64(nil, value) }
