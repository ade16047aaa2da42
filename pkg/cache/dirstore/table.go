package dirstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// table is the database. Its methods do not fail: what cannot be read is absent,
// what cannot be written is not cached, and a damaged database is emptied.
type table struct {
	dir    string
	fs     vfs.FS
	logger *slog.Logger
	// boot identifies this run of the process.
	boot uint64

	// mu is held for reading while a header and its entries must be consistent,
	// and for writing while a generation or the database is replaced.
	mu sync.RWMutex
	db *pebble.DB // nil when closed
	// disk is false while the database is in memory.
	disk bool
	// failures counts the failures of the disk.
	failures int
	// background counts goroutines that sync or replace the database.
	background sync.WaitGroup
	// life counts databases; a generation ends with the database it began in.
	life int
	// generation is the last number that was assigned.
	generation uint64
	// total is the number of entries of all headers.
	total int64
}

func openTable(dir string, fs vfs.FS, logger *slog.Logger) *table {
	t := &table{dir: dir, fs: fs, logger: logger, boot: rand.Uint64()}
	t.open()
	return t
}

// maxFailures is the number of disk failures after which everything is kept in
// memory until the next start.
const maxFailures = 3

// open opens the existing database, else an empty one, else one in memory.
func (t *table) open() {
	if t.dir != "" && t.failures < maxFailures {
		for _, empty := range []bool{false, true} {
			err := t.openDisk(empty)
			if err == nil {
				return
			}
			t.logger.Warn("cannot open the directory store", "path", t.dir, "emptied", empty, "error", err)
		}
	}
	db, err := pebble.Open("", t.options(vfs.NewMem()))
	if err != nil {
		t.logger.Error("the directory store caches nothing", "error", err)
		return
	}
	t.use(db, false)
}

func (t *table) openDisk(empty bool) error {
	if empty {
		if err := os.RemoveAll(t.dir); err != nil {
			return fmt.Errorf("empty %s: %w", t.dir, err)
		}
	}
	if err := os.MkdirAll(t.dir, 0o750); err != nil {
		return fmt.Errorf("create %s: %w", t.dir, err)
	}
	files := newFailsafeFS(t.fs)
	db, err := pebble.Open(t.dir, t.options(files))
	if err != nil {
		return fmt.Errorf("open %s: %w", t.dir, err)
	}
	err = t.loadHeaders(db)
	if files.broken() {
		err = errors.Join(err, files.cause())
	}
	if err != nil {
		_ = db.Close()
		return fmt.Errorf("read %s: %w", t.dir, err)
	}
	t.use(db, true)
	files.onFailure(func(cause error) {
		// Not in the goroutine of the failed write, which may hold locks of Pebble.
		t.background.Go(func() { t.fail(db, fmt.Errorf("write: %w", cause)) })
	})
	return nil
}

func (t *table) use(db *pebble.DB, disk bool) {
	t.db, t.disk = db, disk
	t.life++
}

// loadHeaders reads the headers and deletes the entries of unfinished listings.
func (t *table) loadHeaders(db *pebble.DB) error {
	if err := checkVersion(db); err != nil {
		return err
	}
	t.total = 0
	err := scan(db, []byte{headerKey}, func(key, value []byte) error {
		if _, err := dirIDOf(key); err != nil {
			return err
		}
		h, err := decodeHeader(value)
		if err != nil {
			return err
		}
		t.total += h.count
		t.generation = max(t.generation, h.generation)
		return nil
	})
	if err != nil {
		return err
	}
	batch := db.NewBatch()
	defer func() { _ = batch.Close() }()
	err = scan(db, []byte{pendingKey}, func(key, value []byte) error {
		if len(key) != 9 || len(value) < 9 || value[0] != entryKey {
			return errDamaged
		}
		t.generation = max(t.generation, binary.BigEndian.Uint64(key[1:]))
		return errors.Join(batch.DeleteRange(value, after(value), nil), batch.Delete(key, nil))
	})
	if err != nil {
		return err
	}
	return batch.Commit(pebble.NoSync)
}

// checkVersion returns an error for a database of another format, and marks an
// empty one.
func checkVersion(db *pebble.DB) error {
	value, closer, err := db.Get([]byte{versionKey})
	if errors.Is(err, pebble.ErrNotFound) {
		return db.Set([]byte{versionKey}, []byte(formatVersion), pebble.NoSync)
	}
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	if string(value) != formatVersion {
		return fmt.Errorf("the format is %q, want %q", value, formatVersion)
	}
	return nil
}

// scan calls visit for every key with a prefix. key and value are valid during
// the call only.
func scan(db *pebble.DB, prefix []byte, visit func(key, value []byte) error) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	for it.First(); it.Valid() && err == nil; it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			err = visit(it.Key(), value)
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

