package blockstore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Tier is the configuration of one cache directory.
type Tier struct {
	// Medium is MEM, SSD or HDD. The directories of one medium are one level; MEM is
	// the fastest level and HDD the slowest. Without a medium it is SSD.
	Medium string
	// Path of the directory. The store uses a subdirectory of its own and
	// removes unknown files from it.
	Path string
	// Quota is in bytes, and includes sidecars.
	Quota int64
	// High and Low watermarks as shares of the quota; 0 means 0.95 and 0.9.
	High, Low float64
	// Floor is the number of bytes that stay free on the file system; 0 means
	// a 64th of the quota, at most 1 GiB.
	Floor int64
}

const (
	defaultHigh = 0.95
	defaultLow  = 0.90
	// layout is the name of the subdirectory and the version of its format.
	layout   = "blocks-v1"
	pageSize = 4096
)

// tier is the state of a Tier. Store.mu guards the fields after the first group.
type tier struct {
	Tier
	dir   string
	files Files
	disk  *diskTimeout
	lock  *os.File
	// level is the index of its level in Store.levels.
	level int
	// scanned counts the directories read by load.
	scanned atomic.Int64

	// work holds a token that wakes a writer; seals are complete versions to be
	// verified. A tier shares neither, so that one that hangs holds up no other.
	work  chan struct{}
	seals chan *version

	// used are the charged bytes, evicting those of versions being evicted, and
	// reserved those of blocks that are not on disk yet.
	used, evicting, reserved int64
	free                     int64 // when it was last measured
	promised                 int64 // reserved then and since
	state                    condition
	loaded                   bool
	probing                  bool
	evict                    *eviction
	// filesHere counts the versions with files, sealedHere the sealed ones.
	filesHere, sealedHere int64

	// hot are versions of slower levels that were read again and may move here, at
	// most maxHot. moves holds a token that wakes the mover. draining is set from
	// the high watermark down to the low one.
	hot      []*version
	moves    chan struct{}
	draining bool
	// counts are totals since the store was opened.
	counts TierCounts

	// dirty versions wait for a writer. dirtyBytes, at most dirtyLimit, are the
	// bytes that wait or are being written.
	dirty                  []*version
	dirtyBytes, dirtyLimit int64
	writers                map[int]*writing
	// unsealed versions are complete and could not be sealed.
	unsealed map[*version]struct{}
	// lent are the loans to revoke when their bytes cannot be used any more.
	lent map[*Loan]func()
	// removing counts versions whose files are being unlinked, and unremoved are
	// those for which that failed.
	removing  map[hash]int
	unremoved []*version
}

func newTier(config Tier, share float64, files Files, timeout time.Duration) (*tier, error) {
	if config.High == 0 {
		config.High = defaultHigh
	}
	if config.Low == 0 {
		config.Low = min(defaultLow, config.High)
	}
	if config.Floor == 0 {
		config.Floor = min(config.Quota/64, 1<<30)
	}
	switch {
	case config.Path == "" || !filepath.IsAbs(config.Path):
		return nil, fmt.Errorf("tier path %q: must be absolute", config.Path)
	case config.Quota <= 0:
		return nil, fmt.Errorf("tier %s: quota %d: must be greater than 0 bytes", config.Path, config.Quota)
	case config.High <= 0 || config.High > 1 || config.Low <= 0 || config.Low > config.High:
		return nil, fmt.Errorf("tier %s: watermarks %g and %g: use 0 < low <= high <= 1", config.Path, config.High, config.Low)
	}
	t := &tier{
		Tier: config, dir: filepath.Join(config.Path, layout), files: files,
		disk: newDiskTimeout(timeout, 128), evict: newEviction(config.Quota, share), free: 1 << 62,
		work: make(chan struct{}, 1), moves: make(chan struct{}, 1), seals: make(chan *version, 1024),
		writers: map[int]*writing{}, unsealed: map[*version]struct{}{}, removing: map[hash]int{},
		lent: map[*Loan]func(){},
	}
	t.evict.limit = min(t.evict.limit, t.high())
	return t, nil
}

// takeLock locks the directory for this process.
func (t *tier) takeLock() error {
	f, err := os.OpenFile(filepath.Join(t.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock tier %s: %w", t.Path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return fmt.Errorf("lock tier %s: another process uses it: %w", t.Path, err)
	}
	t.lock = f
	return nil
}

// writable reports whether the tier stores new bytes.
func (t *tier) writable() bool { return t.state.reason == nil }

// hung reports whether the disk does not respond.
func (t *tier) hung() bool { return errors.Is(t.state.reason, errHung) }

// hasFree reports whether n more bytes leave the floor free.
func (t *tier) hasFree(n int64) bool { return t.free-t.promised-n >= t.Floor }

func (t *tier) high() int64 { return int64(float64(t.Quota) * t.High) }
func (t *tier) low() int64  { return int64(float64(t.Quota) * t.Low) }

// pages returns the bytes that n bytes occupy on disk.
func pages(n int64) int64 { return (n + pageSize - 1) / pageSize * pageSize }

// probe writes, syncs, reads and removes a file, and returns the first error.
func (t *tier) probe() error {
	free, err := t.files.Free(t.dir)
	if err != nil {
		return err
	}
	if free < t.Floor {
		return fmt.Errorf("%d bytes are free, %d must stay free: %w", free, t.Floor, errFloor)
	}
	want := make([]byte, pageSize)
	_, _ = rand.Read(want)
	path := filepath.Join(t.dir, "probe")
	f, err := t.files.Open(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	err = probeFile(f, want)
	return errors.Join(err, f.Close(), t.files.Remove(path))
}

func probeFile(f File, want []byte) error {
	if _, err := f.WriteAt(want, 0); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, 0); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	if string(got) != string(want) {
		return errors.New("probe: the bytes read differ from the bytes written")
	}
	return nil
}
