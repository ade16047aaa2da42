//go:build linux

package fusefs

import (
	"encoding/binary"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// handle is an open file or directory.
type handle struct {
	id   uint64
	node uint64
	path string
	dir  bool
	// version is the version that reads return. direct is set when the kernel must
	// not cache pages, because it is not the node's version or because the handle was
	// opened with O_DIRECT beside handles in passthrough mode.
	version reader.Version
	direct  bool
	// passthrough is set when the kernel reads the backing of the node itself, and
	// backing is the id of its registration; it is set at the open only.
	passthrough bool
	backing     uint32
	// counted is set when the handle counts in the open handles of its node: those of
	// a file that have its mode, and those of a directory with FOPEN_CACHE_DIR.
	counted bool
	// listing is that of a counted directory handle, nil if a predecessor opened it.
	listing *listing

	open   openFile
	stream stream
	// shared is set on the handle of a node that the kernel reads without one.
	shared *nodeFile
}

// spoils reports whether a read would put bytes of another version into the pages of
// the node, which its other handles read: when a handle with another version is
// mapped, or is the source of splice(2). Such a read fails.
func (h *handle) spoils(in readRequest) bool { return in.cached && h.direct && !h.counted }

// handle returns an open handle.
func (t *table) handle(id uint64) (*handle, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.loadHandle(id)
	return h, h != nil
}

// handleNow is like handle. It does not wait for the scan, and returns false if it
// would have to.
func (t *table) handleNow(id uint64) (*handle, bool) {
	if !t.lockNow() {
		return nil, false
	}
	defer t.mu.Unlock()
	h := t.loadHandle(id)
	return h, h != nil
}

// loadHandle returns a handle, nil if it does not exist. The caller must hold the
// lock.
func (t *table) loadHandle(id uint64) *handle {
	if h := t.handles[id]; h != nil {
		return h
	}
	r, ok := t.record(kindHandle, id)
	if !ok {
		return nil
	}
	if h := t.handles[id]; h != nil {
		return h
	}
	h, err := r.handle()
	if err != nil {
		return nil
	}
	t.handles[id] = h
	return h
}

// openDir creates a handle of a directory. cached is set if the kernel keeps names
// that it reads, which is recorded if the node is in the table.
func (t *table) openDir(unique uint64, n node, cached bool) *handle {
	h := &handle{id: t.ids.NextID(), node: n.id, path: n.path, dir: true}
	if !t.lockForChange() {
		return h
	}
	defer t.mu.Unlock()
	var r record
	if cached {
		// This may wait, which a transaction must not.
		r, n, cached = t.nodeRecord(n.id)
		if t.closed {
			return h
		}
	}
	c := t.beginRequest(unique)
	if cached {
		h.counted = true
		n.opens++
		t.setState(&r, n.state(r.state, r.state.flags&flagNamed))
	}
	if !mutantReplyFirst {
		t.insertHandle(h)
	}
	c.touched(kindHandle, h.id)
	c.commit()
	t.handles[h.id] = h
	return h
}

// cachedHandles returns the number of open handles of a directory with
// FOPEN_CACHE_DIR, those of predecessors included.
func (t *table) cachedHandles(id uint64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, n, _ := t.nodeRecord(id)
	return int(n.opens)
}

// insertHandle is part of a transaction.
func (t *table) insertHandle(h *handle) {
	var s state
	if h.dir {
		s.flags |= flagDir
	}
	if h.direct {
		s.flags |= flagDirect
	}
	if h.passthrough {
		s.flags |= flagPassthrough
	}
	if h.counted {
		s.flags |= flagCounted
	}
	payload := appendVersioned(binary.AppendUvarint(nil, h.node), h.path, h.dir, h.version)
	t.insert(kindHandle, h.id, 0, s, payload)
}

// release removes a handle and returns it, nil if it does not exist, and the
// backing whose last handle it was, 0 if there is none. It needs no record of the
// request: a successor that processes the request again finds no handle, which is
// what the kernel expects.
func (t *table) release(_, id uint64) (h *handle, ended uint32) {
	if !t.lockForChange() {
		return nil, 0
	}
	defer t.mu.Unlock()
	if h = t.loadHandle(id); h == nil {
		return nil, 0
	}
	if h.counted {
		// This may wait, which a transaction must not.
		if _, _ = t.record(kindNode, h.node); t.closed {
			return nil, 0
		}
	}
	return h, t.releaseLocked(h)
}

// releaseNow is like release for a file in cached mode. It does not wait for the
// scan, and returns nil if it would have to or if the handle is not such a file.
func (t *table) releaseNow(id uint64) *handle {
	if !t.lockNow() {
		return nil
	}
	defer t.mu.Unlock()
	h := t.loadHandle(id)
	if h == nil || h.dir || h.passthrough {
		return nil
	}
	t.releaseLocked(h)
	return h
}

// releaseLocked removes a handle and returns the backing whose last handle it was, 0
// if there is none. The caller must hold the lock.
func (t *table) releaseLocked(h *handle) (ended uint32) {
	t.begin()
	ended = t.removeHandle(h.id)
	t.commit()
	delete(t.handles, h.id)
	return ended
}

// removeHandle removes a handle and returns the backing whose last handle it was, 0
// if there is none. It is part of a transaction.
func (t *table) removeHandle(id uint64) (ended uint32) {
	r, err := t.readID(kindHandle, id)
	if err != nil {
		return 0
	}
	for _, cursor := range []uint64{r.state.x, r.state.y} {
		t.removeCursor(id, uint32(cursor))
	}
	t.remove(r)
	if h, err := r.handle(); err == nil && h.counted {
		return t.leaveMode(h.node)
	}
	return 0
}

// recordCursor records the names of the last reply of a directory handle.
func (t *table) recordCursor(unique uint64, cursor op) {
	if !t.lockForChange() {
		return
	}
	defer t.mu.Unlock()
	c := t.beginRequest(unique)
	t.setCursor(c, cursor)
	c.commit()
}

// setCursor replaces the older of the two cursors of a handle. It is part of a
// transaction.
func (t *table) setCursor(c *change, cursor op) {
	r, err := t.readID(kindHandle, cursor.handle)
	if err != nil {
		return
	}
	payload := binary.AppendUvarint(nil, uint64(len(cursor.names)))
	for _, name := range cursor.names {
		payload = appendString(payload, name)
	}
	s := r.state
	t.removeCursor(cursor.handle, uint32(s.y))
	s.x, s.y = uint64(t.insert(kindCursor, cursor.handle, 0, state{}, payload)), s.x
	t.setState(&r, s)
	c.touched(kindCursor, cursor.handle)
}

// cursor returns a cursor of a handle.
func (t *table) cursor(handle uint64, slot uint32) (record, bool) {
	if !t.arena.holds(slot) {
		return record{}, false
	}
	r, err := t.arena.read(slot)
	return r, err == nil && r.kind == kindCursor && r.id == handle
}

// removeCursor is part of a transaction.
func (t *table) removeCursor(handle uint64, slot uint32) {
	if r, ok := t.cursor(handle, slot); ok {
		t.remove(r)
	}
}

// sent returns the names of the last replies of a directory handle.
func (t *table) sent(h *handle) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.record(kindHandle, h.id)
	if !ok {
		return nil
	}
	var names []string
	for _, slot := range []uint64{r.state.x, r.state.y} {
		if c, ok := t.cursor(h.id, uint32(slot)); ok {
			names = append(names, c.names()...)
		}
	}
	return names
}

// closeFiles closes the Files of all handles. The handles stay open for the
// successor.
func (t *table) closeFiles() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.handles {
		if err := h.open.close(); err != nil {
			t.log.Debug("close file failed", "path", h.path, "error", err)
		}
	}
}
