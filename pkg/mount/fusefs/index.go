//go:build linux

package fusefs

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// The two indexes are hash tables with linear hashing: the number of buckets
// grows by one when the number of records exceeds it, and only the records of one
// bucket move. Therefore no change of the table takes longer because the table
// is large. The records of a bucket are linked through their heads.
//
// The links are hints: every record that is reached through them is verified, and
// the scan after a takeover rebuilds the indexes if a record is not reached.

// minBuckets is the number of buckets of an empty index.
const minBuckets = 1 << 10

// maxHops bounds the records of a bucket that are visited. More of them mean that
// a link is damaged.
const maxHops = 1 << 10

// index is one of the two indexes.
type index struct {
	// offset is that of the index's buckets within the buckets of a chunk, and
	// next that of the link in a head, in bytes.
	offset, next int
	// hash returns the hash of a head.
	hash func(head []byte) uint32
}

var (
	byID   = &index{offset: 0, next: nextIDAt, hash: func(head []byte) uint32 { return hashID(headID(head)) }}
	byPath = &index{offset: 4 * chunkBuckets, next: nextPathAt, hash: func(head []byte) uint32 { return headUint32(head, hashAt) }}
)

// hashID mixes the bits of an id (the finalizer of MurmurHash3).
func hashID(id uint64) uint32 {
	id = (id ^ id>>33) * 0xff51afd7ed558ccd
	id = (id ^ id>>33) * 0xc4ceb9fe1a85ec53
	return uint32(id ^ id>>33)
}

// hashPath returns the hash of a path. The seed keeps the names of a store from
// being chosen so that they share a bucket.
func (t *table) hashPath(path string) uint32 {
	var d xxhash.Digest
	d.ResetWithSeed(t.header.seed)
	_, _ = d.WriteString(path)
	return uint32(d.Sum64())
}

// bucket returns the address of the bucket of a hash.
func (t *table) bucket(i *index, hash uint32) uint64 {
	n := t.root.buckets
	b := hash & (1<<bits.Len32(n-1) - 1)
	if b >= n {
		b = hash & (1<<(bits.Len32(n-1)-1) - 1)
	}
	return bucketAddress(i, b)
}

func bucketAddress(i *index, b uint32) uint64 {
	return prologueSize + uint64(b/chunkBuckets)*chunkSize + uint64(i.offset) + 4*uint64(b%chunkBuckets)
}

// linkAt returns the slot number at an address, 0 for a damaged one.
func (t *table) linkAt(address uint64) uint32 {
	slot := headUint32(t.arena.at(address, 4), 0)
	if slot == 0 || t.arena.holds(slot) && isHead(t.arena.slot(slot)) {
		return slot
	}
	t.damagedLinks = true
	return 0
}

// visit calls each for the records of the bucket of a hash, with the address of
// the link to the record, until it returns false.
func (t *table) visit(i *index, hash uint32, each func(slot uint32, link uint64) bool) {
	link := t.bucket(i, hash)
	for range maxHops {
		slot := t.linkAt(link)
		if slot == 0 || !each(slot, link) {
			return
		}
		link = addressOf(slot) + uint64(i.next)
	}
	t.damagedLinks = true
}

// findID returns the slot of the first record of a kind and id that accept
// accepts, 0 if there is none.
func (t *table) findID(kind byte, id uint64) (found uint32) {
	t.visit(byID, hashID(id), func(slot uint32, _ uint64) bool {
		if head := t.arena.slot(slot); head[kindAt] == kind && headID(head) == id {
			found = slot
		}
		return found == 0
	})
	return found
}

// findPath returns the record of the newest node of a path.
func (t *table) findPath(path string) (found record, n node, ok bool) {
	hash := t.hashPath(path)
	t.visit(byPath, hash, func(slot uint32, _ uint64) bool {
		if headUint32(t.arena.slot(slot), hashAt) != hash {
			return true
		}
		r, err := t.arena.read(slot)
		if err == nil && r.kind == kindNode {
			if n, err = r.node(); err == nil && n.path == path {
				found, ok = r, true
			}
		}
		return !ok
	})
	return found, n, ok
}

// findEncoded returns the newest node of the path with a hash, if it has a payload.
// The record has no payload.
func (t *table) findEncoded(hash uint32, payload []byte) (found record, ok bool) {
	t.visit(byPath, hash, func(slot uint32, _ uint64) bool {
		head := t.arena.slot(slot)
		if headUint32(head, hashAt) == hash && head[kindAt] == kindNode && t.arena.hasPayload(head, payload) {
			found, ok = record{slot: slot, kind: kindNode, id: headID(head), hash: hash, state: decodeState(head)}, true
		}
		return !ok
	})
	return found, ok
}

// link inserts a record into an index. It is part of a transaction.
func (t *table) link(i *index, slot uint32) {
	bucket := t.bucket(i, i.hash(t.arena.slot(slot)))
	t.arena.put32(addressOf(slot)+uint64(i.next), headUint32(t.arena.at(bucket, 4), 0))
	t.arena.put32(bucket, slot)
}

// unlink removes a record from an index. It is part of a transaction.
func (t *table) unlink(i *index, slot uint32) {
	head := t.arena.slot(slot)
	t.visit(i, i.hash(head), func(other uint32, link uint64) bool {
		if other == slot {
			t.arena.put32(link, headUint32(head, i.next))
		}
		return other != slot
	})
}

// split adds one bucket to each index if they have less buckets than records. It
// is part of a transaction.
func (t *table) split() {
	n := t.root.buckets
	if t.root.records <= uint64(n) || int(n) >= len(t.arena.chunks)*chunkBuckets {
		return
	}
	for _, i := range []*index{byID, byPath} {
		t.splitBucket(i, n)
	}
	t.root.buckets++
}

// splitBucket moves the records of bucket n from the bucket that they have been in
// so far. Records keep their order.
func (t *table) splitBucket(i *index, n uint32) {
	half := uint32(1) << (bits.Len32(n) - 1)
	keep, move := bucketAddress(i, n-half), bucketAddress(i, n)
	slot := t.linkAt(keep)
	for hops := 0; slot != 0 && hops < maxHops; hops++ {
		head := t.arena.slot(slot)
		end := &keep
		if i.hash(head)&(2*half-1) == n {
			end = &move
		}
		if headUint32(t.arena.at(*end, 4), 0) != slot {
			t.arena.put32(*end, slot)
		}
		*end = addressOf(slot) + uint64(i.next)
		slot = t.linkAt(*end)
	}
	for _, end := range []uint64{keep, move} {
		if headUint32(t.arena.at(end, 4), 0) != 0 {
			t.arena.put32(end, 0)
		}
	}
}
