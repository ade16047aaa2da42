package blockstore

import (
	"path/filepath"
	"time"
)

// version is the state in memory of one key. Store.mu guards all fields except
// key, hash and blocks.
//
// Invariants: present blocks are durable on disk, with their crc in crcs;
// verified ⊆ present; a block is present, pending or neither, and both only
// while the disk cannot be read; charged is the part of the tier's used bytes
// that this version accounts for; a removed version is not in the index and is
// never inserted again.
type version struct {
	key    Key
	hash   hash
	blocks int64

	// tier is set when the first block is reserved.
	tier *tier
	// meta is the checksum of the sidecar's header, valid once created.
	meta uint32
	// created reports whether the files exist.
	created           bool
	present, verified bitmap
	crcs              []uint32
	npresent          int64
	sealed            bool
	// temporary versions are held for a worker that could not be reached.
	temporary bool
	// expires is when the version is removed; zero for never.
	expires time.Time

	pending map[int64]*pending
	// dirty blocks wait for a writer. listed is set while the version is in
	// Store.dirty.
	dirty  []*pending
	listed bool
	// writing and sealing are set while a goroutine writes or seals the
	// version; at most one does each.
	writing, sealing bool

	// refs counts readers with the file open, loans, writers and flights.
	refs     int
	charged  int64
	removed  bool
	unlinked bool

	// State of the eviction.
	queue      *queue
	prev, next *version
	freq       uint8
	touched    time.Time
}

func newVersion(key Key, h hash, blockSize int64) *version {
	return &version{key: key, hash: h, blocks: blocksOf(key.Size, blockSize), pending: map[int64]*pending{}}
}

// cacheable reports whether the bitmap of the version is small enough.
func (v *version) cacheable() bool { return v.blocks > 0 && v.blocks <= maxBlocks }

func (v *version) has(block int64) bool { return v.present != nil && v.present.has(block) }

// readable reports whether the block is on disk and the disk responds.
func (v *version) readable(block int64) bool {
	return v.has(block) && !v.tier.state.unreadable
}

func (v *version) complete() bool { return v.npresent == v.blocks }

// idle reports whether nothing uses the version.
func (v *version) idle() bool {
	return v.refs == 0 && len(v.pending) == 0 && !v.writing && !v.sealing
}

func (v *version) dataPath() string { return v.path(".data") }
func (v *version) metaPath() string { return v.path(".meta") }

func (v *version) path(suffix string) string {
	name := v.hash.String()
	return filepath.Join(v.tier.dir, name[:2], name+suffix)
}

// blockRange returns the offset and the length of a block in its object.
func blockRange(key Key, blockSize, block int64) (int64, int64) {
	start := block * blockSize
	return start, min(blockSize, key.Size-start)
}

// pending is one block in memory: being fetched, or complete and not on disk
// yet. Store.mu guards its fields, except that its users may read buf and any
// goroutine may wait for done.
type pending struct {
	block  int64
	flight *flight
	// done is closed when the block is complete or failed.
	done  chan struct{}
	err   error
	state blockState
	// buf is nil before the block is complete and after it was freed.
	buf []byte
	crc uint32
	// claims counts the readers that need the block, users those that read buf
	// now.
	claims, users int
	// lingers is set while the unclaimed block is kept in memory, and old when
	// it must not be kept any longer.
	lingers, old bool
	// reserved bytes of the tier; 0 if the block will not be cached.
	reserved int64
}

type blockState int

const (
	loading  blockState = iota
	dirty               // complete, waits for the disk
	stored              // on disk
	uncached            // complete, will not be written
	failed
)

// queue is a list of versions in the order of insertion, newest first.
type queue struct {
	head, tail *version
	bytes      int64
	count      int
}

func (q *queue) push(v *version) {
	v.queue, v.prev, v.next = q, nil, q.head
	if q.head != nil {
		q.head.prev = v
	} else {
		q.tail = v
	}
	q.head = v
	q.bytes += v.charged
	q.count++
}

func (q *queue) remove(v *version) {
	if v.prev != nil {
		v.prev.next = v.next
	} else {
		q.head = v.next
	}
	if v.next != nil {
		v.next.prev = v.prev
	} else {
		q.tail = v.prev
	}
	v.queue, v.prev, v.next = nil, nil, nil
	q.bytes -= v.charged
	q.count--
}

// charge adds n bytes, which may be negative, to the version, its tier and its
// queue.
func (v *version) charge(n int64) {
	v.charged += n
	v.tier.used += n
	if v.queue != nil {
		v.queue.bytes += n
	}
}
