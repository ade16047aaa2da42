//go:build linux

package fusefs

// rebuild rebuilds the indexes from the records that can be read, and reports what
// is lost. Changes wait for it. It returns false if the table was closed.
func (t *table) rebuild() bool {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return false
	}
	lost := t.root
	end := uint32(len(t.arena.chunks)) * chunkSlots
	zeros := make([]byte, bucketSlots*slotSize)
	for chunk := range t.arena.chunks {
		t.arena.store(t.arena.at(bucketAddress(byID, uint32(chunk)*chunkBuckets), len(zeros)), zeros)
	}
	t.begin()
	t.root = root{buckets: uint32(max(minBuckets, len(t.arena.chunks)*chunkBuckets)), largest: t.root.largest}
	t.commit()
	t.scanning.nodes, t.scanning.handles = 0, 0
	clear(t.scanning.seen)
	t.mu.Unlock()
	damaged := 0
	for _, pass := range []func(uint32) int{t.relinkSlot, t.relinkCursor} {
		if !t.inSteps(end, func(slot uint32) { damaged += pass(slot) }) {
			return false
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.damagedLinks = false
	t.ids.RaiseID(t.root.largest)
	t.log.Error("the node table is damaged; open files among the lost handles fail with EBADF and must be opened again, and lost names are looked up again",
		"damaged_records", damaged, "lost_nodes", difference(lost.nodes, t.root.nodes), "lost_handles", difference(lost.handles, t.root.handles),
		"nodes", t.root.nodes, "handles", t.root.handles)
	return true
}

func difference(before, now uint64) uint64 { return before - min(before, now) }

// relinkSlot inserts a record into the empty indexes, and frees it if it is
// damaged. It returns the number of damaged records.
func (t *table) relinkSlot(slot uint32) int {
	if !t.arena.holds(slot) || !isHead(t.arena.slot(slot)) || t.arena.slot(slot)[kindAt] == kindCursor {
		return 0
	}
	r, err := t.arena.read(slot)
	t.begin()
	defer t.commit()
	switch {
	case err != nil:
		t.free(slot)
		return 1
	case r.kind == kindRequest && !t.isLive(r), t.findID(r.kind, r.id) != 0 && r.kind != kindRequest:
		t.free(slot)
		return 0
	}
	t.link(byID, slot)
	t.root.records++
	t.seeRecord(r)
	switch r.kind {
	case kindNode:
		t.scanning.note(r)
		t.root.nodes++
		t.root.largest = max(t.root.largest, r.id)
		return t.relinkPath(r)
	case kindHandle:
		t.root.handles++
		t.root.largest = max(t.root.largest, r.id)
	}
	return 0
}

// relinkPath inserts a node into the index by path. Of several nodes of a path the
// one with the largest id is the newest.
func (t *table) relinkPath(r record) int {
	if r.state.flags&flagNamed == 0 {
		return 0
	}
	n, err := r.node()
	if err != nil {
		return 1
	}
	other, o, ok := t.findPath(n.path)
	switch {
	case ok && o.id > n.id:
		r.state.flags &^= flagNamed
		t.setState(&r, r.state)
		return 0
	case ok:
		o.stale = true
		t.setState(&other, o.state(other.state, 0))
	}
	t.link(byPath, r.slot)
	return 0
}

// relinkCursor frees a cursor that no handle refers to, or that is damaged.
func (t *table) relinkCursor(slot uint32) int {
	if !t.arena.holds(slot) || t.arena.slot(slot)[kindAt] != kindCursor {
		return 0
	}
	r, err := t.arena.read(slot)
	if err == nil && t.hasCursor(r) {
		t.seeRecord(r)
		return 0
	}
	t.begin()
	t.free(slot)
	t.commit()
	if err != nil {
		return 1
	}
	return 0
}

// free frees the head of a record that is in no index. It is part of a
// transaction. The scan releases its slots.
func (t *table) free(slot uint32) {
	t.arena.put(addressOf(slot)+kindAt, []byte{kindFree})
}

func (t *table) seeRecord(r record) {
	t.scanning.created(r.kind)
	for _, slot := range append([]uint32{r.slot}, r.parts...) {
		if slot < t.scanning.end {
			t.scanning.mark(slot)
		}
	}
}
