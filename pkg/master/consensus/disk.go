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

// truncation is how many entries one transaction deletes: a million in one
// would hold the only write lock for a second.
const deleteBatch = 10_000

// disk is the library's store.
type disk interface {
	raft.LogStore
	raft.StableStore
	Close() error
}

func openDisk(path string) (disk, error) {
	store, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bbolt.Options{
			// Otherwise each commit rewrites a list of free pages that only
			// grows.
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
			// The lock of the file says that another process uses it.
			Timeout: 2 * time.Second,
		},
		MsgpackUseNewTimeFormat: true,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the log %s: %w", path, err)
	}
	return store, nil
}

// guarded is a disk whose failures stop the member. What it answers was
// written and synced, or was read and verified; when it cannot say so, fail is
// called, and the calling goroutine ends: nothing above it may go on as though
// the call had returned.
type failStopDisk struct {
	disk    disk
	path    string
	timeout time.Duration
	// fail ends the process. In tests it returns.
	fail func(error)
	// appends are the durations of durable appends.
	appends *durations

	failed atomic.Bool
	// unsnapshotted bytes were appended since the last snapshot.
	unsnapshotted atomic.Int64
	// first and last index of the log; 0 when it is empty.
	first, last atomic.Uint64
}

var (
	_ raft.LogStore    = (*failStopDisk)(nil)
	_ raft.StableStore = (*failStopDisk)(nil)
)

// do runs one operation of the disk that must not fail.
func (d *failStopDisk) do(act string, operation func() error) {
	if err := d.watch(act, operation); err != nil {
		d.stop(fmt.Errorf("%s: %w", act, err))
		runtime.Goexit()
	}
}

// watch runs one operation of the disk that may fail, but not hang.
func (d *failStopDisk) watch(act string, operation func() error) error {
	if d.failed.Load() {
		runtime.Goexit()
	}
	watch := startWatchdog(d.timeout, func() {
		d.stop(fmt.Errorf("%s: the disk has not answered for %s", act, d.timeout))
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

// absent are the library's ways to say that nothing is there, which is no
// failure. It compares the text of the second.
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
	d.do(fmt.Sprintf("reading entry %d of the log", index), func() error {
		err := readEntry(d.disk, index, l)
		if absent(err) {
			missing, err = err, nil
		}
		return err
	})
	return missing
}

// readEntry reads and verifies.
func readEntry(from disk, index uint64, l *raft.Log) error {
	if err := from.GetLog(index, l); err != nil {
		return err
	}
	if l.Index != index {
		return fmt.Errorf("entry %d of the log says that it is %d: %w", index, l.Index, errDamaged)
	}
	return verify(l)
}

// StoreLog implements raft.LogStore.
func (d *failStopDisk) StoreLog(l *raft.Log) error { return d.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore. The leader's entries get their checksum
// here, and keep it on every disk; a follower refuses entries that do not
// match theirs.
func (d *failStopDisk) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	size := 0
	for _, l := range logs {
		if len(l.Extensions) == 0 {
			seal(l)
		} else if err := verify(l); err != nil {
			return fmt.Errorf("storing what the leader sent: %w", err)
		}
		size += len(l.Data)
	}
	start := time.Now()
	d.do("appending to the log", func() error { return d.disk.StoreLogs(logs) })
	d.appends.add(time.Since(start))
	d.unsnapshotted.Add(int64(size))
	d.first.CompareAndSwap(0, logs[0].Index)
	d.last.Store(logs[len(logs)-1].Index)
	return nil
}

// DeleteRange implements raft.LogStore. A prefix, which a snapshot made
// superfluous, goes in pieces, lowest first: a crash between two leaves a log
// without a gap. A suffix, which conflicts with the leader's log, goes at
// once: half of one would be a log that nobody ever wrote.
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
	d.do("truncating the log", func() error {
		if err := d.disk.DeleteRange(from, to); err != nil {
			return err
		}
		return d.bounds()
	})
}

// bounds reads the first and the last index.
func (d *failStopDisk) bounds() error {
	first, err := d.disk.FirstIndex()
	if err != nil {
		return fmt.Errorf("looking for the first entry: %w", err)
	}
	last, err := d.disk.LastIndex()
	if err != nil {
		return fmt.Errorf("looking for the last entry: %w", err)
	}
	d.first.Store(first)
	d.last.Store(last)
	return nil
}

// Set implements raft.StableStore.
func (d *failStopDisk) Set(key, value []byte) error {
	d.do("writing "+string(key), func() error { return d.disk.Set(key, sealValue(key, value)) })
	return nil
}

// Get implements raft.StableStore.
func (d *failStopDisk) Get(key []byte) ([]byte, error) {
	var value []byte
	var missing error
	d.do("reading "+string(key), func() error {
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
		d.do("reading "+string(key), func() error { return errDamaged })
	}
	return binary.BigEndian.Uint64(value), nil
}

// size of the log's file in bytes; 0 when it cannot be told.
func (d *failStopDisk) size() uint64 {
	info, err := os.Stat(d.path)
	if err != nil {
		return 0
	}
	return uint64(max(info.Size(), 0))
}

// check reads the whole log that a start needs, from the entry after a
// snapshot's to the last, before the library does.
func (d *failStopDisk) check(snapshot uint64) error {
	if err := d.bounds(); err != nil {
		return err
	}
	for _, key := range []string{"CurrentTerm", "LastVoteTerm", "LastVoteCand"} {
		sealed, err := d.disk.Get([]byte(key))
		if err == nil {
			_, err = openValue([]byte(key), sealed)
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
				err = fmt.Errorf("entry %d of the log is missing, between a snapshot at %d and the last entry, %d", index, snapshot, d.last.Load())
			}
			return err
		}
		d.unsnapshotted.Add(int64(len(l.Data)))
	}
	return nil
}
