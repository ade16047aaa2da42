package blockstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// faulty is OS with faults: each operation calls fail first.
type faulty struct {
	OS
	mu   sync.Mutex
	fail func(op, path string) error
}

func (f *faulty) set(fail func(op, path string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faulty) check(op, path string) error {
	f.mu.Lock()
	fail := f.fail
	f.mu.Unlock()
	if fail == nil {
		return nil
	}
	if err := fail(op, path); err != nil {
		return &fs.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

func (f *faulty) Open(path string, flag int) (File, error) {
	op := "open"
	if flag&os.O_CREATE != 0 {
		op = "create"
	}
	if err := f.check(op, path); err != nil {
		return nil, err
	}
	file, err := f.OS.Open(path, flag)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f, path}, nil
}

func (f *faulty) Remove(path string) error {
	if err := f.check("remove", path); err != nil {
		return err
	}
	return f.OS.Remove(path)
}

func (f *faulty) Free(path string) (int64, error) {
	if err := f.check("free", path); err != nil {
		return 0, err
	}
	return f.OS.Free(path)
}

func (f *faulty) ReadDir(path string) ([]fs.DirEntry, error) {
	if err := f.check("readdir", path); err != nil {
		return nil, err
	}
	return f.OS.ReadDir(path)
}

type faultyFile struct {
	File
	files *faulty
	path  string
}

func (f *faultyFile) ReadAt(p []byte, offset int64) (int, error) {
	if err := f.files.check("read", f.path); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, offset)
}

// WriteAt writes half of p when it fails, as a full disk does.
func (f *faultyFile) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.files.check("write", f.path); err != nil {
		n, _ := f.File.WriteAt(p[:len(p)/2], offset)
		return n, err
	}
	return f.File.WriteAt(p, offset)
}

func (f *faultyFile) Sync() error {
	if err := f.files.check("sync", f.path); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Close() error {
	if err := f.files.check("close", f.path); err != nil {
		_ = f.File.Close()
		return err
	}
	return f.File.Close()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.files.check("truncate", f.path); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// on returns a fault of one operation on files with the suffix.
func on(op, suffix string, err error) func(string, string) error {
	return func(o, path string) error {
		if o == op && strings.HasSuffix(path, suffix) {
			return err
		}
		return nil
	}
}

// TestFailingDisk checks for each fault that reads return the right bytes, that
// the tier reports the error, and that it is used again after the fault.
func TestFailingDisk(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  func(op, path string) error
		reason error
	}{
		{"no space for data", on("write", ".data", syscall.ENOSPC), syscall.ENOSPC},
		{"no space for a sidecar", on("write", ".meta", syscall.ENOSPC), syscall.ENOSPC},
		{"no inode", on("create", ".data", syscall.ENOSPC), syscall.ENOSPC},
		{"no sidecar", on("create", ".meta", syscall.ENOSPC), syscall.ENOSPC},
		{"quota of the file system", on("truncate", ".data", syscall.EDQUOT), syscall.EDQUOT},
		{"sync fails", on("sync", ".data", syscall.EIO), syscall.EIO},
		{"read-only", on("create", "", syscall.EROFS), syscall.EROFS},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The tier is retried when the clock advances only.
			files, clock := &faulty{}, newClock()
			s := open(t, testConfig(t, func(config *Config) { config.Files, config.Now = files, clock.Now }))
			whole := newOrigin(9, 500_000)
			mustRead(t, s, whole, "before", 0, 500_000, whole.fetch)
			settled(t, s)
			// The janitor evicts from a full disk what is not in use.
			loan, err := s.Lend(whole.key("before"))
			must(t, err)
			defer loan.Return()
			files.set(c.fault)
			o := newOrigin(3, 1<<20)
			// A part, because a version that is written whole is not truncated.
			mustRead(t, s, o, "a", 0, 1<<19, o.fetch)
			eventually(t, "the tier reports the error", func() bool { return errors.Is(s.Stats().Tiers[0].Err, c.reason) })
			mustRead(t, s, o, "a", 0, 1<<20, o.fetch)
			mustRead(t, s, whole, "before", 0, 500_000, nil)
			files.set(nil)
			retried(t, s, clock, 0)
			eventually(t, "bytes are cached again", func() bool {
				s.dropStale(s.config.Now().Add(2 * lingerFor))
				mustRead(t, s, o, "a", 0, 1<<20, o.fetch)
				_, _, err := read(s, o.key("a"), 0, 1<<20, nil)
				return err == nil
			})
			settled(t, s)
			checkAccounts(t, s)
		})
	}
}

// retried advances the clock until a tier that failed is in use.
func retried(t *testing.T, s *Store, c *clock, tier int) {
	t.Helper()
	eventually(t, "the tier is used again", func() bool {
		c.pass(s.config.Retry)
		s.tickTier(s.tiers[tier])
		return s.Stats().Tiers[tier].Err == nil
	})
}

