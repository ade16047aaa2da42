//go:build linux

package fusefs

import "github.com/jindo-io/jindo/pkg/mount/reader"

// The kernel opens an inode in one of two modes at a time: through its page cache
// (cached), or reading another file itself (passthrough). The first open handle of a
// node decides, and the mode lasts until its last handle is released; an open in the
// other mode fails with EIO. A handle with FOPEN_DIRECT_IO has no mode beside cached
// handles; beside passthrough handles it must be opened in passthrough mode too,
// although its reads come to the server and only mmap uses the backing.
//
// Invariants: the mode and the number of its handles change in the transaction that
// inserts or removes a handle, so that a successor opens and releases handles like
// its predecessor would have. The backing of a node has the bytes of the node's
// version, which never changes, so that a handle with another version is not opened
// in passthrough mode. A backing in the table is registered.

// openShift is the position of the number of open handles in the first field of the
// state of a node.
const openShift = 40

// opening is how a file is opened.
type opening uint8

const (
	// openInMode opens a handle in the mode of its node.
	openInMode opening = iota
	// openUnaligned opens a handle with O_DIRECT. The kernel would read a backing
	// with O_DIRECT too, which requires an alignment that this mount does not
	// require, so that the reads come to the server in passthrough mode. In cached
	// mode they do anyway, and FOPEN_DIRECT_IO would make the kernel refuse mmap.
	openUnaligned
	// openDirect opens a handle that reads another version than that of its node,
	// and must not use the node's pages.
	openDirect
)

// openFile creates a handle that reads a version of the node, and puts it into the
// mode of the node's other handles. If there are none, the mode is passthrough with
// the given backing, or cached if backing is 0. The handle has the backing of its
// mode, which may be another one. It returns nil if the version is another one than
// the node's, and the node is in passthrough mode.
func (t *table) openFile(unique uint64, n node, version reader.Version, how opening, backing uint32) *handle {
	h := &handle{id: t.ids.NextID(), node: n.id, path: n.path, version: version, direct: how == openDirect}
	if !t.lockForChange() {
		return h
	}
	defer t.mu.Unlock()
	var r record
	known := false
	if t.modes {
		// This may wait, which a transaction must not.
		r, n, known = t.nodeRecord(n.id)
		if t.closed {
			return h
		}
	}
	if how == openDirect && known && n.backing != 0 {
		return nil
	}
	t.openLocked(unique, h, r, n, known, how, backing)
	return h
}

// openNow is like openFile for a node that has no handles in passthrough mode, and
// for which suits returns true. It does not wait for the scan, and returns nil if it
// would have to or if the node is not such a file.
func (t *table) openNow(unique, id uint64, suits func(node) bool) *handle {
	if !t.lockNow() {
		return nil
	}
	defer t.mu.Unlock()
	r, n, ok := t.nodeRecord(id)
	if !ok || n.dir || n.stale || n.backing != 0 || !suits(n) {
		return nil
	}
	h := &handle{id: t.ids.NextID(), node: n.id, path: n.path, version: n.version}
	t.openLocked(unique, h, r, n, t.modes, openInMode, 0)
	return h
}

// openLocked inserts a handle; known is set if its node is to have the mode. The
// caller must hold the lock.
func (t *table) openLocked(unique uint64, h *handle, r record, n node, known bool, how opening, backing uint32) {
	c := t.beginRequest(unique)
	if known {
		t.enterMode(r, n, h, how, backing)
	}
	if !mutantReplyFirst {
		t.insertHandle(h)
	}
	c.touched(kindHandle, h.id)
	c.commit()
	t.handles[h.id] = h
}

// enterMode is part of a transaction.
func (t *table) enterMode(r record, n node, h *handle, how opening, backing uint32) {
	if how == openDirect {
		return
	}
	if n.opens == 0 {
		n.backing = backing
	}
	h.direct = how == openUnaligned && n.backing != 0
	h.counted, h.backing, h.passthrough = true, n.backing, n.backing != 0
	n.opens++
	if mutantModeLost {
		return
	}
	t.setState(&r, n.state(r.state, r.state.flags&flagNamed))
}

// leaveMode counts the release of a handle, and returns the backing if it was the
// last handle in passthrough mode. It is part of a transaction.
func (t *table) leaveMode(id uint64) (ended uint32) {
	r, err := t.readID(kindNode, id)
	if err != nil {
		return 0
	}
	n, err := r.node()
	if err != nil || n.opens == 0 {
		return 0
	}
	if n.opens--; n.opens == 0 {
		ended, n.backing = n.backing, 0
		if n.lookups == 0 {
			t.remove(r)
			return ended
		}
	}
	t.setState(&r, n.state(r.state, r.state.flags&flagNamed))
	return ended
}

// recordModes makes the table record the mode of open handles. It must be called
// before the first handle is opened.
func (t *table) recordModes() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.modes {
		return
	}
	t.modes = true
	if t.header.features&featureModes != 0 {
		return
	}
	t.header.features |= featureModes
	t.writeHeader()
}
