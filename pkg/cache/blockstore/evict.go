package blockstore

import "time"

// DefaultShare is the share of a tier for versions that were not read again.
const DefaultShare = 0.2

const (
	// correlated is the time within which reads count as one.
	correlated = time.Minute
	// wholeFile is the block of a touch that is a read of the whole file.
	wholeFile = int64(-1)
	// protectFor is how long after its last read a protected version is kept from
	// versions that were not read again.
	protectFor = 24 * time.Hour
	// maxFreq is the highest number of reads that is counted.
	maxFreq = 3
	// reuseWeight is the number of returns that reuse is averaged over.
	reuseWeight = 16
	// idleFactor is how many times as long as reuse an idle version was not read.
	// In shuffled epochs a version is read again after up to twice the mean.
	idleFactor = 3
	// minGhosts is the least number of hashes kept of versions that were evicted
	// from probation.
	minGhosts = 1024
)

// class is the part of a tier that a version is charged to.
type class uint8

const (
	unqueued class = iota
	// doomed versions are evicted first, the one that expires first before the
	// others: replaced versions and copies held for another worker.
	doomed
	// copied versions are node copies. They are evicted before all but the doomed.
	copied
	// probation holds versions that were not read again, and large ones that are
	// not complete.
	probation
	// protected holds versions that were read again or came while there was room.
	protected
	classes
)

// eviction orders the versions of one tier for eviction: segmented LRU over
// whole versions, weighted by bytes. The protected segment is divided by the
// number of reads. Store.mu guards it.
//
// Invariants: a version with a class is in the list of its class if and only if
// nothing uses it, so that the tail of a list can always be evicted; bytes and
// counts include the versions in use. Every operation takes constant time.
type eviction struct {
	// capacity is the tier's quota; share bounds what is not protected once the
	// tier is full.
	capacity, share int64
	// copyLimit bounds the bytes of node copies.
	copyLimit int64
	// limit bounds the protected versions that return: it leaves a quarter of the
	// share to probation, and is at most the high watermark.
	limit int64

	doomed, copies, probation list
	// levels are the protected versions by number of reads; base is the level of
	// 0 reads. Level n is levels[n % len(levels)].
	levels [maxFreq + 1]list
	base   int
	// untilAging counts the evictions from the protected segment until every
	// version in it loses one read.
	untilAging int

	bytes [classes]int64
	count [classes]int
	// recalled is the part of bytes that is being recalled.
	recalled [classes]int64
	// committed is the size of all protected versions if they were complete, and
	// claimed that of all versions with a class.
	committed, claimed int64

	// ghosts are versions that were evicted from probation.
	ghosts map[hash]ghost
	// order is a ring buffer of the ghosts.
	order []hash
	next  int
	// reuse is the moving average of the time between two reads of a version that
	// was evicted in between, and latest the time of the last counted read.
	reuse  time.Duration
	latest time.Time
}

// ghost is what is kept of a version that was evicted: the time of its last counted
// read, and the block that was read last.
type ghost struct {
	read time.Time
	last int64
}

func newEviction(capacity int64, share float64) *eviction {
	e := &eviction{capacity: capacity, share: int64(share * float64(capacity)), ghosts: map[hash]ghost{}}
	e.limit = capacity - e.share/4
	return e
}

// large reports whether a version is larger than the share. Such a version is
// protected only if it is complete, which it becomes within the share or while
// there is room: so it never evicts more than the share.
func (e *eviction) large(v *version) bool { return v.full > e.share }

// admit puts a new version into the class it starts in.
func (e *eviction) admit(v *version) {
	g, known := e.ghosts[v.hash]
	// again is set for a version that is read from its start, or from before where it
	// was read last. Within the correlated time that is another read too, but says
	// nothing about the time between two uses.
	again := known
	if known && v.touched.Sub(g.read) < correlated {
		again = v.first == 0 || v.first < g.last
		known, v.touched = false, g.read
	}
	e.note(v.touched)
	if known {
		e.reuse += (v.touched.Sub(g.read) - e.reuse) / reuseWeight
	}
	switch {
	case v.temporary:
		e.move(v, doomed)
	case v.copied:
		e.move(v, copied)
	case e.large(v):
		e.move(v, probation)
	case e.committed+v.full <= e.capacity-e.share,
		again && e.committed+v.full <= e.limit, // It was evicted recently.
		known && e.idle(e.level(0).tail):
		e.move(v, protected)
		v.reread = v.reread || known
	default:
		e.move(v, probation)
	}
}

// note records the time of a read.
func (e *eviction) note(now time.Time) {
	if now.After(e.latest) {
		e.latest = now
	}
}

// idle reports whether a protected version was not read for several times as long
// as versions that were evicted take to be read again. Only such a version is
// evicted for them. So epochs over more than fits, in any order, keep a fixed
// part of it and hit that in every epoch, while a set that is not read any more is
// replaced within a few epochs of the next.
func (e *eviction) idle(v *version) bool {
	return v != nil && e.latest.Sub(v.touched) > idleFactor*max(e.reuse, correlated)
}

// restore inserts a version that was kept over a restart. It is not new, and
// the number of its reads is unknown.
func (e *eviction) restore(v *version) {
	if v.copied {
		e.move(v, copied)
		return
	}
	if e.large(v) && !v.complete() {
		e.move(v, probation)
		return
	}
	e.move(v, protected)
}

// doom lets a version be evicted first.
func (e *eviction) doom(v *version) {
	if v.class != unqueued {
		e.move(v, doomed)
	}
}

// undoom returns a doomed version to the class it would start in.
func (e *eviction) undoom(v *version) {
	switch {
	case v.class == doomed && v.copied:
		e.move(v, copied)
	case v.class == doomed:
		e.move(v, probation)
		e.promote(v)
	}
}

