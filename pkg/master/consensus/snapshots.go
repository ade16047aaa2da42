package consensus

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// snapshots is the library's store of snapshot files. In addition it caches the
// metadata of the newest, because Status must not wait for the disk.
type snapshots struct {
	raft.SnapshotStore
	// taken is called when a snapshot is durable.
	taken func()
	// watch runs a disk operation that may hang: failStopDisk.watch.
	watch func(act string, operation func() error) error

	mu     sync.Mutex
	newest raft.SnapshotMeta
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
		taken:         func() { log.unsnapshotted.Store(0) },
		watch:         log.watch,
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

// check reads the newest snapshot, verifies it to its end, and records it. The
// index is 0 when there is no snapshot.
func (s *snapshots) check() (raft.SnapshotMeta, error) {
	all, err := s.List()
	if err != nil {
		return raft.SnapshotMeta{}, fmt.Errorf("list snapshots: %w", err)
	}
	if len(all) == 0 {
		return raft.SnapshotMeta{}, nil
	}
	meta := *all[0]
	if err := s.verify(meta); err != nil {
		return raft.SnapshotMeta{}, fmt.Errorf("check snapshot %s: %w", meta.ID, err)
	}
	s.record(meta)
	return meta, nil
}

func (s *snapshots) verify(meta raft.SnapshotMeta) error {
	_, file, err := s.Open(meta.ID)
	if err != nil {
		return err
	}
	defer file.Close()
	envelope, err := openEnvelope(file)
	if err != nil {
		return err
	}
	if envelope.header.index != meta.Index {
		return fmt.Errorf("its index is %d, but its name says %d: %w", envelope.header.index, meta.Index, errDamaged)
	}
	_, err = io.Copy(io.Discard, envelope)
	return err
}

func (s *snapshots) record(meta raft.SnapshotMeta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = meta
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
	return written, err
}

// Close makes the snapshot durable. The library calls it twice.
func (s *snapshotSink) Close() error {
	if err := s.store.watch("finish snapshot", s.SnapshotSink.Close); err != nil {
		return err
	}
	s.once.Do(func() {
		s.store.record(s.meta)
		s.store.taken()
	})
	return nil
}
