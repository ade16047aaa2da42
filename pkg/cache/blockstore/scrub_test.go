package blockstore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// scrubOnce runs one pass over every tier, without pauses.
func scrubOnce(s *Store) {
	for _, t := range s.tiers {
		s.scrubPass(t, func(int64) bool { return true })
	}
}

// TestScrubDiscardsDamage checks that the scrubber finds damage of files that no reader
// would verify again, that it revokes their loans, and that it leaves other files.
func TestScrubDiscardsDamage(t *testing.T) {
	for name, damage := range map[string]func(files *faulty, path string) error{
		"flipped bit": func(_ *faulty, path string) error {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			raw[200_000] ^= 4
			return os.WriteFile(path, raw, 0o600)
		},
		"truncated": func(_ *faulty, path string) error { return os.Truncate(path, 100_000) },
		"removed":   func(_ *faulty, path string) error { return os.Remove(path) },
		"unreadable": func(files *faulty, path string) error {
			files.set(on("read", filepath.Base(path), syscall.EIO))
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := &faulty{}
			s := open(t, testConfig(t, func(c *Config) { c.Files, c.Retry = files, time.Hour }))
			o := newOrigin(21, 300_001)
			revoked := map[string]*atomic.Bool{}
			for _, name := range []string{"damaged", "sound"} {
				mustRead(t, s, o, name, 0, 300_001, o.fetch)
				settled(t, s)
				loan, err := s.Lend(o.key(name))
				must(t, err)
				flag := &atomic.Bool{}
				revoked[name] = flag
				loan.OnRevoke(func() { flag.Store(true) })
				defer loan.Return()
			}
			scrubOnce(s)
			if stats := s.Stats(); stats.ScrubbedBytes != 2*300_001 || stats.ScrubDamaged != 0 || stats.ScrubPasses != 1 || stats.Discarded != 0 {
				t.Fatalf("a pass over sound files: %+v", stats.Counts)
			}
			must(t, damage(files, s.versions[o.key("damaged").hash()].dataPath()))
			scrubOnce(s)
			if stats := s.Stats(); stats.ScrubDamaged != 1 || stats.Discarded != 1 {
				t.Errorf("a pass over a damaged file: %+v", stats.Counts)
			}
			eventually(t, "the loan of the damaged file is revoked", revoked["damaged"].Load)
			if revoked["sound"].Load() {
				t.Error("the loan of a sound file is revoked")
			}
			files.set(nil)
			if _, err := s.Lend(o.key("damaged")); !errors.Is(err, ErrNotSealed) {
				t.Errorf("lend the damaged file: %v", err)
			}
			before := o.fetches.Load()
			mustRead(t, s, o, "damaged", 0, 300_001, o.fetch)
			if o.fetches.Load() == before {
				t.Error("the damaged file is not fetched again")
			}
			mustRead(t, s, o, "sound", 0, 300_001, nil)
		})
	}
}

// TestScrubReadsTheDisk checks that the scrubber does not read what the kernel holds
// in memory, which readers of a damaged disk may see for a long time.
func TestScrubReadsTheDisk(t *testing.T) {
	opened := &recordingFiles{}
	s := open(t, testConfig(t, func(c *Config) { c.Files = opened }))
	o := newOrigin(22, 200_000)
	mustRead(t, s, o, "a", 0, 200_000, o.fetch)
	settled(t, s)
	opened.flags.Store(0)
	scrubOnce(s)
	if opened.flags.Load()&unix.O_DIRECT == 0 {
		t.Error("the file is read through the page cache")
	}
	if got := s.Stats().ScrubbedBytes; got != 200_000 {
		t.Errorf("%d bytes are verified", got)
	}
}

// recordingFiles collects the flags with which files are opened, and refuses none.
type recordingFiles struct {
	OS
	flags atomic.Int64
	// refuse makes reads past the page cache fail, as on a file system without them.
	refuse bool
}

func (f *recordingFiles) Open(path string, flag int) (File, error) {
	f.flags.Or(int64(flag))
	if f.refuse && flag&unix.O_DIRECT != 0 {
		return nil, &os.PathError{Op: "open", Path: path, Err: unix.EINVAL}
	}
	return f.OS.Open(path, flag)
}

