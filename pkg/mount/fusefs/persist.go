//go:build linux

package fusefs

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// openTable opens the table of a predecessor, or creates one. It undoes the
// changes of the pending requests, which the caller must process again. The time
// that it takes does not depend on the number of nodes.
func openTable(dir string, session [16]byte, pending map[uint64]bool, source ids, log *slog.Logger) (*table, error) {
	path := filepath.Join(dir, tableName)
	source.RaiseID(rootID)
	atomicfile.RemoveAbandoned(path)
	t, err := takeTable(path, session, source, log)
	if err != nil {
		return nil, err
	}
	if t != nil {
		t.takeOver(pending)
	} else if t, err = createTable(path, session, pending, source, log); err != nil {
		return nil, err
	}
	// A server that was killed after the import has left it.
	removeJournal(dir, log)
	return t, nil
}

// createTable creates a table with the state of the journal of an earlier version,
// if there is one. A server that is killed meanwhile leaves the journal.
func createTable(path string, session [16]byte, pending map[uint64]bool, source ids, log *slog.Logger) (*table, error) {
	journal, created, err := openJournal(filepath.Dir(path), session)
	if err != nil {
		return nil, err
	}
	if journal == nil {
		created = time.Now()
	} else {
		defer func() { _ = journal.Close() }()
	}
	t, file, err := newTable(path, fileHeader{version: tableVersion, session: session, created: created}, source, log)
	if err != nil {
		return nil, err
	}
	t.lost = journal == nil
	if journal != nil {
		err = t.importJournal(journal, pending)
	}
	if err == nil {
		err = file.Publish()
	}
	if err != nil {
		return nil, errors.Join(err, t.close(), file.Close())
	}
	return t, nil
}

// newTable creates a table without nodes, in a file that is not published yet.
func newTable(path string, h fileHeader, source ids, log *slog.Logger) (*table, *atomicfile.File, error) {
	var seed [8]byte
	_, _ = rand.Read(seed[:])
	h.seed = binary.LittleEndian.Uint64(seed[:])
	a, file, err := createArena(path, h)
	if err != nil {
		return nil, nil, err
	}
	t := tableOf(a, h, source, log)
	t.root, t.scanned = root{buckets: minBuckets}, true
	if err := a.grow(); err != nil {
		return nil, nil, errors.Join(err, t.close(), file.Close())
	}
	t.space.addChunk(false)
	return t, file, nil
}

func tableOf(a *arena, h fileHeader, source ids, log *slog.Logger) *table {
	t := &table{
		ids: source, log: log, header: h, arena: a,
		handles: map[uint64]*handle{}, requests: map[uint64][]uint32{}, closing: make(chan struct{}), inherited: make(chan struct{}),
	}
	t.scanDone = sync.NewCond(&t.mu)
	return t
}

// takeTable returns the table in a file, nil if there is none of this session. A
// file that cannot be used is set aside.
func takeTable(path string, session [16]byte, source ids, log *slog.Logger) (*table, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the node table: %w", err)
	}
	h, ok, err := readHeader(file)
	switch {
	case err != nil:
		return nil, errors.Join(err, file.Close())
	case ok && h.session != session:
		// The mount that it belongs to has ended.
		return nil, file.Close()
	case ok && (h.version > tableVersion || h.features&^knownFeatures != 0):
		err := fmt.Errorf("open the node table %s: its format is %d with features %#x, this version supports format %d: %w", path, h.version, h.features, tableVersion, errNewer)
		return nil, errors.Join(err, file.Close())
	case !ok:
		return nil, errors.Join(setAside(path, "its header is damaged", log), file.Close())
	}
	if err := lock(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	a, r, complete, err := openArena(file)
	if errors.Is(err, errTruncated) {
		return nil, errors.Join(setAside(path, "its file is truncated", log), file.Close())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	t := tableOf(a, h, source, log)
	t.root, t.rebuilding = r, !complete
	if len(a.chunks) == 0 {
		// The buckets are in the chunks, so that there is always one.
		if err := a.grow(); err != nil {
			return nil, errors.Join(err, t.close())
		}
	}
	return t, nil
}

// setAside renames a file that cannot be used, so that it can be examined. The
// kernel's nodeids are unknown to this server then: requests for them return
// ESTALE, after which the kernel looks up the names again.
func setAside(path, reason string, log *slog.Logger) error {
	aside := filepath.Join(filepath.Dir(path), damagedName)
	log.Error("cannot read the node table of the previous server: its open files are lost and must be opened again",
		"file", path, "reason", reason, "kept", aside)
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("set the damaged node table aside: %w", err)
	}
	return nil
}

