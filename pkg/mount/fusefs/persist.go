//go:build linux

package fusefs

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// openTable restores the table from the journal of a predecessor. It drops the
// records of the pending requests, which the caller must process again.
func openTable(dir string, session [16]byte, pending map[uint64]bool, source ids, log *slog.Logger) (*table, error) {
	t := &table{
		ids: source, log: log, compactAt: 64 << 20,
		nodes: map[uint64]*node{}, names: map[string]*node{}, handles: map[uint64]*handle{},
		unreplied: map[uint64]struct{}{},
		journal:   journal{path: filepath.Join(dir, journalName), session: session, created: time.Now()},
	}
	t.compacted = sync.NewCond(&t.mu)
	t.nodes[rootID] = &node{id: rootID, path: "/", dir: true, lookups: 1}
	t.names["/"] = t.nodes[rootID]
	created, err := loadJournal(dir, session, func(unique uint64, ops []op) {
		if unique != 0 && pending[unique] {
			return
		}
		for _, o := range ops {
			t.apply(o)
		}
	})
	if err != nil {
		// The kernel's nodeids are unknown to this server, which returns ESTALE
		// for them, so that the kernel looks up the names again.
		log.Error("cannot read the journal of the previous server; its open files are lost", "error", err)
	}
	if !created.IsZero() {
		t.journal.created = created
	}
	for id := range t.nodes {
		source.RaiseID(id)
	}
	for id := range t.handles {
		source.RaiseID(id)
	}
	atomicfile.RemoveAbandoned(t.journal.path)
	if err := t.journal.rewrite(t.snapshot); err != nil {
		return nil, err
	}
	return t, nil
}

// apply makes one change, of a record of the journal or of a new request. The
// caller must hold the lock or be the only user.
func (t *table) apply(o op) {
	switch o.kind {
	case opLookup:
		t.applyLookup(o)
	case opForget:
		t.applyForget(o.node, o.count)
	case opOpen:
		t.handles[o.handle] = &handle{id: o.handle, node: o.node, path: o.path, dir: o.dir, version: o.version, direct: o.direct}
	case opRelease:
		delete(t.handles, o.handle)
	case opCursor:
		if h := t.handles[o.handle]; h != nil {
			h.sent = o.names
		}
	case opStale:
		if n := t.nodes[o.node]; n != nil {
			t.applyStale(n)
		}
	}
}

func (t *table) applyLookup(o op) {
	n := t.nodes[o.node]
	if n == nil {
		n = &node{id: o.node, path: o.path, dir: o.dir, version: o.version, modified: o.modified, stale: o.stale}
		t.nodes[o.node] = n
	}
	n.lookups += o.count
	if n.stale {
		return
	}
	n.modified = o.modified
	if newest := t.names[n.path]; newest != n {
		if newest != nil {
			newest.stale = true
		}
		t.names[n.path] = n
	}
}

func (t *table) applyForget(id, count uint64) {
	n := t.nodes[id]
	if n == nil || id == rootID {
		return
	}
	n.lookups -= min(count, n.lookups)
	if n.lookups > 0 {
		return
	}
	delete(t.nodes, id)
	if t.names[n.path] == n {
		delete(t.names, n.path)
	}
}

func (t *table) applyStale(n *node) {
	n.stale = true
	if t.names[n.path] == n {
		delete(t.names, n.path)
	}
}

// snapshot emits the smallest set of records that restores this table. The caller
// must hold the lock or be the only user.
func (t *table) snapshot(emit func(ops ...op) error) error {
	for _, n := range t.nodes {
		if n.id == rootID {
			continue
		}
		if err := emit(n.lookupOp(n.lookups)); err != nil {
			return err
		}
	}
	for _, h := range t.handles {
		ops := []op{{kind: opOpen, handle: h.id, node: h.node, path: h.path, dir: h.dir, direct: h.direct, version: h.version}}
		if len(h.sent) > 0 {
			ops = append(ops, op{kind: opCursor, handle: h.id, names: h.sent})
		}
		if err := emit(ops...); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) lookupOp(count uint64) op {
	return op{kind: opLookup, node: n.id, count: count, path: n.path, dir: n.dir, stale: n.stale, modified: n.modified, version: n.version}
}

// change applies the changes of one request and appends them to the journal. The
// caller must hold the lock, must call change once for a request, and must call
// replied afterwards.
func (t *table) change(unique uint64, ops ...op) {
	for _, o := range ops {
		t.apply(o)
	}
	t.unreplied[unique] = struct{}{}
	if t.broken == nil {
		if t.broken = t.journal.append(unique, ops); t.broken != nil {
			// Reads still work; only a takeover would lose open files now.
			t.log.Error("cannot write the journal; open files are lost if this server ends", "error", t.broken)
			t.retryAt = time.Now().Add(retryAfter)
		}
	}
}

// retryAfter is the time between attempts to write a journal after a failure.
const retryAfter = 10 * time.Second

// lockForChange acquires the lock for a change. It blocks while a compaction is
// waiting for requests to complete.
func (t *table) lockForChange() {
	t.mu.Lock()
	for t.draining {
		t.compacted.Wait()
	}
}

// replied must be called once for every request after its reply is written,
// whether the request changed the table or not. It starts a compaction that is
// due.
func (t *table) replied(unique uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.unreplied, unique)
	due := t.journal.size > t.compactAt || t.broken != nil && time.Now().After(t.retryAt)
	if !due {
		return
	}
	if len(t.unreplied) > 0 {
		t.draining = true
		return
	}
	t.compact()
	t.draining = false
	t.compacted.Broadcast()
}

// compact rewrites the journal. The caller must hold the lock, and unreplied must
// be empty.
func (t *table) compact() {
	if err := t.journal.rewrite(t.snapshot); err != nil {
		t.broken, t.retryAt = err, time.Now().Add(retryAfter)
		t.log.Error("cannot write the journal; open files are lost if this server ends", "error", err)
		// The next attempt because of the size is made when it has doubled.
		t.compactAt = max(t.compactAt, 2*t.journal.size)
		return
	}
	if t.broken != nil {
		t.log.Info("writing the journal works again")
		t.broken = nil
	}
	t.compactAt = max(64<<20, 4*t.journal.size)
}

// close closes the journal's file.
func (t *table) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.journal.close(); err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}
