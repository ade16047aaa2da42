//go:build linux

package fusefs

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"
)

// openTable reads what a predecessor left and drops the records of the given
// requests, which are to be worked on afresh.
func openTable(dir string, session [16]byte, unanswered map[uint64]bool, source ids, log *slog.Logger) (*table, error) {
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
		if unique != 0 && unanswered[unique] {
			return
		}
		for _, o := range ops {
			t.apply(o)
		}
	})
	if err != nil {
		// The kernel's nodeids mean nothing to this server then: it answers
		// them with ESTALE, and names are looked up again.
		log.Error("what the last server left cannot be read; its open files are lost", "error", err)
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
	if err := t.journal.rewrite(t.snapshot); err != nil {
		return nil, err
	}
	return t, nil
}

// apply makes one change. It is the same for a record of the journal as for a
// request of the moment.
func (t *table) apply(o op) {
	switch o.kind {
	case opLook:
		t.applyLook(o)
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

func (t *table) applyLook(o op) {
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

// snapshot emits the least records that make this table. The caller holds the
// lock or is alone.
func (t *table) snapshot(emit func(ops ...op) error) error {
	for _, n := range t.nodes {
		if n.id == rootID {
			continue
		}
		if err := emit(n.look(n.lookups)); err != nil {
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

func (n *node) look(count uint64) op {
	return op{kind: opLook, node: n.id, count: count, path: n.path, dir: n.dir, stale: n.stale, modified: n.modified, version: n.version}
}

// change makes the changes of one request and writes them down. The caller
// holds the lock and calls change once for a request; settle ends it.
func (t *table) change(unique uint64, ops ...op) {
	for _, o := range ops {
		t.apply(o)
	}
	t.unreplied[unique] = struct{}{}
	if t.broken == nil {
		if t.broken = t.journal.append(unique, ops); t.broken != nil {
			// Reading goes on; only a takeover would lose open files now.
			t.log.Error("open files will not survive this server", "error", t.broken)
			t.retryAt = time.Now().Add(retryAfter)
		}
	}
}

// retryAfter is how long a journal that could not be written is left alone.
const retryAfter = 10 * time.Second

// lockForChange takes the lock for a change, behind a compaction that waits.
func (t *table) lockForChange() {
	t.mu.Lock()
	for t.draining {
		t.compacted.Wait()
	}
}

// replied says that a request's reply is written. It is called once for every
// request, whether it changed something or not.
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

func (t *table) compact() {
	if err := t.journal.rewrite(t.snapshot); err != nil {
		t.broken, t.retryAt = err, time.Now().Add(retryAfter)
		t.log.Error("open files will not survive this server", "error", err)
		// Not again before the file has doubled.
		t.compactAt = max(t.compactAt, 2*t.journal.size)
		return
	}
	if t.broken != nil {
		t.log.Info("the journal is written again")
		t.broken = nil
	}
	t.compactAt = max(64<<20, 4*t.journal.size)
}

// close gives up the journal's file.
func (t *table) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.journal.close(); err != nil {
		return fmt.Errorf("closing the journal: %w", err)
	}
	return nil
}
