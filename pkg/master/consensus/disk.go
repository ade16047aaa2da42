package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// deleteBatch is how many entries one transaction deletes. Deleting a million
// in one would hold the only write lock for a second.
const deleteBatch = 10_000

// disk is the store that the Raft library uses.
type disk interface {
	raft.LogStore
	raft.StableStore
	Close() error
}

// openDisk opens the file of a log, or creates it if it does not exist. An
// existing file must be a complete tree, because bbolt maps it without checks.
func openDisk(path string) (disk, error) {
	if _, err := proveTree(path, func(_, _, _ []byte) error { return nil }); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open log: %w", err)
	}
	store, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bbolt.Options{
			// Otherwise each commit rewrites a list of free pages that only
			// grows.
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
			// If the file stays locked, another process uses it.
			Timeout: 2 * time.Second,
		},
		MsgpackUseNewTimeFormat: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", path, err)
	}
	return store, nil
}

// failStopDisk is a disk whose failures stop the member. When a method returns,
// its data was written and synced, or was read and verified. When that cannot
// be guaranteed, fail is called and the calling goroutine exits, so that no
// caller continues as if the call had returned.
type failStopDisk struct {
	disk    disk
	path    string
	timeout time.Duration
	// fail ends the process. In tests it returns.
	fail func(error)
	// tail records what the disk must hold. It is nil in tests that need none.
	tail *tail
	// appends holds the durations of durable appends.
	appends *durations

	failed atomic.Bool
	// unsnapshotted is how many bytes were appended since the last snapshot.
	unsnapshotted atomic.Int64
	// first and last are the bounds of the log; 0 when it is empty.
	first, last atomic.Uint64
}

var (
	_ raft.LogStore    = (*failStopDisk)(nil)
	_ raft.StableStore = (*failStopDisk)(nil)
)

// do runs a disk operation that must succeed, and stops the member if it fails
// or hangs.
func (d *failStopDisk) do(act string, operation func() error) {
	if err := d.watch(act, operation); err != nil {
		d.stop(fmt.Errorf("%s: %w", act, err))
		runtime.Goexit()
	}
}

// watch runs a disk operation that may fail, and stops the member if it hangs.
func (d *failStopDisk) watch(act string, operation func() error) error {
	if d.failed.Load() {
		runtime.Goexit()
	}
	watch := startWatchdog(d.timeout, func() {
		d.stop(fmt.Errorf("%s: disk did not respond for %s", act, d.timeout))
	})
	err := operation()
	if !watch.stop() || d.failed.Load() {
		runtime.Goexit()
	}
	return err
}

func (d *failStopDisk) stop(err error) {
	if !d.failed.Swap(true) {
		d.fail(err)
	}
}

// absent reports whether err means that a key or an entry does not exist, which
// is not a failure. The library identifies ErrKeyNotFound by its text.
func absent(err error) bool {
	return errors.Is(err, raft.ErrLogNotFound) || errors.Is(err, raftboltdb.ErrKeyNotFound)
}

// FirstIndex implements raft.LogStore.
func (d *failStopDisk) FirstIndex() (uint64, error) { return d.first.Load(), nil }

// LastIndex implements raft.LogStore.
func (d *failStopDisk) LastIndex() (uint64, error) { return d.last.Load(), nil }

// GetLog implements raft.LogStore.
func (d *failStopDisk) GetLog(index uint64, l *raft.Log) error {
	var missing error
	d.do(fmt.Sprintf("read log entry %d", index), func() error {
		err := readEntry(d.disk, index, l)
		if absent(err) {
			missing, err = err, nil
		}
		return err
	})
	return missing
}

// readEntry reads an entry and verifies it.
func readEntry(from disk, index uint64, l *raft.Log) error {
	if err := from.GetLog(index, l); err != nil {
		return err
	}
	if l.Index != index {
		return fmt.Errorf("log entry %d has index %d: %w", index, l.Index, errDamaged)
	}
	return verify(l)
}

// StoreLog implements raft.LogStore.
func (d *failStopDisk) StoreLog(l *raft.Log) error { return d.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore. It adds checksums to the leader's own
// entries, and every member stores those; a follower rejects entries that do
// not match theirs.
func (d *failStopDisk) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	size := 0
	for _, l := range logs {
		if len(l.Extensions) == 0 {
			seal(l)
		} else if err := verify(l); err != nil {
			return fmt.Errorf("store entries from the leader: %w", err)
		}
		size += len(l.Data)
	}
	start := time.Now()
	d.do("append to the log", func() error {
		store := func() error { return d.disk.StoreLogs(logs) }
		if d.tail == nil {
			return store()
		}
		return d.tail.append(logs, store)
	})
	d.appends.add(time.Since(start))
	d.unsnapshotted.Add(int64(size))
	d.first.CompareAndSwap(0, logs[0].Index)
	d.last.Store(logs[len(logs)-1].Index)
	return nil
}

