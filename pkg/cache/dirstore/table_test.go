package dirstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// written returns a fixture whose database has a listing that stays valid over a
// restart.
func written(t *testing.T) (*fixture, Mount) {
	t.Helper()
	f := newFixture(t, newBucket("dir/a", "dir/b"))
	m := f.mount(func(m *Mount) { m.Policy = once })
	f.names(m, "dir", 10)
	return f, m
}

func TestADamagedDatabaseIsEmptied(t *testing.T) {
	change := func(glob string, change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			files, err := filepath.Glob(filepath.Join(dir, glob))
			if err != nil || len(files) == 0 {
				t.Fatalf("no %s: %v", glob, err)
			}
			for _, file := range files {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, change(raw), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	flip := func(b []byte) []byte {
		for i := range b {
			b[i] ^= 0x55
		}
		return b
	}
	set := func(key, value string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			db, err := pebble.Open(dir, (&table{logger: Config{}.withDefaults().Logger}).options(vfs.Default))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Set([]byte(key), []byte(value), pebble.Sync), db.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, damage := range map[string]func(*testing.T, string){
		"another version":        set("v", "jindo directories 0"),
		"an unusable header":     set(string(dirID{"m1", "dir"}.header()), "garbage"),
		"a header's key":         set("dgarbage", ""),
		"a pending key":          set("pgarbage", ""),
		"its tables flipped":     change("*.sst", flip),
		"its manifest cut":       change("MANIFEST-*", func(b []byte) []byte { return b[:len(b)/2] }),
		"its manifest flipped":   change("MANIFEST-*", flip),
		"its manifest missing":   func(t *testing.T, dir string) { removeAll(t, filepath.Join(dir, "MANIFEST-*")) },
		"its tables missing":     func(t *testing.T, dir string) { removeAll(t, filepath.Join(dir, "*.sst")) },
		"a file in its place":    func(t *testing.T, dir string) { removeAll(t, dir); writeFile(t, dir) },
		"another's files beside": func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, "000001.sst")) },
	} {
		t.Run(name, func(t *testing.T) {
			f, m := written(t)
			flush(t, f.store)
			if err := f.store.Close(); err != nil {
				t.Fatal(err)
			}
			damage(t, f.config.Dir)
			f.bucket.put("dir/c")
			f.open()
			got := f.names(m, "dir", 10)
			if slices.Equal(got, []string{"a", "b"}) && (name == "another's files beside" || name == "its manifest cut") {
				return // The lost record did no harm.
			}
			if !slices.Equal(got, []string{"a", "b", "c"}) {
				t.Errorf("got %q", got)
			}
			lists := f.bucket.requests("list")
			f.restart()
			f.names(m, "dir", 10)
			if f.bucket.requests("list") != lists {
				t.Error("the new database stores nothing")
			}
		})
	}
}

func removeAll(t *testing.T, glob string) {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", glob, err)
	}
	for _, file := range files {
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
	}
}

func writeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func flush(t *testing.T, s *Store) {
	t.Helper()
	if err := s.table.db.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestDamageFoundWhileRunning(t *testing.T) {
	id := dirID{"m1", "dir"}
	for name, key := range map[string][]byte{
		"a header": id.header(),
		"an entry": append(id.entries(1), 'a'),
	} {
		t.Run(name, func(t *testing.T) {
			f, m := written(t)
			if err := f.store.table.db.Set(key, []byte("garbage"), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			if got := f.lookup(m, "dir", "a"); got != "a" {
				t.Errorf("a is %q", got)
			}
			if got := f.names(m, "dir", 10); !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestUnfinishedListingIsDropped(t *testing.T) {
	f, _ := written(t)
	w := f.store.table.begin(dirID{"m1", "other"})
	w.add([]named{{"x", entry{kind: directory}}, {"y", entry{kind: directory}}})
	f.restart()
	left := 0
	if err := scan(f.store.table.db, []byte{entryKey}, func([]byte, []byte) error { left++; return nil }); err != nil {
		t.Fatal(err)
	}
	if left != 2 {
		t.Errorf("%d entries are left, want the two of the listing that ended", left)
	}
	if again := f.store.table.begin(dirID{"m1", "other"}); again.generation <= w.generation {
		t.Errorf("generation %d is assigned again", again.generation)
	}
}

// failingFS fails writes on demand.
type failingFS struct {
	vfs.FS
	fail atomic.Bool
}

type failingFile struct {
	vfs.File
	fs *failingFS
}

var errDisk = errors.New("no space left on device")

func (f *failingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if f.fail.Load() {
		return nil, errDisk
	}
	file, err := f.FS.Create(name, category)
	return failingFile{file, f}, err
}

func (f failingFile) Write(p []byte) (int, error) {
	if f.fs.fail.Load() {
		return 0, errDisk
	}
	return f.File.Write(p)
}

func (f failingFile) Sync() error {
	if f.fs.fail.Load() {
		return errDisk
	}
	return f.File.Sync()
}

// TestDiskFillsUp checks that the process survives, that requests succeed,
// and that nothing that was lost is assumed to be stored.
func TestDiskFillsUp(t *testing.T) {
	for _, when := range []string{"before it is opened", "while it runs"} {
		t.Run(when, func(t *testing.T) {
			disk := &failingFS{FS: vfs.Default}
			disk.fail.Store(when == "before it is opened")
			b := newBucket()
			for i := range 3000 {
				b.put(fmt.Sprintf("dir/%05d", i))
			}
			f := newFixture(t, b, func(c *Config) { c.fs = disk })
			m := f.mount(func(m *Mount) { m.Policy = once })
			f.names(m, "dir", 1000)
			disk.fail.Store(true)
			for round := range 5 {
				dir := fmt.Sprintf("dir%d", round)
				b.put(dir + "/x")
				if got := f.names(m, dir, 10); !slices.Equal(got, []string{"x"}) {
					t.Fatalf("got %q", got)
				}
				if got := f.lookup(m, "dir", "02999"); got != "02999" {
					t.Fatalf("got %q", got)
				}
				if got := f.lookup(m, "dir", "nothing"); got != "" {
					t.Fatalf("got %q", got)
				}
			}
			f.eventually("listings are kept in memory", func() bool { return !f.store.table.onDisk() })
			f.names(m, "dir", 1000)
			lists := b.requests("list")
			if got := f.names(m, "dir", 1000); len(got) != 3000 || b.requests("list") != lists {
				t.Errorf("%d names after %d more listings", len(got), b.requests("list")-lists)
			}
		})
	}
}

func TestTooBigDirectoryIsNotCached(t *testing.T) {
	b := newBucket()
	want := []string{}
	for i := range 120 {
		name := fmt.Sprintf("part-%05d.bin", i)
		b.put("dir/" + name)
		want = append(want, name)
	}
	b.pageMax = 10
	f := newFixture(t, b, func(c *Config) { c.MaxEntries = 50 })
	if got := f.names(f.mount(), "dir", 7); !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	h, ok := f.store.table.header(dirID{"m1", "dir"})
	if !ok || !h.tooBig || f.store.table.size() != 0 {
		t.Errorf("the header is %+v, %v; %d entries are stored", h, ok, f.store.table.size())
	}
	if got := f.lookup(f.mount(), "dir", "part-00100.bin"); got != "part-00100.bin" {
		t.Errorf("got %q", got)
	}
	if got := f.lookup(f.mount(), "dir", "nothing"); got != "" {
		t.Errorf("got %q", got)
	}
	before := b.requests("list")
	f.names(f.mount(), "dir", 1000)
	if got := b.requests("list") - before; got > 14 {
		t.Errorf("one pass over 12 pages caused %d requests", got)
	}
}

func TestSlowListingContinuesInBackground(t *testing.T) {
	b := newBucket()
	for i := range 40 {
		b.put(fmt.Sprintf("dir/%02d", i))
	}
	b.pageMax = 10
	release := make(chan struct{})
	f := newFixture(t, b, func(c *Config) { c.ListingWait = 20 * time.Millisecond })
	// The listing blocks at its second page. Pages for readers start at a name
	// and do not block.
	f.bucket.hold = func(ctx context.Context, continuation string) {
		if continuation == "after dir/09" {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	}
	page, err := f.store.List(t.Context(), f.mount(), "dir", "", 5)
	if err != nil || len(page.Entries) != 5 || !page.More {
		t.Fatalf("%d entries, %v", len(page.Entries), err)
	}
	if got := f.lookup(f.mount(), "dir", "39"); got != "39" {
		t.Errorf("got %q", got)
	}
	close(release)
	f.eventually("the listing is stored", func() bool {
		h, ok := f.store.table.header(dirID{"m1", "dir"})
		return ok && h.count == 40
	})
}

func TestOldestListingsAreDroppedFirst(t *testing.T) {
	b := newBucket()
	for d := range 10 {
		for i := range 10 {
			b.put(fmt.Sprintf("dir%d/%d", d, i))
		}
	}
	f := newFixture(t, b, func(c *Config) { c.MaxTotal = 55 })
	for d := range 10 {
		f.names(f.mount(), fmt.Sprintf("dir%d", d), 100)
		f.clock.turn(time.Second)
	}
	f.eventually("the total is within its limit", func() bool { return f.store.table.size() <= 55 })
	if _, ok := f.store.table.header(dirID{"m1", "dir0"}); ok {
		t.Error("the oldest listing was not dropped")
	}
	if _, ok := f.store.table.header(dirID{"m1", "dir9"}); !ok {
		t.Error("the newest listing was dropped")
	}
	f.restart()
	if got := f.store.table.size(); got > 55 || got == 0 {
		t.Errorf("after a restart, %d entries are counted", got)
	}
}

func TestTotals(t *testing.T) {
	f := newFixture(t, newBucket("a", "dir/bb", "dir/deep/ccc", "marker/"))
	want := func(objects, bytes int64) {
		t.Helper()
		f.eventually(fmt.Sprintf("%d objects of %d bytes are counted", objects, bytes), func() bool {
			o, b := f.store.Totals("m1")
			return o == objects && b == bytes
		})
	}
	if o, b := f.store.Totals("m1"); o != -1 || b != -1 {
		t.Errorf("an untracked mount has %d objects of %d bytes", o, b)
	}
	f.store.Count(f.mount())
	want(3, 1+6+12)
	lists := f.bucket.requests("list")
	f.restart()
	f.store.Count(f.mount())
	want(3, 19)
	if f.bucket.requests("list") != lists {
		t.Error("a stored count was made again")
	}
	f.bucket.put("new")
	f.clock.turn(11 * time.Minute)
	want(4, 22)
	f.bucket.remove("new")
	f.store.Count(f.mount(func(m *Mount) { m.Epoch = 2 }))
	want(3, 19)
	f.bucket.failWith(errors.New("broken"))
	f.clock.turn(11 * time.Minute)
	f.store.Totals("m1")
	if o, _ := f.store.Totals("m1"); o != 3 {
		t.Errorf("a failed count changed the total to %d", o)
	}
}

func TestAfterClose(t *testing.T) {
	f := newFixture(t, newBucket("a"))
	if err := errors.Join(f.store.Close(), f.store.Close()); err != nil {
		t.Fatal(err)
	}
	_, lookup := f.store.Lookup(t.Context(), f.mount(), "", "a")
	_, list := f.store.List(t.Context(), f.mount(), "", "", 1)
	for _, err := range []error{lookup, list} {
		if err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("got %v", err)
		}
	}
	f.store.Forget("m1", "", "a")
	if o, _ := f.store.Totals("m1"); o != -1 {
		t.Errorf("got %d", o)
	}
}

func TestRequestEndsWithItsContext(t *testing.T) {
	f := newFixture(t, newBucket("dir/a"))
	f.bucket.fail(func(ctx context.Context, _, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.store.Lookup(ctx, f.mount(), "dir", "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("lookup: %v", err)
	}
	if _, err := f.store.List(ctx, f.mount(), "dir", "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("list: %v", err)
	}
}

// TestKilledProcess continues with the files of the moment of the kill.
func TestKilledProcess(t *testing.T) {
	f, m := written(t)
	f.store.table.background.Wait() // until everything is synced
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(f.config.Dir)); err != nil {
		t.Fatal(err)
	}
	f.bucket.put("dir/c")
	f.config.Dir = copied
	f.restart()
	if got := f.names(m, "dir", 10); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("a listing from before the kill is lost: %q", got)
	}
}

// A mount gets new epochs while it is being counted.
func TestTotalsWhileEpochsChange(t *testing.T) {
	f := newFixture(t, newBucket("a", "b"))
	var telling sync.WaitGroup
	telling.Go(func() {
		for epoch := range uint64(500) {
			f.store.Count(f.mount(func(m *Mount) { m.Epoch = epoch }))
		}
	})
	for range 500 {
		f.store.Totals("m1")
	}
	telling.Wait()
	f.eventually("the last epoch's keys are counted", func() bool {
		objects, _ := f.store.Totals("m1")
		return objects == 2
	})
}
