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

// node is what a nodeid means. Its id, path, kind and version never change.
type node struct {
	id      uint64
	path    string
	dir     bool
	version reader.Version
	// modified in Unix nanoseconds; the newest that was heard of.
	modified int64
	// lookups that the kernel has not given back.
	lookups uint64
	// stale: the name has another version by now, or none.
	stale bool
	// refused: an open was sent back to look the name up again. If the same
	// node is opened once more, the opener cannot look it up (its file is
	// bind-mounted), and gets the version of the day.
	refused bool
}

// handle is an open file or directory.
type handle struct {
	id   uint64
	node uint64
	path string
	dir  bool
	// version that reads answer; direct says that the node has another one,
	// and the kernel must not keep what is read.
	version reader.Version
	direct  bool
	// sent are the names of the last reply to a reader of the directory.
	sent []string

	open   openFile
	stream stream
}

// ids hands out numbers that are never used twice, not even by a successor.
type ids interface {
	NextID() uint64
	RaiseID(least uint64)
}

// table is what the kernel was promised. All methods are safe for concurrent
// use.
type table struct {
	ids ids
	log *slog.Logger
	// compactAt is the size of the journal, in bytes, at which it is written
	// anew.
	compactAt int64

	mu sync.Mutex
	// compacted is signalled when a compaction is over.
	compacted *sync.Cond
	nodes     map[uint64]*node
	// names has the newest node of each path, unless the kernel forgot it.
	names   map[string]*node
	handles map[uint64]*handle
	journal journal
	// unreplied are requests that changed the table and whose reply is not
	// written yet. While there are any, the journal must not be written anew:
	// their records would lose the request they belong to.
	unreplied map[uint64]struct{}
	// draining holds back changes until unsettled is empty.
	draining bool
	// broken is why the journal was not written the last time, and retryAt
	// when to try again.
	broken  error
	retryAt time.Time
}

// node answers what a nodeid means; the copy is the caller's.
func (t *table) node(id uint64) (node, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes[id]; n != nil {
		return *n, true
	}
	return node{}, false
}

// handle answers an open handle.
func (t *table) handle(id uint64) (*handle, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, ok := t.handles[id]
	return h, ok
}

// lookup is a name that is about to be told to the kernel.
type lookup struct {
	path  string
	entry reader.Entry
}

// recordLookups counts one lookup for each name and answers their nodes in the same
// order: the node that the name has, if it is of the same version, or a new
// one. With a handle it also remembers which names its reader was sent.
func (t *table) recordLookups(unique uint64, names []lookup, cursor *op) []node {
	t.lockForChange()
	defer t.mu.Unlock()
	ops := make([]op, 0, len(names)+1)
	for _, f := range names {
		ops = append(ops, t.nodeFor(f).look(1))
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

// nodeFor answers the node of a name, which may not be in the table yet.
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

// forgetEntry is one element of a FORGET.
type forgetEntry struct{ node, count uint64 }

func (t *table) forget(unique uint64, list []forgetEntry) {
	t.lockForChange()
	defer t.mu.Unlock()
	ops := make([]op, 0, len(list))
	for _, f := range list {
		ops = append(ops, op{kind: opForget, node: f.node, count: f.count})
	}
	t.change(unique, ops...)
}

// openHandle makes a handle.
func (t *table) openHandle(unique uint64, n node, version reader.Version, direct bool) *handle {
	t.lockForChange()
	defer t.mu.Unlock()
	id := t.ids.NextID()
	t.change(unique, op{kind: opOpen, handle: id, node: n.id, path: n.path, dir: n.dir, version: version, direct: direct})
	return t.handles[id]
}

// release takes a handle out of the table; nil when it was not there.
func (t *table) release(unique, id uint64) *handle {
	t.lockForChange()
	defer t.mu.Unlock()
	h := t.handles[id]
	if h != nil {
		t.change(unique, op{kind: opRelease, handle: id})
	}
	return h
}

// recordCursor remembers which names a handle's reader was sent.
func (t *table) recordCursor(unique uint64, c op) {
	t.lockForChange()
	defer t.mu.Unlock()
	t.change(unique, c)
}

// sent answers the names of the last reply to a handle's reader.
func (t *table) sent(h *handle) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return h.sent
}

// markStale says that a node's version is gone or was replaced.
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

// appendUnrequested writes down a change that belongs to no request and may be lost.
func (t *table) appendUnrequested(o op) {
	if t.broken == nil {
		t.broken = t.journal.append(0, []op{o})
	}
}

// refuseOnce says whether an open of a node whose version is not its name's any
// more is to be sent back. It does so once a node.
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

// markDeleted says that a name is not there any more; it answers the node that it
// had.
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

// sizes counts nodes, handles and the journal's bytes.
func (t *table) sizes() (nodes, handles int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.nodes), len(t.handles), t.journal.size
}

// closeFiles gives up the files behind all handles, which stay open for the
// successor.
func (t *table) closeFiles() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.handles {
		if err := h.open.close(); err != nil {
			t.log.Debug("closing a file", "path", h.path, "error", err)
		}
	}
}
