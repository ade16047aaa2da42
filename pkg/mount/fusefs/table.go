//go:build linux

package fusefs

import (
	"errors"
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
	// opens is the number of open handles that have the mode of the node; of a
	// directory, of those with FOPEN_CACHE_DIR. They are
	// in passthrough mode if backing, the id of a registration, is not 0, otherwise
	// in cached mode. See modes.go.
	opens   uint64
	backing uint32
	// stale is set when the name has another version, or does not exist any more.
	stale bool
	// refused is set when an open of a stale node failed with ESTALE; see renewals.
	refused bool
}

// ids allocates ids that are never reused, not even by a successor.
type ids interface {
	NextID() uint64
	RaiseID(least uint64)
}

// table is the state that the kernel relies on. It is kept in a mapped file, so
// that a successor has it at once and nothing has to be read or compacted. Methods
// are safe for concurrent use, except those that require the lock or are part of
// a transaction, which begin and commit enclose under the lock.
//
// Invariant: a change is committed before the method that makes it returns, and
// so before a reply that depends on it is written.
type table struct {
	ids    ids
	log    *slog.Logger
	header fileHeader
	// modes is set if the mode of open handles is recorded, before the first request
	// is processed.
	modes bool
	// lost is set if the table is new although the kernel may know nodes.
	lost bool

	// mu guards the fields below.
	mu    sync.Mutex
	arena *arena
	root  root
	space space
	// handles holds the handles that this server has used.
	handles map[uint64]*handle
	// encoded is memory for the payload of a node.
	encoded []byte
	// requests holds the slots of the records of requests that changed the table
	// and whose reply is not written yet.
	requests map[uint64][]uint32
	// scanned is set when the scan after a takeover is complete. rebuilding is
	// set while it rebuilds the indexes.
	scanned, rebuilding bool
	scanning            scanState
	// cachedDirs are the directories whose names the kernel may have from handles of a
	// predecessor. They do not change after inherited was closed, at the end of the scan.
	cachedDirs []uint64
	// staleFiles are stale nodes that the kernel has from a predecessor, at most
	// maxRenewals. They do not change after inherited was closed.
	staleFiles []node
	inherited  chan struct{}
	// scanDone is signalled when scanned or closed becomes true. waiting is the
	// number of requests that wait for it.
	scanDone *sync.Cond
	waiting  int
	// damagedLinks is set when a link of an index was found to be damaged.
	damagedLinks bool
	// broken is the reason why a part of the table is in memory only, nil if there
	// is none. retryAt is the time of the next attempt to write it.
	broken  error
	retryAt time.Time
	closed  bool
	// closing is closed when closed becomes true.
	closing chan struct{}
	scans   sync.WaitGroup
}

// rootNode is the node of the root, which is not in the file.
func rootNode() node { return node{id: rootID, path: "/", dir: true, lookups: 1} }

// node returns a copy of the node of a nodeid.
func (t *table) node(id uint64) (node, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id == rootID {
		return rootNode(), true
	}
	_, n, ok := t.nodeRecord(id)
	return n, ok
}

// nodeNow is like node. It does not wait for the scan, and returns false if it would
// have to.
func (t *table) nodeNow(id uint64) (node, bool) {
	if id == rootID {
		return rootNode(), true
	}
	if !t.lockNow() {
		return node{}, false
	}
	defer t.mu.Unlock()
	_, n, ok := t.nodeRecord(id)
	return n, ok
}

// nodeRecord returns the node of a nodeid except the root. It may wait for the
// scan. The caller must hold the lock.
func (t *table) nodeRecord(id uint64) (record, node, bool) {
	r, ok := t.record(kindNode, id)
	if !ok {
		return record{}, node{}, false
	}
	n, err := r.node()
	return r, n, err == nil
}

// record returns the record of a kind and id. When there is none it waits for the
// scan, which finds records that a damaged index does not reach. The caller must
// hold the lock and must not be in a transaction.
func (t *table) record(kind byte, id uint64) (record, bool) {
	for !t.closed {
		if slot := t.findID(kind, id); slot != 0 {
			r, err := t.arena.read(slot)
			return r, err == nil
		}
		if t.scanned {
			break
		}
		t.waitForScan()
	}
	return record{}, false
}

