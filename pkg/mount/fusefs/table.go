//go:build linux

package fusefs

import (
	"log/slog"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// rootID is the nodeid of the root, which the kernel knows without a lookup.
const rootID = 1

// node is the file version or directory of a nodeid. id, path, dir and version
// never change.
type node struct {
	id      uint64
	path    string
	dir     bool
	version reader.Version
	// modified is the newest known modification time, in Unix nanoseconds.
	modified int64
	// lookups is the number of lookups that the kernel has not forgotten.
	lookups uint64
	// stale is set when the name has another version, or does not exist any more.
	stale bool
	// refused is set when an open of a stale node failed with ESTALE, so that the
	// kernel looks up the name again. When the same node is opened once more, its
	// name cannot be looked up (the file is bind-mounted), and the open gets the
	// current version.
	refused bool
}

// handle is an open file or directory.
type handle struct {
	id   uint64
	node uint64
	path string
	dir  bool
	// version is the version that reads return. direct is set when it is not the
	// node's version, so that the kernel must not cache pages.
	version reader.Version
	direct  bool
	// sent holds the names of the last reply of a directory handle; guarded by
	// the table's lock.
	sent []string

	open   openFile
	stream stream
}

// ids allocates ids that are never reused, not even by a successor.
type ids interface {
	NextID() uint64
	RaiseID(least uint64)
}

// table is the state that the kernel relies on. Methods are safe for concurrent
// use, except those that require the lock.
type table struct {
	ids ids
	log *slog.Logger

	// mu guards the fields below.
	mu sync.Mutex
	// compactAt is the size of the journal, in bytes, above which it is
	// compacted.
	compactAt int64
	// compacted is signalled when a compaction is complete.
	compacted *sync.Cond
	nodes     map[uint64]*node
	// names holds the newest node of each path that is known to the kernel.
	names   map[string]*node
	handles map[uint64]*handle
	journal journal
	// unreplied holds the requests that changed the table and whose reply is not
	// written yet. The journal must not be compacted while there are any:
	// compaction removes the request id from their records.
	unreplied map[uint64]struct{}
	// draining blocks changes until unreplied is empty.
	draining bool
	// broken is the error of the last write of the journal, nil if it succeeded.
	// retryAt is the time of the next attempt.
	broken  error
	retryAt time.Time
}

// node returns a copy of the node of a nodeid.
func (t *table) node(id uint64) (node, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes[id]; n != nil {
		return *n, true
	}
	return node{}, false
}

// handle returns an open handle.
func (t *table) handle(id uint64) (*handle, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, ok := t.handles[id]
	return h, ok
}

// lookup is a name that is about to be returned to the kernel.
type lookup struct {
	path  string
	entry reader.Entry
}

// recordLookups counts one lookup for each name and returns their nodes in the
// same order: the existing node if it has the same version, otherwise a new one.
// cursor, unless nil, is recorded with them.
func (t *table) recordLookups(unique uint64, names []lookup, cursor *op) []node {
	t.lockForChange()
	defer t.mu.Unlock()
	ops := make([]op, 0, len(names)+1)
	for _, f := range names {
		ops = append(ops, t.nodeFor(f).lookupOp(1))
	}
	if cursor != nil {
		ops = append(ops, *cursor)
	}
	t.change(unique, ops...)
	nodes := make([]node, len(names))
	for i := range names {
		nodes[i] = *t.nodes[ops[i].node]
	}
	return nodes
}

// nodeFor returns the node of a name, which may not be in the table yet. The
// caller must hold the lock.
func (t *table) nodeFor(f lookup) *node {
	modified := int64(0)
	if !f.entry.Modified.IsZero() {
		modified = f.entry.Modified.UnixNano()
	}
	version := f.entry.Version
	if f.entry.Dir {
		version = reader.Version{}
	}
	if n := t.names[f.path]; n != nil && n.dir == f.entry.Dir && n.version == version {
		fresh := *n
		fresh.modified = modified
		return &fresh
	}
	return &node{id: t.ids.NextID(), path: f.path, dir: f.entry.Dir, version: version, modified: modified}
}

// forgetEntry is one element of a FORGET or BATCH_FORGET request.
type forgetEntry struct{ node, count uint64 }

// forget decrements the lookup counts of nodes.
func (t *table) forget(unique uint64, list []forgetEntry) {
	t.lockForChange()
	defer t.mu.Unlock()
	ops := make([]op, 0, len(list))
	for _, f := range list {
		ops = append(ops, op{kind: opForget, node: f.node, count: f.count})
	}
	t.change(unique, ops...)
}

// openHandle creates a handle that reads a version of the node.
func (t *table) openHandle(unique uint64, n node, version reader.Version, direct bool) *handle {
	t.lockForChange()
	defer t.mu.Unlock()
	id := t.ids.NextID()
	t.change(unique, op{kind: opOpen, handle: id, node: n.id, path: n.path, dir: n.dir, version: version, direct: direct})
	return t.handles[id]
}

// release removes a handle and returns it, nil if it does not exist.
func (t *table) release(unique, id uint64) *handle {
	t.lockForChange()
	defer t.mu.Unlock()
	h := t.handles[id]
	if h != nil {
		t.change(unique, op{kind: opRelease, handle: id})
	}
	return h
}

// recordCursor records the names of the last reply of a directory handle.
func (t *table) recordCursor(unique uint64, c op) {
	t.lockForChange()
	defer t.mu.Unlock()
	t.change(unique, c)
}

// sent returns the names of the last reply of a directory handle.
func (t *table) sent(h *handle) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return h.sent
}

// markStale records that the version of a node was replaced or deleted.
func (t *table) markStale(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[id]
	if n == nil || n.stale || n.dir {
		return
	}
	t.apply(op{kind: opStale, node: id})
	t.appendUnrequested(op{kind: opStale, node: id})
}

// appendUnrequested appends a change without a request to the journal. The change
// may be lost. The caller must hold the lock.
func (t *table) appendUnrequested(o op) {
	if t.broken == nil {
		t.broken = t.journal.append(0, []op{o})
	}
}

// refuseOnce reports whether the open of a stale node must fail with ESTALE. It
// returns true once for each node.
func (t *table) refuseOnce(id uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[id]
	if n == nil || !n.stale || n.refused {
		return false
	}
	n.refused = true
	return true
}

// markDeleted records that a name does not exist any more, and returns its last
// node.
func (t *table) markDeleted(path string) (id uint64, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.names[path]
	if n == nil || n.dir {
		return 0, false
	}
	t.apply(op{kind: opStale, node: n.id})
	t.appendUnrequested(op{kind: opStale, node: n.id})
	return n.id, true
}

// sizes returns the numbers of nodes and handles, and the size of the journal in
// bytes.
func (t *table) sizes() (nodes, handles int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.nodes), len(t.handles), t.journal.size
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
