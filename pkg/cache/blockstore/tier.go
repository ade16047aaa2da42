package blockstore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Tier is one directory of a medium.
type Tier struct {
	// Medium is MEM, SSD or HDD; it is reported and changes nothing.
	Medium string
	// Path of the directory. The store keeps its files in a folder of its own
	// below it and removes what it does not know there.
	Path string
	// Quota in bytes, sidecars included.
	Quota int64
	// High and Low watermarks as shares of the quota; 0 means 0.95 and 0.9.
	High, Low float64
	// Floor of bytes that stay free on the file system; 0 means a 64th of the
	// quota, at most 1 GiB.
	Floor int64
}

const (
	defaultHigh = 0.95
	defaultLow  = 0.90
	// layout names the format of the directory.
	layout   = "blocks-v1"
	pageSize = 4096
)

// tier is a Tier in use; fields after the first group are guarded by Store.mu.
type tier struct {
	Tier
	dir   string
	files Files
	guard *guard
	lock  *os.File

	used     int64
	free     int64 // at the last look
	promised int64 // reserved since then
	state    condition
	loaded   bool
	probing  bool
	evict    *eviction
	// filesHere are the versions with files, sealedHere the sealed among them.
	filesHere, sealedHere int64
}

func newTier(config Tier, files Files, timeout time.Duration) (*tier, error) {
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
		return nil, fmt.Errorf("tier path %q: it must be absolute", config.Path)
	case config.Quota <= 0:
		return nil, fmt.Errorf("tier %s: quota %d: it must be more than 0 bytes", config.Path, config.Quota)
	case config.High <= 0 || config.High > 1 || config.Low <= 0 || config.Low > config.High:
		return nil, fmt.Errorf("tier %s: watermarks %g and %g: use 0 < low <= high <= 1", config.Path, config.High, config.Low)
	}
	return &tier{
		Tier: config, dir: filepath.Join(config.Path, layout), files: files,
		guard: newGuard(timeout, 128), evict: newEviction(), free: 1 << 62,
	}, nil
}

// takeLock makes this process the only one to use the directory.
func (t *tier) takeLock() error {
	f, err := os.OpenFile(filepath.Join(t.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("locking tier %s: %w", t.Path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return fmt.Errorf("locking tier %s, which another process uses: %w", t.Path, err)
	}
	t.lock = f
	return nil
}

// writable tiers take new bytes.
func (t *tier) writable() bool { return t.state.reason == nil }

// roomy: n more bytes leave the floor free.
func (t *tier) roomy(n int64) bool { return t.free-t.promised-n >= t.Floor }

func (t *tier) high() int64 { return int64(float64(t.Quota) * t.High) }
func (t *tier) low() int64  { return int64(float64(t.Quota) * t.Low) }

// pages is what n bytes take on disk.
func pages(n int64) int64 { return (n + pageSize - 1) / pageSize * pageSize }

// probe writes, syncs, reads and removes a file.
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
		return fmt.Errorf("probing: %w", err)
	}
	err = probeFile(f, want)
	return errors.Join(err, f.Close(), t.files.Remove(path))
}

func probeFile(f File, want []byte) error {
	if _, err := f.WriteAt(want, 0); err != nil {
		return fmt.Errorf("probing: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("probing: %w", err)
	}
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, 0); err != nil {
		return fmt.Errorf("probing: %w", err)
	}
	if string(got) != string(want) {
		return errors.New("probing: read other bytes than were written")
	}
	return nil
}
