package dirstore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"
)

// formatVersion is the version of the database. A database of another version is emptied, not
// converted: everything in it can be requested from the store again.
const formatVersion = "jindo directories 2"

// Kinds of keys. The kind is the first byte of a key.
const (
	versionKey = 'v'
	headerKey  = 'd'
	entryKey   = 'e'
	pendingKey = 'p'
	totalsKey  = 't'
)

// errDamaged means that a record is not what was written.
var errDamaged = errors.New("damaged record")

// dirID identifies a directory of a mount.
type dirID struct{ mount, dir string }

// maxDirID bounds both fields in bytes, so that their lengths fit two bytes.
const maxDirID = math.MaxUint16

func (d dirID) valid() bool { return len(d.mount) <= maxDirID && len(d.dir) <= maxDirID }

// appendID appends the fields with their lengths, so that no directory's keys
// are a prefix of another's.
func (d dirID) appendID(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(d.mount)))
	b = append(b, d.mount...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(d.dir)))
	return append(b, d.dir...)
}

func (d dirID) header() []byte { return d.appendID([]byte{headerKey}) }

// entries returns the prefix of the keys of a generation's entries.
func (d dirID) entries(generation uint64) []byte {
	return binary.BigEndian.AppendUint64(d.appendID([]byte{entryKey}), generation)
}

// dirIDOf decodes a header's key.
func dirIDOf(key []byte) (dirID, error) {
	if len(key) < 1 || key[0] != headerKey {
		return dirID{}, errDamaged
	}
	mount, rest, ok := cutField(key[1:])
	if !ok {
		return dirID{}, errDamaged
	}
	dir, rest, ok := cutField(rest)
	if !ok || len(rest) > 0 {
		return dirID{}, errDamaged
	}
	return dirID{mount, dir}, nil
}

func cutField(b []byte) (field string, rest []byte, ok bool) {
	if len(b) < 2 {
		return "", nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return "", nil, false
	}
	return string(b[2 : 2+n]), b[2+n:], true
}

// after returns the first key after all keys with a prefix. The prefix must not
// consist of 0xff only.
func after(prefix []byte) []byte {
	out := append([]byte(nil), prefix...)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}

// header is the record of a listed directory.
type header struct {
	// generation of the entries; meaningless if tooBig.
	generation uint64
	// epoch of the mount when the listing began.
	epoch uint64
	// boot identifies the run of the process that listed.
	boot uint64
	// listed is when the listing began, took its duration.
	listed time.Time
	took   time.Duration
	// count is the number of entries; 0 if tooBig.
	count int64
	// hidden is the number of names that the listing had and that cannot be those
	// of files.
	hidden int64
	// tooBig directories have no entries in the database.
	tooBig bool
}

// identity returns a number that differs from that of every other listing of any
// worker.
func (h header) identity() uint64 { return identity(h.boot, h.generation) }

func identity(boot, generation uint64) uint64 {
	return max(1, boot+generation*0x9e3779b97f4a7c15)
}

func (h header) encode() []byte {
	b := binary.AppendUvarint(nil, h.generation)
	b = binary.AppendUvarint(b, h.epoch)
	b = binary.AppendUvarint(b, h.boot)
	b = binary.AppendVarint(b, h.listed.UnixNano())
	b = binary.AppendVarint(b, int64(h.took))
	b = binary.AppendVarint(b, h.count)
	b = binary.AppendVarint(b, h.hidden)
	return seal(append(b, byte(flag(h.tooBig))))
}

func decodeHeader(b []byte) (header, error) {
	r, err := unseal(b)
	if err != nil {
		return header{}, err
	}
	h := header{generation: r.uvarint(), epoch: r.uvarint(), boot: r.uvarint()}
	h.listed = time.Unix(0, r.varint())
	h.took = time.Duration(r.varint())
	h.count, h.hidden = r.varint(), r.varint()
	h.tooBig = r.byte() == 1
	if !r.done() || h.count < 0 || h.hidden < 0 || h.took < 0 {
		return header{}, errDamaged
	}
	return h, nil
}

func (e entry) encode() []byte {
	b := []byte{byte(e.kind)}
	if e.kind == file {
		b = binary.AppendVarint(b, e.size)
		b = binary.AppendVarint(b, e.modified)
		b = append(b, e.etag...)
	}
	return seal(b)
}

func decodeEntry(b []byte) (entry, error) {
	r, err := unseal(b)
	if err != nil {
		return entry{}, err
	}
	e := entry{kind: kind(r.byte())}
	switch e.kind {
	case directory, unknown:
	case file:
		e.size, e.modified = r.varint(), r.varint()
		e.etag = string(r.rest())
	default:
		return entry{}, errDamaged
	}
	if !r.done() || e.size < 0 {
		return entry{}, errDamaged
	}
	return e, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal appends a checksum.
func seal(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func unseal(b []byte) (*record, error) {
	if len(b) < 4 {
		return nil, errDamaged
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, errDamaged
	}
	return &record{b: body}, nil
}

// record decodes fields one after another. After an error it returns zeros, and
// done returns false.
type record struct {
	b      []byte
	failed bool
}

func (r *record) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

func (r *record) varint() int64 {
	v, n := binary.Varint(r.b)
	r.skip(n)
	return v
}

func (r *record) byte() byte {
	if len(r.b) == 0 {
		r.skip(0)
		return 0
	}
	v := r.b[0]
	r.skip(1)
	return v
}

func (r *record) rest() []byte {
	v := r.b
	r.b = nil
	return v
}

// skip drops n bytes that were decoded; n < 1 is an error.
func (r *record) skip(n int) {
	if n < 1 {
		r.failed, r.b = true, nil
		return
	}
	r.b = r.b[n:]
}

func (r *record) done() bool { return !r.failed && len(r.b) == 0 }
