package consensus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// snapshots is the library's store of snapshot files, limited to those that were
// verified. In addition it caches the metadata of the newest, because Status must
// not wait for the disk.
type snapshots struct {
	raft.SnapshotStore
	// dir holds a directory for each snapshot.
	dir string
	// taken is called when a snapshot is durable.
	taken func(raft.SnapshotMeta) error
	// watch runs a disk operation that may hang: failStopDisk.watch.
	watch func(act string, operation func() error) error

	mu     sync.Mutex
	newest raft.SnapshotMeta
	// proven holds the ids of the snapshots that the library may use.
	proven map[string]bool
}

var _ raft.SnapshotStore = (*snapshots)(nil)

// openSnapshots opens the snapshots that belong to a log.
func openSnapshots(dir string, log *failStopDisk, logger *raftLogger) (*snapshots, error) {
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, logger)
	if err != nil {
		return nil, fmt.Errorf("open snapshots in %s: %w", dir, err)
	}
	return &snapshots{
		SnapshotStore: files,
		dir:           filepath.Join(dir, "snapshots"),
		watch:         log.watch,
		taken: func(meta raft.SnapshotMeta) error {
			if log.tail != nil {
				if err := log.tail.snapshotTaken(meta.Index, meta.Term); err != nil {
					return err
				}
			}
			log.unsnapshotted.Store(0)
			return nil
		},
	}, nil
}

// Create implements raft.SnapshotStore.
func (s *snapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, transport raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, configuration, configurationIndex, transport)
	if err != nil {
		return nil, err
	}
	return &snapshotSink{SnapshotSink: sink, store: s, meta: raft.SnapshotMeta{ID: sink.ID(), Index: index, Term: term}}, nil
}

// List implements raft.SnapshotStore. It returns the verified snapshots: with an
// older one, the library would skip entries that the log no longer has.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	all, err := s.SnapshotStore.List()
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(all, func(meta *raft.SnapshotMeta) bool { return !s.proven[meta.ID] }), nil
}

// use makes a verified snapshot the one to start from, unless its index is 0.
func (s *snapshots) use(meta raft.SnapshotMeta) {
	if meta.Index > 0 {
		s.record(meta)
	}
}

func (s *snapshots) record(meta raft.SnapshotMeta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = meta
	if s.proven == nil {
		s.proven = map[string]bool{}
	}
	s.proven[meta.ID] = true
}

// meta returns the metadata of the newest snapshot; its index is 0 when there is
// none.
func (s *snapshots) meta() raft.SnapshotMeta {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest
}

// last returns the index of the newest snapshot and when it was taken.
func (s *snapshots) last() (uint64, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest.Index == 0 {
		return 0, time.Time{}
	}
	return s.newest.Index, takenAt(s.newest.ID)
}

// takenAt returns the time within the library's name of a snapshot:
// term-index-milliseconds.
func takenAt(id string) time.Time {
	millis, err := strconv.ParseInt(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

type snapshotSink struct {
	raft.SnapshotSink
	store *snapshots
	meta  raft.SnapshotMeta
	once  sync.Once
	// failed is the error of Close.
	failed error
}

// Write fails when the disk does, and the snapshot is abandoned. A disk that
// hangs stops the member, because its main goroutine may be waiting here.
func (s *snapshotSink) Write(p []byte) (int, error) {
	written := 0
	err := s.store.watch("write snapshot", func() error {
		n, err := s.SnapshotSink.Write(p)
		written = n
		return err
	})
	s.meta.Size += int64(written)
	return written, err
}

// Close makes the snapshot durable, and then a part of what this member's disk
// must hold. The library calls it twice.
func (s *snapshotSink) Close() error {
	s.once.Do(func() {
		s.failed = s.store.watch("finish snapshot", s.seal)
		if s.failed == nil {
			s.failed = s.store.watch("finish snapshot", func() error { return s.store.taken(s.meta) })
		}
		if s.failed == nil {
			s.store.record(s.meta)
		}
	})
	return s.failed
}

// seal completes the files of the snapshot, or removes them: the library would
// count an unfinished snapshot among those that it keeps, and remove an intact
// one for it.
func (s *snapshotSink) seal() error {
	dir := filepath.Join(s.store.dir, s.meta.ID)
	err := s.SnapshotSink.Close()
	if err == nil {
		err = sealSnapshot(dir)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir), os.RemoveAll(dir+tmpSuffix))
	}
	return nil
}