// DeleteRange implements raft.LogStore. A prefix, which a snapshot made
// redundant, is deleted in batches, lowest first, so that a crash between two
// leaves a log without a gap. A suffix, which conflicts with the leader's log,
// is deleted in one transaction: a part of it would be a log that no member
// ever had.
func (d *failStopDisk) DeleteRange(from, to uint64) error {
	for low := from; low <= to && to < d.last.Load(); low = max(low+deleteBatch, d.first.Load()) {
		high := min(to, low+deleteBatch-1)
		d.truncate(low, high)
	}
	if to >= d.last.Load() {
		d.truncate(from, to)
	}
	return nil
}

func (d *failStopDisk) truncate(from, to uint64) {
	d.do("truncate the log", func() error {
		if d.tail != nil && to >= d.last.Load() {
			if err := d.lower(from); err != nil {
				return err
			}
		}
		if err := d.disk.DeleteRange(from, to); err != nil {
			return err
		}
		return d.bounds()
	})
}

// lower lowers the tail record before a suffix is deleted that begins at an
// index.
func (d *failStopDisk) lower(from uint64) error {
	var before raft.Log
	err := readEntry(d.disk, from-1, &before)
	switch {
	case absent(err):
		// A snapshot covers it.
		return d.tail.truncating(nil)
	case err != nil:
		return err
	}
	return d.tail.truncating(&before)
}

// redo writes what the tail record has and the disk does not.
func (d *failStopDisk) redo(proven provenDir) error {
	if len(proven.redo) > 0 {
		if err := d.disk.StoreLogs(proven.redo); err != nil {
			return fmt.Errorf("append entries of the tail record: %w", err)
		}
	}
	for key, value := range proven.values {
		if err := d.disk.Set([]byte(key), sealValue([]byte(key), value)); err != nil {
			return fmt.Errorf("write %s of the tail record: %w", key, err)
		}
	}
	return nil
}

// bounds reads the first and the last index.
func (d *failStopDisk) bounds() error {
	first, err := d.disk.FirstIndex()
	if err != nil {
		return fmt.Errorf("read first index: %w", err)
	}
	last, err := d.disk.LastIndex()
	if err != nil {
		return fmt.Errorf("read last index: %w", err)
	}
	d.first.Store(first)
	d.last.Store(last)
	return nil
}

// Set implements raft.StableStore.
func (d *failStopDisk) Set(key, value []byte) error {
	d.do("write "+string(key), func() error {
		if err := d.disk.Set(key, sealValue(key, value)); err != nil || d.tail == nil {
			return err
		}
		return d.tail.stored(key, value)
	})
	return nil
}

// Get implements raft.StableStore.
func (d *failStopDisk) Get(key []byte) ([]byte, error) {
	var value []byte
	var missing error
	d.do("read "+string(key), func() error {
		sealed, err := d.disk.Get(key)
		if absent(err) {
			missing = err
			return nil
		}
		if err == nil {
			value, err = openValue(key, sealed)
		}
		return err
	})
	return value, missing
}

// SetUint64 implements raft.StableStore.
func (d *failStopDisk) SetUint64(key []byte, value uint64) error {
	return d.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// GetUint64 implements raft.StableStore.
func (d *failStopDisk) GetUint64(key []byte) (uint64, error) {
	value, err := d.Get(key)
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		d.do("read "+string(key), func() error { return errDamaged })
	}
	return binary.BigEndian.Uint64(value), nil
}

// size returns the size of the log file, in bytes; 0 when it is unknown.
func (d *failStopDisk) size() uint64 {
	info, err := os.Stat(d.path)
	if err != nil {
		return 0
	}
	return uint64(max(info.Size(), 0))
}

// check reads the whole log that a start needs, from the entry after the
// snapshot to the last, before the library does.
func (d *failStopDisk) check(snapshot uint64) error {
	if err := d.bounds(); err != nil {
		return err
	}
	for _, key := range [][]byte{keyTerm, keyVoteTerm, keyCandidate} {
		sealed, err := d.disk.Get(key)
		if err == nil {
			_, err = openValue(key, sealed)
		}
		if err != nil && !absent(err) {
			return err
		}
	}
	var l raft.Log
	for index := snapshot + 1; index <= d.last.Load(); index++ {
		l = raft.Log{}
		if err := readEntry(d.disk, index, &l); err != nil {
			if absent(err) {
				err = fmt.Errorf("log entry %d is missing, between snapshot %d and last entry %d", index, snapshot, d.last.Load())
			}
			return err
		}
		d.unsnapshotted.Add(int64(len(l.Data)))
	}
	return nil
}