// touch counts a read of a block, at most one within the correlated time. It
// reports whether it was counted.
func (e *eviction) touch(v *version, block int64, now time.Time) bool {
	if !v.touch(block, now) {
		return false
	}
	e.note(now)
	v.reread = true
	if v.class != protected {
		e.promote(v)
		return true
	}
	e.setFreq(v, min(e.freq(v)+1, maxFreq))
	return true
}

// setFreq sets the counted reads of a protected version.
func (e *eviction) setFreq(v *version, freq int) {
	e.unlist(v)
	v.level = e.base + freq
	e.list(v)
}

// promote protects a version that was read again.
func (e *eviction) promote(v *version) {
	if v.class == probation && v.reread && (!e.large(v) || v.complete()) {
		e.move(v, protected)
		e.setFreq(v, 1)
	}
}

// move changes the class of a version.
func (e *eviction) move(v *version, to class) {
	e.remove(v)
	v.class, v.level = to, e.base
	e.bytes[to] += v.charged
	e.recalled[to] += v.recalledBytes()
	e.count[to]++
	e.claimed += v.full
	if to == protected {
		e.committed += v.full
	}
	e.list(v)
}

// remove takes a version out of its class.
func (e *eviction) remove(v *version) {
	if v.class == unqueued {
		return
	}
	e.unlist(v)
	e.bytes[v.class] -= v.charged
	e.recalled[v.class] -= v.recalledBytes()
	e.count[v.class]--
	e.claimed -= v.full
	if v.class == protected {
		e.committed -= v.full
	}
	v.class = unqueued
}

// relist puts a version that is not in use any more into the list of its class,
// and takes one in use out of it.
func (e *eviction) relist(v *version) {
	if v.idle() {
		e.list(v)
	} else {
		e.unlist(v)
	}
}

func (e *eviction) list(v *version) {
	if v.listed || v.class == unqueued || !v.idle() {
		return
	}
	v.listed = true
	l := e.listOf(v)
	if v.class == doomed && l.tail != nil && !v.expires.After(l.tail.expires) {
		l.pushTail(v)
		return
	}
	l.push(v)
}

func (e *eviction) unlist(v *version) {
	if v.listed {
		e.listOf(v).remove(v)
		v.listed = false
	}
}

func (e *eviction) listOf(v *version) *list {
	switch v.class {
	case doomed:
		return &e.doomed
	case copied:
		return &e.copies
	case probation:
		return &e.probation
	}
	return e.level(e.freq(v))
}

// freq returns the counted reads of a protected version. Aging lowers all of
// them by raising base.
func (e *eviction) freq(v *version) int { return max(v.level-e.base, 0) }

func (e *eviction) level(freq int) *list { return &e.levels[(e.base+freq)%len(e.levels)] }

// age takes one read from every protected version that has one.
func (e *eviction) age() {
	lowest := e.level(0)
	e.level(1).append(lowest)
	*lowest = list{}
	e.base++
	e.untilAging = e.count[protected]
}

// unprotected returns the next victim that is not protected, or nil.
func (e *eviction) unprotected() *version {
	if v := e.spare(); v != nil {
		return v
	}
	return e.probation.tail
}

// spare returns the next victim that is doomed or a node copy, or nil.
func (e *eviction) spare() *version {
	if e.doomed.tail != nil {
		return e.doomed.tail
	}
	return e.copies.tail
}

// coldest returns the next victim of the protected segment, or nil.
func (e *eviction) coldest() *version {
	for range maxFreq {
		if e.level(0).tail != nil {
			break
		}
		e.age()
	}
	return e.level(0).tail
}

// stale returns a protected version that was not read for so long that versions
// that were not read again may replace it, or nil.
func (e *eviction) stale(now time.Time) *version {
	if v := e.coldest(); v != nil && now.Sub(v.touched) > protectFor {
		return v
	}
	return nil
}

// victim returns the next version to evict, or nil if all are in use. Probation
// keeps half of the share from protected versions that are idle.
func (e *eviction) victim() *version {
	v := e.unprotected()
	if v == nil {
		return e.coldest()
	}
	if v.class == probation && e.staying(probation) <= e.share/2 {
		if cold := e.coldest(); e.idle(cold) {
			return cold
		}
	}
	return v
}

// victimForUnread returns the next version to evict for one that was not read again,
// or nil. Such a version evicts protected ones only while they leave less than
// probation is kept, or are idle.
func (e *eviction) victimForUnread() *version {
	if e.unprotected() != nil {
		return e.victim()
	}
	if v := e.coldestHere(); v != nil && (e.committed > e.limit || e.idle(v)) {
		return v
	}
	return nil
}

// evicted takes a victim out of its class and remembers it.
func (e *eviction) evicted(v *version) {
	switch v.class {
	case probation:
		e.remember(v)
	case protected:
		e.countEviction()
	}
	e.remove(v)
}

// countEviction counts a version that leaves the protected segment.
func (e *eviction) countEviction() {
	if e.untilAging--; e.untilAging <= 0 {
		e.age()
	}
}

// remember adds a ghost, and drops the oldest if there are more ghosts than
// protected versions.
func (e *eviction) remember(v *version) {
	h := v.hash
	_, known := e.ghosts[h]
	e.ghosts[h] = ghost{v.touched, v.last}
	if known {
		return
	}
	if limit := max(minGhosts, e.count[protected]); len(e.order) < limit {
		e.order = append(e.order, h)
		return
	}
	e.next %= len(e.order)
	delete(e.ghosts, e.order[e.next])
	e.order[e.next] = h
	e.next++
}
