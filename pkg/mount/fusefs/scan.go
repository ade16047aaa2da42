//go:build linux

package fusefs

import (
	"runtime"
	"time"
)

// The scan after a takeover reads every record once, in the background. It finds
// the slots that can be used again, removes the records of requests whose reply
// was written, and verifies that the indexes reach every record. Requests do not
// wait for it unless the file is damaged.

const (
	// scanSlots is the number of slots that are read without releasing the lock.
	scanSlots = 512
	// scanPause is the time between two such steps.
	scanPause = 100 * time.Microsecond
)

// scanState is the progress of the scan.
type scanState struct {
	// end is the first slot that no predecessor has used. seen has one bit for
	// each slot below it that belongs to a record.
	end  uint32
	seen []uint64
	// released is the slot up to which unseen slots are available again.
	released uint32
	// nodes and handles count those that were found or created since the start.
	nodes, handles uint64
	// cachedDirs are the directories with open handles of FOPEN_CACHE_DIR.
	cachedDirs []uint64
	// staleFiles are stale nodes, at most maxRenewals.
	staleFiles []node
	// unreached is set when an index does not reach a record.
	unreached bool
}

func (s *scanState) isSeen(slot uint32) bool {
	return slot < s.end && s.seen[slot/64]&(1<<(slot%64)) != 0
}

func (s *scanState) mark(slot uint32) { s.seen[slot/64] |= 1 << (slot % 64) }

func (s *scanState) unmark(slot uint32) {
	if slot < s.end {
		s.seen[slot/64] &^= 1 << (slot % 64)
	}
}

// pends reports whether a slot becomes available by the scan only.
func (s *scanState) pends(slot uint32) bool { return slot < s.end && slot >= s.released }

// startScan must be called before the first change after a takeover. The caller
// must hold the lock.
func (t *table) startScan() {
	t.scanned = false
	t.scanning = scanState{end: uint32(len(t.space.used)) * 64, seen: make([]uint64, len(t.space.used))}
}

// created and removed keep the counters of the scan up to date.
func (s *scanState) created(kind byte) {
	switch kind {
	case kindNode:
		s.nodes++
	case kindHandle:
		s.handles++
	}
}

func (s *scanState) removed(r record) {
	if r.slot < s.end && !s.isSeen(r.slot) {
		return // The scan will not find it.
	}
	switch r.kind {
	case kindNode:
		s.nodes--
	case kindHandle:
		s.handles--
	}
	for _, slot := range append([]uint32{r.slot}, r.parts...) {
		s.unmark(slot)
	}
}

// note records a directory of which the kernel may have names, and a stale node.
func (s *scanState) note(r record) {
	switch {
	case r.kind != kindNode:
	case r.state.flags&flagDir != 0:
		if r.state.x>>openShift > 0 {
			s.cachedDirs = append(s.cachedDirs, r.id)
		}
	case r.state.flags&flagStale != 0 && len(s.staleFiles) < maxRenewals:
		if n, err := r.node(); err == nil {
			s.staleFiles = append(s.staleFiles, n)
		}
	}
}

// scan scans the table, rebuilds the indexes if they are damaged, and releases the
// slots that are not in use.
func (t *table) scan() {
	began := time.Now()
	rebuild := t.isRebuilding()
	if !rebuild {
		if !t.inSteps(t.scanning.end, t.scanSlot) || !t.inSteps(t.scanning.end/chunkSlots*chunkBuckets, t.scanBucket) {
			return
		}
		rebuild = t.needsRebuild()
	}
	if rebuild && !t.rebuild() {
		return
	}
	end := t.scanning.end
	if mutantScanFreesNew {
		end = uint32(len(t.space.used)) * 64
	}
	if !t.inSteps(end, t.releaseUnseen) {
		return
	}
	t.mu.Lock()
	t.scanned, t.rebuilding = true, false
	t.cachedDirs, t.staleFiles = t.scanning.cachedDirs, t.scanning.staleFiles
	close(t.inherited)
	t.scanning = scanState{}
	nodes, handles := t.root.nodes, t.root.handles
	t.scanDone.Broadcast()
	chunks := len(t.arena.chunks)
	t.mu.Unlock()
	t.log.Info("the node table of the previous server is verified", "nodes", nodes, "handles", handles, "elapsed", time.Since(began).Round(time.Millisecond))
	t.inSteps(uint32(chunks), t.releaseChunk)
}

