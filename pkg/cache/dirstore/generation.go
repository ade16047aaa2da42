package dirstore

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// writer writes a new generation of a directory's entries, which becomes current
// when it is complete. It is used by one goroutine.
type writer struct {
	table      *table
	id         dirID
	generation uint64
	life       int
	prefix     []byte
	count      int64
	hidden     int64
	lost       bool
}

// begin starts a new generation.
func (t *table) begin(id dirID) *writer {
	t.mu.Lock()
	t.generation++
	w := &writer{table: t, id: id, generation: t.generation, life: t.life, prefix: id.entries(t.generation)}
	db := t.db
	t.mu.Unlock()
	w.lost = db == nil || !id.valid()
	w.write(func(batch *pebble.Batch) error { return batch.Set(w.pending(), w.prefix, nil) })
	return w
}

func (w *writer) pending() []byte {
	return binary.BigEndian.AppendUint64([]byte{pendingKey}, w.generation)
}

// write commits a batch, if the database is still the one in which the
// generation began.
func (w *writer) write(fill func(*pebble.Batch) error) {
	if w.lost {
		return
	}
	t := w.table
	t.mu.RLock()
	db := t.db
	if db == nil || t.life != w.life {
		t.mu.RUnlock()
		w.lost = true
		return
	}
	batch := db.NewBatch()
	err := fill(batch)
	if err == nil {
		err = batch.Commit(pebble.NoSync)
	}
	err = errors.Join(err, batch.Close())
	t.mu.RUnlock()
	if err != nil {
		w.lost = true
		t.fail(db, err)
	}
}

// add writes entries. An entry replaces an earlier one of the same name: a
// directory replaces an object, because its prefix comes later.
func (w *writer) add(entries []named) {
	w.write(func(batch *pebble.Batch) error {
		for _, n := range entries {
			if err := batch.Set(append(w.prefix[:len(w.prefix):len(w.prefix)], n.name...), n.entry.encode(), nil); err != nil {
				return err
			}
		}
		return nil
	})
	w.count += int64(len(entries))
}

// set writes an entry that is not counted, because the listing may have it too.
func (w *writer) set(n named) {
	w.write(func(batch *pebble.Batch) error {
		return batch.Set(append(w.prefix[:len(w.prefix):len(w.prefix)], n.name...), n.entry.encode(), nil)
	})
}

// commit makes the generation current. The forgotten names must be queried
// again in spite of it.
func (w *writer) commit(h header, forgotten []string) bool {
	h.generation, h.boot, h.count, h.hidden = w.generation, w.table.boot, w.count, w.hidden
	return w.swap(h, func(batch *pebble.Batch) error {
		for _, name := range forgotten {
			if err := batch.Set(append(w.prefix[:len(w.prefix):len(w.prefix)], name...), entry{kind: unknown}.encode(), nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// commitTooBig drops the entries and records that the directory is not cached.
func (w *writer) commitTooBig(epoch uint64, listed time.Time, took time.Duration) bool {
	h := header{epoch: epoch, boot: w.table.boot, listed: listed, took: took, hidden: w.hidden, tooBig: true}
	return w.swap(h, func(batch *pebble.Batch) error {
		return batch.DeleteRange(w.prefix, after(w.prefix), nil)
	})
}

// swap replaces the header, and deletes the entries of the old one.
func (w *writer) swap(h header, more func(*pebble.Batch) error) bool {
	if w.lost {
		return false
	}
	t := w.table
	t.mu.Lock()
	db := t.db
	if db == nil || t.life != w.life {
		t.mu.Unlock()
		return false
	}
	before, err := getHeader(db, w.id)
	found := err == nil
	if errors.Is(err, pebble.ErrNotFound) {
		err = nil
	}
	batch := db.NewBatch()
	if err == nil && found && !before.tooBig {
		old := w.id.entries(before.generation)
		err = batch.DeleteRange(old, after(old), nil)
	}
	if err == nil {
		err = errors.Join(more(batch), batch.Delete(w.pending(), nil), batch.Set(w.id.header(), h.encode(), nil))
	}
	if err == nil {
		err = db.ApplyNoSyncWait(batch, pebble.Sync)
	}
	if err == nil {
		t.total += h.count - before.count
	}
	t.mu.Unlock()
	if err != nil {
		_ = batch.Close()
		t.fail(db, err)
		return false
	}
	// Sync in the background: requests that wait for the listing do not need it.
	t.background.Go(func() {
		if err := errors.Join(batch.SyncWait(), batch.Close()); err != nil {
			t.logger.Debug("syncing the directory store", "error", err)
		}
	})
	return true
}

// abort deletes what was written.
func (w *writer) abort() {
	w.write(func(batch *pebble.Batch) error {
		return errors.Join(batch.DeleteRange(w.prefix, after(w.prefix), nil), batch.Delete(w.pending(), nil))
	})
}

// drop deletes the listing of a directory.
func (t *table) drop(id dirID) {
	t.mu.Lock()
	db := t.db
	if db == nil {
		t.mu.Unlock()
		return
	}
	h, err := getHeader(db, id)
	if err == nil {
		batch := db.NewBatch()
		old := id.entries(h.generation)
		err = errors.Join(batch.DeleteRange(old, after(old), nil), batch.Delete(id.header(), nil))
		if err == nil {
			err = batch.Commit(pebble.NoSync)
		}
		if err == nil {
			t.total -= h.count
		}
		err = errors.Join(err, batch.Close())
	}
	t.mu.Unlock()
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		t.fail(db, err)
	}
}
