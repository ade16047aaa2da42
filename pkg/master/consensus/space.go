package consensus

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/hashicorp/raft"
)

// ErrDiskFull reports that commands are refused because disks of masters are
// full. Nothing was executed.
var ErrDiskFull = errors.New("commands are refused because disks of masters are full")

const (
	// spaceInterval is how often the free space is measured.
	spaceInterval = time.Second
	// The floor is 1/floorFraction of the file system, within bounds. Below it,
	// this member accepts no commands.
	floorFraction      = 16
	minFloor, maxFloor = 512 << 10, 64 << 20
)

// space observes the free space of the file system that holds a member's
// directory, and keeps a part of it in reserve.
//
// A member below the floor is read-only: it refuses commands, as leader, and
// entries with commands, as follower. It still writes what a start, an election
// and a change of the configuration need, which is little, and takes snapshots,
// which shorten the log; the floor leaves room for the next one. When other
// users of the file system take that space, too, a file of half the floor's size
// is deleted, and the log has room that is allocated, see logRoom. No write of a
// command is begun that might not fit, because a write that failed in the middle
// ends the process.
type space struct {
	dir    string
	logger *slog.Logger
	// needed returns the size that the next snapshot may have, in bytes.
	needed func() uint64
	// measure returns the size and the free space of a file system.
	measure func(dir string) (size, free uint64, err error)

	// updating is held while the space is measured and the reserve changed.
	updating sync.Mutex
	// reserved is the size of the reserve.
	reserved atomic.Int64
	// full is why this member is read-only; nil when it is not.
	full atomic.Pointer[string]
}

func newSpace(dir string, logger *slog.Logger) *space {
	return &space{dir: dir, logger: logger, needed: func() uint64 { return 0 }, measure: fileSystem}
}

func (s *space) reserve() string { return filepath.Join(s.dir, "reserve") }

// floorOf returns the floor of a file system.
func floorOf(size uint64) uint64 { return min(max(size/floorFraction, minFloor), maxFloor) }

// update measures the free space, creates or deletes the reserve, and decides
// whether this member is read-only.
func (s *space) update() {
	s.updating.Lock()
	defer s.updating.Unlock()
	size, free, err := s.measure(s.dir)
	if err != nil {
		s.logger.Warn("cannot measure the free space of the disk", "error", err)
		return
	}
	floor := floorOf(size)
	kept := uint64(max(s.reserved.Load(), 0))
	want := floor + s.needed()
	wasFull := s.full.Load() != nil
	switch {
	case kept > 0 && free < floor/4:
		s.release()
	case kept == 0 && free >= want+floor:
		s.create(int64(floor / 2))
	}
	// While it is read-only, a member waits for more than the floor, so that it
	// does not become so again with the next command.
	if wasFull {
		want += floor / 2
	}
	if free >= want {
		if s.full.Swap(nil) != nil {
			s.logger.Info("the disk of this master has space again", "free", humanize.IBytes(free))
		}
		return
	}
	reason := fmt.Sprintf("the disk of this master is full: %s are free at %s, %s are needed: free some, or enlarge the volume", humanize.IBytes(free), s.dir, humanize.IBytes(want))
	if s.full.Swap(&reason) == nil {
		s.logger.Warn("this master is read-only", "reason", reason)
	}
}

// open adopts or releases the reserve of the last start.
func (s *space) open() {
	if info, err := os.Stat(s.reserve()); err == nil {
		s.reserved.Store(info.Size())
	}
	s.update()
}

func (s *space) release() {
	if err := os.Remove(s.reserve()); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.logger.Warn("cannot release the reserve of the disk", "error", err)
		return
	}
	s.reserved.Store(0)
}

// create allocates the reserve. Where that is not possible, the member runs
// without one.
func (s *space) create(size int64) {
	if err := allocate(s.reserve(), size); err != nil {
		s.logger.Debug("cannot reserve space on the disk", "error", err)
		_ = os.Remove(s.reserve())
		return
	}
	s.reserved.Store(size)
}

// room reports whether a command of a size leaves the floor free. Commands may
// arrive faster than the space is measured otherwise.
func (s *space) room(size int) bool {
	total, free, err := s.measure(s.dir)
	return err != nil || free >= floorOf(total)+s.needed()+3*uint64(size)
}

// reason returns why this member is read-only; empty when it is not.
func (s *space) reason() string {
	if reason := s.full.Load(); reason != nil {
		return *reason
	}
	return ""
}

// fits returns an error if commands might not leave enough space for a snapshot.
func (s *space) fits(logs []*raft.Log) error {
	size := uint64(0)
	for _, l := range logs {
		size += uint64(entrySize(l))
	}
	total, free, err := s.measure(s.dir)
	if err != nil {
		return nil //nolint:nilerr // The write itself will tell.
	}
	// A transaction writes its pages beside the ones in use, and pages that are
	// free within the log's file may be too far apart for a large entry.
	if needed := floorOf(total)/4 + 3*size; free < needed {
		return fmt.Errorf("append to the log: %w: %s are free at %s, %s are needed", ErrDiskFull, humanize.IBytes(free), s.dir, humanize.IBytes(needed))
	}
	return nil
}

// spaceGuard refuses entries that might not fit on the disk. Entries that replace
// a suffix are always tried: after a refusal, the library would
// expect the suffix that was deleted, and accept nothing more before a restart. If
// they do not fit, the member ends, and starts without the suffix.
type spaceGuard struct {
	raft.LogStore
	space *space
	room  *logRoom
	// replacing is set between the deletion of a suffix and the next append.
	replacing atomic.Bool
}

// StoreLog implements raft.LogStore.
func (g *spaceGuard) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (g *spaceGuard) StoreLogs(logs []*raft.Log) error {
	if !g.replacing.Swap(false) {
		if err := g.fits(logs); err != nil {
			return err
		}
	}
	if err := g.LogStore.StoreLogs(logs); err != nil {
		return err
	}
	g.room.appended(logs)
	return nil
}

// fits returns an error if entries might not fit on the disk. Entries without a
// command always may be tried.
func (g *spaceGuard) fits(logs []*raft.Log) error {
	if !slices.ContainsFunc(logs, func(l *raft.Log) bool { return l.Type == raft.LogCommand && len(l.Data) > 0 }) {
		return nil
	}
	if err := g.space.fits(logs); err != nil {
		return err
	}
	if err := g.room.ensure(logs); err != nil {
		return fmt.Errorf("append to the log: %w: %w", ErrDiskFull, err)
	}
	return nil
}

// DeleteRange implements raft.LogStore.
func (g *spaceGuard) DeleteRange(from, to uint64) error {
	last, err := g.LastIndex()
	if err == nil {
		err = g.LogStore.DeleteRange(from, to)
	}
	if err == nil && to >= last {
		g.replacing.Store(true)
	}
	return err
}