// fail empties the database db after an error, unless it was replaced already.
func (t *table) fail(db *pebble.DB, cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.db == nil || t.db != db {
		return
	}
	t.logger.Warn("emptying the directory store", "path", t.dir, "error", cause)
	if err := t.db.Close(); err != nil {
		t.logger.Debug("cannot close the damaged directory store", "error", err)
	}
	t.db, t.total = nil, 0
	t.failures++
	if t.dir != "" {
		if err := os.RemoveAll(t.dir); err != nil {
			t.logger.Warn("cannot empty the directory store", "error", err)
		}
	}
	t.open()
}

func (t *table) close() {
	t.mu.Lock()
	db := t.db
	t.db = nil
	t.mu.Unlock()
	if db != nil {
		if err := db.Close(); err != nil {
			t.logger.Warn("cannot close the directory store", "error", err)
		}
	}
	t.background.Wait()
}

// read runs f on the current database under the read lock. An error other than
// ErrNotFound empties the database.
func (t *table) read(f func(db *pebble.DB) error) bool {
	t.mu.RLock()
	db := t.db
	if db == nil {
		t.mu.RUnlock()
		return false
	}
	err := f(db)
	t.mu.RUnlock()
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		t.fail(db, err)
	}
	return err == nil
}

// header returns the header of a directory, if there is one.
func (t *table) header(id dirID) (header, bool) {
	var h header
	ok := t.read(func(db *pebble.DB) error {
		var err error
		h, err = getHeader(db, id)
		return err
	})
	return h, ok
}

func getHeader(db *pebble.DB, id dirID) (header, error) {
	if !id.valid() {
		return header{}, pebble.ErrNotFound
	}
	value, closer, err := db.Get(id.header())
	if err != nil {
		return header{}, err
	}
	defer func() { _ = closer.Close() }()
	return decodeHeader(value)
}

// lookup returns the header of a directory and the entry of a name; the kind is 0
// if there is none.
func (t *table) lookup(id dirID, name string) (header, entry, bool) {
	var h header
	var e entry
	ok := t.read(func(db *pebble.DB) error {
		var err error
		if h, err = getHeader(db, id); err != nil || h.tooBig {
			return err
		}
		value, closer, err := db.Get(append(id.entries(h.generation), name...))
		if errors.Is(err, pebble.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = closer.Close() }()
		e, err = decodeEntry(value)
		return err
	})
	return h, e, ok
}

// page returns at most limit entries after a name, including unknown ones.
func (t *table) page(id dirID, afterName string, limit int) (h header, page []named, more, ok bool) {
	ok = t.read(func(db *pebble.DB) error {
		page, more = nil, false
		var err error
		if h, err = getHeader(db, id); err != nil || h.tooBig {
			return err
		}
		prefix := id.entries(h.generation)
		lower := keyAfter(prefix, afterName)
		page, more, err = entriesOf(db, prefix, lower, after(prefix), limit)
		return err
	})
	return h, page, more, ok
}

// writtenPage returns at most limit entries of a generation that is being written:
// those after a name and before end.
func (t *table) writtenPage(w *writer, afterName, end string, limit int) (page []named) {
	t.read(func(db *pebble.DB) error {
		if t.life != w.life {
			return nil
		}
		var err error
		page, _, err = entriesOf(db, w.prefix, keyAfter(w.prefix, afterName), append(w.prefix[:len(w.prefix):len(w.prefix)], end...), limit)
		return err
	})
	return page
}

// keyAfter returns the smallest key of an entry after a name, which is the first one
// for "".
func keyAfter(prefix []byte, name string) []byte {
	if name == "" {
		return prefix
	}
	return append(prefix[:len(prefix):len(prefix)], name+"\x00"...)
}

// entriesOf returns at most limit entries between two keys, and whether there are
// more.
func entriesOf(db *pebble.DB, prefix, lower, upper []byte, limit int) (page []named, more bool, err error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, false, err
	}
	for valid := it.First(); valid && err == nil; valid = it.Next() {
		if len(page) == limit {
			more = true
			break
		}
		var value []byte
		if value, err = it.ValueAndErr(); err != nil {
			break
		}
		n := named{name: string(it.Key()[len(prefix):])}
		n.entry, err = decodeEntry(value)
		page = append(page, n)
	}
	return page, more, errors.Join(err, it.Error(), it.Close())
}

// update changes one entry, if the generation is current. An entry of kind 0
// deletes it.
func (t *table) update(id dirID, generation uint64, name string, e entry) {
	t.mu.Lock()
	db := t.db
	if db == nil {
		t.mu.Unlock()
		return
	}
	h, err := getHeader(db, id)
	if err == nil && !h.tooBig && h.generation == generation {
		key := append(id.entries(generation), name...)
		if e.kind == 0 {
			err = db.Delete(key, pebble.NoSync)
		} else {
			err = db.Set(key, e.encode(), pebble.NoSync)
		}
	}
	t.mu.Unlock()
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		t.fail(db, err)
	}
}