// TestScrubWithoutDirectReads checks file systems that cannot read past the page cache.
func TestScrubWithoutDirectReads(t *testing.T) {
	s := open(t, testConfig(t, func(c *Config) { c.Files = &recordingFiles{refuse: true} }))
	o := newOrigin(23, 200_000)
	mustRead(t, s, o, "a", 0, 200_000, o.fetch)
	settled(t, s)
	scrubOnce(s)
	if stats := s.Stats(); stats.ScrubbedBytes != 200_000 || stats.Discarded != 0 {
		t.Errorf("%+v", stats.Counts)
	}
}

// TestScrubLeavesOthers checks that the scrubber reads complete files only, and is not
// disturbed by foreign files.
func TestScrubLeavesOthers(t *testing.T) {
	s := open(t, testConfig(t))
	o := newOrigin(24, 300_000)
	mustRead(t, s, o, "part", 0, 1000, o.fetch)
	settled(t, s)
	scrubOnce(s)
	mustRead(t, s, o, "whole", 0, 300_000, o.fetch)
	settled(t, s)
	dir := filepath.Dir(s.versions[o.key("whole").hash()].dataPath())
	for _, name := range []string{"x.meta", strings.Repeat("zz", 32) + ".meta", strings.Repeat("ab", 32) + ".meta", strings.Repeat("ab", 40) + ".meta", ".meta"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("foreign"), 0o600))
	}
	scrubOnce(s)
	if stats := s.Stats(); stats.ScrubbedBytes != 300_000 || stats.Discarded != 0 || stats.Tiers[0].Err != nil {
		t.Errorf("%+v, the tier reports %v", stats.Counts, stats.Tiers[0].Err)
	}
	mustRead(t, s, o, "part", 0, 1000, nil)
}

// TestScrubAndEviction checks that a pass does not change what is evicted, and that a
// version that is evicted meanwhile is no damage.
func TestScrubAndEviction(t *testing.T) {
	s := open(t, testConfig(t))
	o := newOrigin(25, 300_000)
	for _, name := range []string{"a", "b", "c"} {
		mustRead(t, s, o, name, 0, 300_000, o.fetch)
		settled(t, s)
	}
	s.scrubPass(s.tiers[0], func(int64) bool {
		s.Forget("m1", "b")
		return true
	})
	if stats := s.Stats(); stats.Discarded != 0 || stats.ScrubDamaged != 0 {
		t.Errorf("%+v", stats.Counts)
	}
	for name, want := range map[string]bool{"a": true, "b": false, "c": true} {
		s.mu.Lock()
		v := s.versions[o.key(name).hash()]
		if (v != nil) != want || v != nil && (v.refs != 0 || !v.listed) {
			t.Errorf("%s: %+v", name, v)
		}
		s.mu.Unlock()
	}
}

// TestScrubStopsAtAHungDisk checks that the first operation that reports a disk that
// hangs ends a pass.
func TestScrubStopsAtAHungDisk(t *testing.T) {
	files := &faulty{}
	s := open(t, testConfig(t, func(c *Config) { c.Files, c.Retry = files, time.Hour }))
	o := newOrigin(26, 300_000)
	for _, name := range []string{"a", "b", "c"} {
		mustRead(t, s, o, name, 0, 300_000, o.fetch)
		settled(t, s)
	}
	var reads atomic.Int64
	files.set(func(op, path string) error {
		if op == "read" && strings.HasSuffix(path, ".data") {
			reads.Add(1)
			return errHung
		}
		return nil
	})
	scrubOnce(s)
	if n := reads.Load(); n != 1 {
		t.Errorf("%d reads began on the disk that hangs", n)
	}
	if stats := s.Stats(); stats.Discarded != 0 || !errors.Is(stats.Tiers[0].Err, errHung) {
		t.Errorf("%d versions are discarded, the tier reports %v", stats.Discarded, stats.Tiers[0].Err)
	}
}

// TestScrubDelay checks the rate of a pass.
func TestScrubDelay(t *testing.T) {
	const block = 1 << 20
	for _, test := range []struct {
		used     int64
		interval time.Duration
		want     time.Duration
	}{
		{0, DefaultScrub, scrubPause},
		{100 << 20, DefaultScrub, scrubPause},                 // of 100 minutes
		{100 << 30, DefaultScrub, 5906250 * time.Microsecond}, // 604800 s / 102400 blocks
		{100 << 40, DefaultScrub, time.Second / 16},           // 16 MiB/s at most
		{1 << 30, time.Nanosecond, time.Second / 16},
	} {
		if got := scrubDelay(block, test.used, test.interval).Round(time.Microsecond); got != test.want {
			t.Errorf("%d bytes in %s: got %s, want %s", test.used, test.interval, got, test.want)
		}
	}
}