// TestUnreadableBlocks checks that a block that cannot be read, or differs from
// what was written, is fetched again and never returned.
func TestUnreadableBlocks(t *testing.T) {
	config := testConfig(t)
	files := &faulty{}
	config.Files = files
	path := func(suffix string) string {
		found, err := filepath.Glob(filepath.Join(config.Tiers[0].Path, layout, "*", "*"+suffix))
		if err != nil || len(found) != 1 {
			t.Fatalf("found %v, %v", found, err)
		}
		return found[0]
	}
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T)
	}{
		{"a flipped bit", func(t *testing.T) { spoil(t, path(".data"), 300_000) }},
		{"the last byte", func(t *testing.T) { spoil(t, path(".data"), 499_999) }},
		{"a data file cut short", func(t *testing.T) { must(t, os.Truncate(path(".data"), 1000)) }},
		{"a removed data file", func(t *testing.T) { must(t, os.Remove(path(".data"))) }},
		{"a sidecar's magic", func(t *testing.T) { spoil(t, path(".meta"), 0) }},
		{"a sidecar's key", func(t *testing.T) { spoil(t, path(".meta"), fixedSize+1) }},
		{"a slot", func(t *testing.T) { spoil(t, path(".meta"), metaSize(newOrigin(4, 500_000).key("a"), 8)-3) }},
		{"a sidecar cut short", func(t *testing.T) { must(t, os.Truncate(path(".meta"), fixedSize+3)) }},
		{"an empty sidecar", func(t *testing.T) { must(t, os.Truncate(path(".meta"), 0)) }},
		{"reads fail", func(*testing.T) { files.set(on("read", ".data", syscall.EIO)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOrigin(4, 500_000)
			s, err := Open(config)
			must(t, err)
			mustRead(t, s, o, "a", 0, 500_000, o.fetch)
			settled(t, s)
			shut(t, s)
			c.spoil(t)
			defer files.set(nil)
			s = open(t, config)
			before := o.fetches.Load()
			mustRead(t, s, o, "a", 0, 500_000, o.fetch)
			if o.fetches.Load() == before {
				t.Error("no block was fetched again")
			}
			files.set(nil)
			s.Forget("m1", "a")
			settled(t, s)
			s.Forget("m1", "a")
			shut(t, s)
		})
	}
}

func spoil(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	must(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestHungDisk checks that a disk that hangs delays a read by at most one
// timeout, and that it is used again when it responds.
func TestHungDisk(t *testing.T) {
	for _, op := range []string{"read", "open", "write", "sync"} {
		t.Run(op, func(t *testing.T) {
			files := &faulty{}
			s := open(t, testConfig(t, func(c *Config) { c.Files, c.Retry = files, time.Nanosecond }))
			o := newOrigin(5, 300_000)
			mustRead(t, s, o, "a", 0, 300_000, o.fetch)
			settled(t, s)
			setTimeout(s.tiers[0], 20*time.Millisecond)
			gate := make(chan struct{})
			var once sync.Once
			release := func() { once.Do(func() { close(gate) }) }
			defer release()
			files.set(func(o, path string) error {
				if o == op && !strings.HasSuffix(path, "lock") {
					<-gate
				}
				return nil
			})
			mustRead(t, s, o, "a", 0, 300_000, o.fetch)
			p := newOrigin(6, 300_000)
			for i := range 30 {
				mustRead(t, s, p, fmt.Sprint(i), 0, 300_000, p.fetch)
			}
			eventually(t, "the tier reports that it hangs", func() bool { s.tick(); return errors.Is(s.Stats().Tiers[0].Err, errHung) })
			mustRead(t, s, o, "a", 0, 300_000, o.fetch)
			setTimeout(s.tiers[0], forever)
			release()
			files.set(nil)
			eventually(t, "the tier is used again", func() bool { s.tick(); return s.Stats().Tiers[0].Err == nil })
			settled(t, s)
			mustRead(t, s, o, "a", 0, 300_000, o.fetch)
			checkAccounts(t, s)
		})
	}
}

// TestLaggingDisk checks that blocks are not cached, and readers do not wait,
// when the disk is too slow.
func TestLaggingDisk(t *testing.T) {
	files := &faulty{}
	s := open(t, testConfig(t, func(c *Config) { c.Files, c.Dirty = files, 256<<10 }))
	gate := make(chan struct{})
	files.set(func(op, path string) error {
		if op == "sync" {
			<-gate
		}
		return nil
	})
	o := newOrigin(7, 4<<20)
	mustRead(t, s, o, "a", 0, 4<<20, o.fetch)
	if s.Stats().Skipped == 0 {
		t.Error("every block was cached")
	}
	close(gate)
	settled(t, s)
	checkAccounts(t, s)
}
