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
	// at is the position in the history of the object.
	at int
	// meta is the checksum of the sidecar's header, valid once recorded.
	meta uint32
	// created reports whether the data file exists.
	created bool
	// recorded reports whether the sidecar exists and the data file has its full
	// length. It belongs to the goroutine that writes the version.
	recorded          bool
	present, verified bitmap
	crcs              []uint32
	npresent          int64
	sealed            bool
	// temporary versions are held for a worker that could not be reached.
	temporary bool
	// copied versions are node copies: see copies.go.
	copied bool
	// expires is when the version is removed; zero for never.
	expires time.Time

	pending map[int64]*pending
	// dirty blocks wait for a writer. queued is set while the version is in
	// tier.dirty.
	dirty  []*pending
	queued bool
	// writing and sealing are set while a goroutine writes or seals the
	// version; at most one does each.
	writing, sealing bool

	// refs counts readers with the file open, loans, writers and flights.
	refs    int
	charged int64
	// parked are the loans among refs that their borrowers do not use. recall is set
	// while they are being recalled.
	parked   []*Loan
	recall   *recall
	removed  bool
	unlinked bool

	// full is what the version would be charged if it were complete.
	full int64
	// evicted is set while charged counts in tier.evicting.
	evicted bool
	// moving is set while a copy of the version is made in another tier, hot while it
	// is in tier.hot. moved is set once a copy has taken its place in the index.
	moving, hot, moved bool

	// State of the eviction. listed is set while the version is in the list of
	// its class.
	class      class
	listed     bool
	prev, next *version
	level      int
	// reread is set once the version was read again; touched is the time of the
	// last read that was counted, and accessed that of the last access.
	reread            bool
	touched, accessed time.Time
	// interval is the time between the last two reads that were counted.
	interval time.Duration
	// seen are the blocks read since touched, again the number of those that were
	// read more than once, and last the block of the last access.
	seen        bitmap
	again, last int64
	// first is the block that was read first.
	first int64
	// made is when the files were created, in nanoseconds, if the version was
	// kept over a restart.
	made int64
}

func newVersion(key Key, h hash, blockSize int64) *version {
	v := &version{key: key, hash: h, blocks: blocksOf(key.Size, blockSize), pending: map[int64]*pending{}}
	v.full = pages(metaSize(key, v.blocks))
	if v.blocks > 0 {
		_, last := blockRange(key, blockSize, v.blocks-1)
		v.full += (v.blocks-1)*pages(blockSize) + pages(last)
	}
	return v
}

// touch records an access and reports whether it is another read: one after a
// pause, or one that has come back to a quarter of the blocks. A sequential read
// of one file is one read, however many requests it is and however long it takes.
func (v *version) touch(block int64, now time.Time) bool {
	pause := now.Sub(v.accessed) >= correlated
	v.accessed = now
	if block != wholeFile && v.present != nil {
		if v.seen == nil {
			v.seen = newBitmap(v.blocks)
		}
		if v.seen.has(block) && block != v.last {
			v.again++
		}
		v.seen.set(block)
		v.last = block
	}
	switch {
	case v.touched.IsZero():
		v.touched, v.first = now, block
		return false
	case now.Sub(v.touched) < correlated:
		return false
	case !pause && block != wholeFile && v.again < max(v.blocks/4, 1):
		return false
	}
	v.interval, v.touched, v.again = now.Sub(v.touched), now, 0
	clear(v.seen)
	return true
}

// cacheable reports whether the bitmap of the version is small enough.
func (v *version) cacheable() bool { return v.blocks > 0 && v.blocks <= maxBlocks }

func (v *version) has(block int64) bool { return v.present != nil && v.present.has(block) }

// readable reports whether the block is on disk and the disk responds.
func (v *version) readable(block int64) bool {
	return v.has(block) && !v.tier.state.unreadable
}

func (v *version) complete() bool { return v.npresent == v.blocks }

// idle reports whether nothing uses the version. Loans that are idle, and are not being
// recalled, do not use it.
func (v *version) idle() bool {
	return v.refs == len(v.parked) && v.recall == nil && len(v.pending) == 0 && !v.writing && !v.sealing
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
// yet. Store.mu guards its fields, except that its users may read the first filled
// bytes of buf, and that the flight of a loading block fills the others and owns
// crc.
type pending struct {
	block  int64
	flight *flight
	// more, if not nil, is closed when more bytes have arrived, and when the block
	// is complete or failed.
	more  chan struct{}
	err   error
	state blockState
	// buf is nil before the first byte has arrived and after the block was freed.
	buf []byte
	// filled is the number of bytes of buf that readers may use, crc their checksum.
	filled int64
	crc    uint32
	// claims counts the readers that need the block, wanted those that need it
	// next and wait for it, and users those that read buf now.
	claims, wanted, users int
	// held is set while the block is in Store.held.
	held bool
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
	dropped // complete, and given up before its readers needed it
)

// charge adds n bytes, which may be negative, to the version, its tier and its
// class.
func (v *version) charge(n int64) {
	v.charged += n
	v.tier.used += n
	if v.class != unqueued {
		v.tier.evict.bytes[v.class] += n
	}
}