// takeOver undoes the changes of pending requests, and starts the scan.
func (t *table) takeOver(pending map[uint64]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range t.arena.chunks {
		t.space.addChunk(true)
	}
	t.startScan()
	for unique := range pending {
		t.undoRequest(unique)
	}
	t.ids.RaiseID(t.root.largest)
	t.scans.Go(t.scan)
}

// undoRequest undoes the changes of a request, except those of a FORGET, which is
// continued. The caller must hold the lock.
func (t *table) undoRequest(unique uint64) {
	for {
		slot := t.findID(kindRequest, unique)
		if slot == 0 {
			return
		}
		r, err := t.arena.read(slot)
		if err != nil {
			return
		}
		if r.state.x > 0 {
			t.requests[unique] = []uint32{slot}
			return
		}
		t.begin()
		for _, c := range r.touches() {
			t.undoTouch(c)
		}
		t.remove(r)
		t.commit()
	}
}

// undoTouch is part of a transaction.
func (t *table) undoTouch(c touch) {
	switch c.kind {
	case kindNode:
		t.forgetNode(c.id, 1)
	case kindHandle:
		t.removeHandle(c.id)
	case kindCursor:
		if r, err := t.readID(kindHandle, c.id); err == nil {
			t.removeCursor(c.id, uint32(r.state.x))
			s := r.state
			s.x, s.y = s.y, 0
			t.setState(&r, s)
		}
	}
}

// change is the change of the table that one request makes, in one or more
// transactions. Each of them records what it changes, so that a successor can
// undo it.
type change struct {
	table   *table
	unique  uint64
	touches []touch
}

// beginRequest starts the first transaction of a request; unique is 0 for a change
// without one. The caller must hold the lock until commit, and must call replied
// after the reply.
func (t *table) beginRequest(unique uint64) *change {
	t.begin()
	return &change{table: t, unique: unique}
}

// touched records that the request changed a record.
func (c *change) touched(kind byte, id uint64) {
	c.touches = append(c.touches, touch{kind: kind, id: id})
}

// splitIfLong continues in another transaction when the undo log is half full.
func (c *change) splitIfLong() {
	if c.table.arena.undo > undoLimit {
		c.commit()
		c.table.begin()
	}
}

func (c *change) commit() {
	if c.unique != 0 && len(c.touches) > 0 && !mutantUnrecorded {
		c.record(state{}, appendTouches(nil, c.touches))
	}
	c.touches = nil
	c.table.commit()
}

// forgotten records that a number of entries of a FORGET are done.
func (c *change) forgotten(done uint64) {
	for _, slot := range c.table.requests[c.unique] {
		if r, err := c.table.arena.read(slot); err == nil {
			c.table.setState(&r, state{x: done})
			return
		}
	}
	if c.unique != 0 && !mutantUnrecorded {
		c.record(state{x: done}, nil)
	}
}

func (c *change) record(s state, payload []byte) {
	slot := c.table.insert(kindRequest, c.unique, 0, s, payload)
	c.table.requests[c.unique] = append(c.table.requests[c.unique], slot)
}

// replied must be called once for every request after its reply is written,
// whether the request changed the table or not.
func (t *table) replied(unique uint64) {
	t.mu.Lock()
	changed, retry := len(t.requests[unique]) > 0, t.broken != nil && time.Now().After(t.retryAt)
	t.mu.Unlock()
	if !changed && !retry || !t.lockForChange() {
		return
	}
	defer t.mu.Unlock()
	if t.broken != nil && time.Now().After(t.retryAt) {
		t.save()
	}
	if len(t.requests[unique]) == 0 {
		return
	}
	t.begin()
	for _, slot := range t.requests[unique] {
		if r, err := t.arena.read(slot); err == nil {
			t.remove(r)
		}
	}
	t.commit()
	delete(t.requests, unique)
}

// close ends the scan and unmaps the file. All methods remain callable, and find
// nothing.
func (t *table) close() error {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.closing)
	}
	t.scanDone.Broadcast()
	t.mu.Unlock()
	t.scans.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.arena.file == nil {
		return nil
	}
	if err := t.arena.close(); err != nil {
		return fmt.Errorf("close the node table: %w", err)
	}
	return nil
}
