package blockstore

import (
	"path/filepath"
	"time"
)

// version is what memory knows of one key. All fields but the first group are
// guarded by Store.mu.
//
// Invariants: present blocks are on disk, durable, with their crc in crcs;
// verified ⊆ present; a block is present or pending or neither, and both only
// while the disk cannot be read; charged is what the tier's used counts for
// it; gone means that the index does not have it and never will again.
type version struct {
	key    Key
	hash   hash
	blocks int64

	// tier is chosen when the first block is reserved.
	tier *tier
	meta uint32 // checksum of the header, once created
	// created: the files are there.
	created           bool
	present, verified bitmap
	crcs              []uint32
	npresent          int64
	sealed            bool
	// temporary: held for a worker that could not be reached.
	temporary bool
	// expires: when it leaves by itself; zero for never.
	expires time.Time

	pending map[int64]*pending
	// dirty blocks wait for a writer; listed while it is in Store.dirty.
	dirty  []*pending
	listed bool
	// writing and sealing are each done by one goroutine at a time.
	writing, sealing bool

	// refs of readers with the file open, loans, writers and flights.
	refs     int
	charged  int64
	gone     bool
	unlinked bool

	// eviction
	queue      *queue
	prev, next *version
	freq       uint8
	touched    time.Time
}

func newVersion(key Key, h hash, blockSize int64) *version {
	return &version{key: key, hash: h, blocks: blocksOf(key.Size, blockSize), pending: map[int64]*pending{}}
}

// cacheable versions have a bitmap of bearable size.
func (v *version) cacheable() bool { return v.blocks > 0 && v.blocks <= maxBlocks }

func (v *version) has(block int64) bool { return v.present != nil && v.present.has(block) }

// readable: the block is on disk and the disk answers.
func (v *version) readable(block int64) bool {
	return v.has(block) && !v.tier.state.unreadable
}

func (v *version) complete() bool { return v.npresent == v.blocks }

// idle versions are held by nobody.
func (v *version) idle() bool {
	return v.refs == 0 && len(v.pending) == 0 && !v.writing && !v.sealing
}

func (v *version) dataPath() string { return v.path(".data") }
func (v *version) metaPath() string { return v.path(".meta") }

func (v *version) path(suffix string) string {
	name := v.hash.String()
	return filepath.Join(v.tier.dir, name[:2], name+suffix)
}

// blockRange is where a block lies.
func blockRange(key Key, blockSize, block int64) (int64, int64) {
	start := block * blockSize
	return start, min(blockSize, key.Size-start)
}

// pending is one block in memory: being fetched, or there and not yet on disk.
// Its fields are guarded by Store.mu, except that buf may be read by its users
// and done may be waited for.
type pending struct {
	block  int64
	flight *flight
	// done is closed when the block is there or failed.
	done  chan struct{}
	err   error
	state blockState
	// buf is nil before the block is there and after it was freed.
	buf []byte
	crc uint32
	// claims of readers that want the block; users are reading buf now.
	claims, users int
	// lingers in memory though nobody claims it, until it is old.
	lingers, old bool
	// reserved bytes of the tier; 0 when it will not be cached.
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

// queue is a list of versions by insertion, newest first, with their bytes.
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

// charge moves the bytes that a version is charged for, in its tier and queue.
func (v *version) charge(n int64) {
	v.charged += n
	v.tier.used += n
	if v.queue != nil {
		v.queue.bytes += n
	}
}