// readID returns the record of a kind and id that the index reaches.
func (t *table) readID(kind byte, id uint64) (record, error) {
	slot := t.findID(kind, id)
	if slot == 0 {
		return record{}, errAbsent
	}
	return t.arena.read(slot)
}

var errAbsent = errors.New("no such record")

// lookup is a name that is about to be returned to the kernel.
type lookup struct {
	path  string
	entry reader.Entry
}

// recordLookups counts one lookup for each name and returns their nodes in the
// same order: the existing node if it has the same version, otherwise a new one.
// cursor, unless nil, is recorded with them.
func (t *table) recordLookups(unique uint64, names []lookup, cursor *op) []node {
	if !t.lockForChange() {
		return make([]node, len(names))
	}
	defer t.mu.Unlock()
	nodes := make([]node, 0, len(names))
	c := t.beginRequest(unique)
	for _, f := range names {
		c.splitIfLong()
		nodes = append(nodes, t.recordLookup(f))
		c.touched(kindNode, nodes[len(nodes)-1].id)
	}
	if cursor != nil {
		c.splitIfLong()
		t.setCursor(c, *cursor)
	}
	c.commit()
	return nodes
}

// recordLookup counts one lookup of a name. It is part of a transaction.
func (t *table) recordLookup(f lookup) node {
	modified := int64(0)
	if !f.entry.Modified.IsZero() {
		modified = f.entry.Modified.UnixNano()
	}
	version := f.entry.Version
	if f.entry.Dir {
		version = reader.Version{}
	}
	t.encoded = appendVersioned(t.encoded[:0], f.path, f.entry.Dir, version)
	hash := t.hashPath(f.path)
	if r, ok := t.findEncoded(hash, t.encoded); ok {
		if n := r.nodeOf(f.path, version); n.lookups > 0 && n.dir == f.entry.Dir {
			n.lookups, n.modified = n.lookups+1, modified
			t.setState(&r, n.state(r.state, flagNamed))
			return n
		}
	}
	r, n, ok := t.findPath(f.path)
	// A node that the kernel has forgotten while a handle is being released is not
	// returned again.
	if ok && n.lookups > 0 && n.dir == f.entry.Dir && n.version == version {
		n.lookups, n.modified = n.lookups+1, modified
		t.setState(&r, n.state(r.state, flagNamed))
		return n
	}
	if ok {
		n.stale = true
		t.setState(&r, n.state(r.state, 0))
	}
	n = node{id: t.ids.NextID(), path: f.path, dir: f.entry.Dir, version: version, modified: modified, lookups: 1}
	t.insert(kindNode, n.id, hash, n.state(state{}, flagNamed), t.encoded)
	return n
}

// insertNode is part of a transaction.
func (t *table) insertNode(n node, named uint16) {
	t.insert(kindNode, n.id, t.hashPath(n.path), n.state(state{}, named), appendVersioned(nil, n.path, n.dir, n.version))
}

// state returns the state of the node's record, with the fields of before that the
// node does not have. named is flagNamed if the node is the newest of its path.
func (n node) state(before state, named uint16) state {
	s := before
	s.flags = before.flags&^(flagDir|flagStale|flagRefused|flagNamed) | named
	s.x, s.y, s.backing = n.lookups|n.opens<<openShift, uint64(n.modified), n.backing
	if n.dir {
		s.flags |= flagDir
	}
	if n.stale {
		s.flags |= flagStale
	}
	if n.refused {
		s.flags |= flagRefused
	}
	return s
}

// forgetEntry is one element of a FORGET or BATCH_FORGET request.
type forgetEntry struct{ node, count uint64 }

// maxForgets bounds the entries of a FORGET that are processed without releasing
// the lock.
const maxForgets = 256