func (t *table) isRebuilding() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rebuilding
}

// inSteps calls each for the numbers below end, with the lock, which it releases
// regularly. It returns false if the table was closed.
func (t *table) inSteps(end uint32, each func(uint32)) bool {
	for next := uint32(0); next < end; {
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return false
		}
		for stop := min(next+scanSlots, end); next < stop; next++ {
			each(next)
		}
		hurry := t.waiting > 0
		t.mu.Unlock()
		if hurry {
			runtime.Gosched()
			continue
		}
		select {
		case <-t.closing:
		case <-time.After(scanPause):
		}
	}
	return true
}

// scanSlot verifies the record of a slot, if there is one.
func (t *table) scanSlot(slot uint32) {
	if !t.arena.holds(slot) || !isHead(t.arena.slot(slot)) {
		return
	}
	r, err := t.arena.read(slot)
	if err != nil {
		// It is removed by the rebuild.
		t.scanning.unreached = true
		return
	}
	switch r.kind {
	case kindRequest:
		if !t.isLive(r) {
			t.removeAlone(r)
			return
		}
	case kindCursor:
		if !t.hasCursor(r) {
			t.removeAlone(r)
			return
		}
	default:
		t.scanning.created(r.kind)
		t.scanning.note(r)
		t.scanning.unreached = t.scanning.unreached || !t.reaches(r)
	}
	t.scanning.mark(r.slot)
	for _, part := range r.parts {
		t.scanning.mark(part)
	}
}

// isLive reports whether the record is that of a request of this server.
func (t *table) isLive(r record) bool {
	for _, slot := range t.requests[r.id] {
		if slot == r.slot {
			return true
		}
	}
	return false
}

// hasCursor reports whether a handle refers to a cursor.
func (t *table) hasCursor(r record) bool {
	slot := t.findID(kindHandle, r.id)
	if slot == 0 {
		return false
	}
	h, err := t.arena.read(slot)
	return err == nil && (uint32(h.state.x) == r.slot || uint32(h.state.y) == r.slot)
}

// removeAlone removes a record in a transaction of its own.
func (t *table) removeAlone(r record) {
	t.begin()
	t.remove(r)
	t.commit()
}

// scanBucket verifies one bucket of each index.
func (t *table) scanBucket(b uint32) {
	for _, i := range []*index{byID, byPath} {
		address := bucketAddress(i, b)
		if b < t.root.buckets && !t.leadsTo(i, address, address) {
			t.scanning.unreached = true
		}
	}
}

// leadsTo reports whether the link at an address is that of the end of a bucket,
// or leads to a record of the bucket.
func (t *table) leadsTo(i *index, link, bucket uint64) bool {
	if headUint32(t.arena.at(link, 4), 0) == 0 {
		return true
	}
	slot := t.linkAt(link)
	return slot != 0 && t.bucket(i, i.hash(t.arena.slot(slot))) == bucket
}

// reaches reports whether the indexes reach a record, and lead from it to others
// of its buckets only.
func (t *table) reaches(r record) bool {
	if t.findID(r.kind, r.id) != r.slot || !t.leadsTo(byID, addressOf(r.slot)+nextIDAt, t.bucket(byID, hashID(r.id))) {
		return false
	}
	if r.state.flags&flagNamed == 0 {
		return true
	}
	found := false
	t.visit(byPath, r.hash, func(slot uint32, _ uint64) bool {
		found = slot == r.slot
		return !found
	})
	return found && t.leadsTo(byPath, addressOf(r.slot)+nextPathAt, t.bucket(byPath, r.hash))
}

// needsRebuild reports whether the scan has found damage.
func (t *table) needsRebuild() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rebuilding = t.scanning.unreached || t.damagedLinks ||
		t.scanning.nodes != t.root.nodes || t.scanning.handles != t.root.handles
	return t.rebuilding
}

// releaseUnseen makes a slot available that belongs to no record.
func (t *table) releaseUnseen(slot uint32) {
	if slot%chunkSlots >= bucketSlots && !t.scanning.isSeen(slot) {
		t.space.setUnused(slot)
	}
	t.scanning.released = slot + 1
}