// forget decrements the lookup counts of nodes. It continues where a predecessor
// was killed.
func (t *table) forget(unique uint64, list []forgetEntry) {
	done := t.forgotten(unique)
	for from := min(done, uint64(len(list))); from < uint64(len(list)); {
		n := min(maxForgets, uint64(len(list))-from)
		t.forgetSome(unique, list[from:from+n], from+n)
		from += n
	}
}

// forgotten returns the number of entries of a request that are done.
func (t *table) forgotten(unique uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0
	}
	for _, slot := range t.requests[unique] {
		if r, err := t.arena.read(slot); err == nil {
			return r.state.x
		}
	}
	return 0
}

// forgetSome processes some entries of a FORGET, after which done are done in all.
func (t *table) forgetSome(unique uint64, list []forgetEntry, done uint64) {
	if !t.lockForChange() {
		return
	}
	defer t.mu.Unlock()
	for _, f := range list {
		if f.node != rootID {
			// This may wait, which a transaction must not.
			_, _ = t.record(kindNode, f.node)
		}
	}
	if t.closed {
		return
	}
	c := t.beginRequest(unique)
	for _, f := range list {
		t.forgetNode(f.node, f.count)
	}
	c.forgotten(done)
	c.commit()
}

// forgetNode is part of a transaction.
func (t *table) forgetNode(id, count uint64) {
	r, err := t.readID(kindNode, id)
	if err != nil {
		return
	}
	s := r.state
	lookups := s.x & (1<<openShift - 1)
	switch {
	case lookups > count:
		s.x -= count
	case s.x>>openShift > 0:
		// The release of its last handle is on the way.
		s.x -= lookups
	default:
		t.remove(r)
		return
	}
	t.setState(&r, s)
}

// markStale records that the version of a node was replaced or deleted.
func (t *table) markStale(id uint64) {
	if !t.lockForChange() {
		return
	}
	defer t.mu.Unlock()
	if r, n, ok := t.nodeRecord(id); ok && !n.stale && !n.dir {
		t.setStale(r, n)
	}
}

// setStale makes a node stale in a transaction of its own.
func (t *table) setStale(r record, n node) {
	n.stale = true
	t.begin()
	t.setState(&r, n.state(r.state, 0))
	t.commit()
}

// refuse records that the open of a stale node may fail with ESTALE, and reports
// whether that was recorded before.
func (t *table) refuse(id uint64) (before bool) {
	if !t.lockForChange() {
		return false
	}
	defer t.mu.Unlock()
	r, n, ok := t.nodeRecord(id)
	if !ok || !n.stale || n.refused {
		return ok && n.refused
	}
	n.refused = true
	t.begin()
	t.setState(&r, n.state(r.state, 0))
	t.commit()
	return false
}

// markDeleted records that a name does not exist any more, and returns its last
// node.
func (t *table) markDeleted(path string) (id uint64, known bool) {
	if !t.lockForChange() {
		return 0, false
	}
	defer t.mu.Unlock()
	r, n, ok := t.findPath(path)
	if !ok || n.dir {
		return 0, false
	}
	t.setStale(r, n)
	return n.id, true
}

// sizes returns the numbers of nodes and handles, and the size of the table's file
// in bytes.
func (t *table) sizes() (nodes, handles int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, 0, 0
	}
	return int(t.root.nodes) + 1, int(t.root.handles), t.arena.size()
}

// lockForChange acquires the lock for a change, and waits while the indexes are
// being rebuilt. It returns false without the lock if the table is closed.
func (t *table) lockForChange() bool {
	t.mu.Lock()
	for t.rebuilding && !t.closed {
		t.waitForScan()
	}
	if t.closed {
		t.mu.Unlock()
		return false
	}
	return true
}

// lockNow acquires the lock for a change, and returns false without the lock if a
// method would have to wait for the scan, or if the table is closed.
func (t *table) lockNow() bool {
	t.mu.Lock()
	if t.closed || !t.scanned || t.rebuilding {
		t.mu.Unlock()
		return false
	}
	return true
}

// waitForScan waits for the end of the scan. The caller must hold the lock.
func (t *table) waitForScan() {
	t.waiting++
	t.scanDone.Wait()
	t.waiting--
}
