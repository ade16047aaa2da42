//go:build linux

package fusefs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// relist changes the listing of every directory: its generation grows.
func (s *fakeSource) relist(change func()) {
	change()
	s.set(func() { s.generation++ })
}

func (s *fakeSource) listed(dir string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists[dir]
}

// cachedDirectory is a mounted directory "dir" of n files with generations.
func cachedDirectory(t *testing.T, n int) (h *testMount, source *fakeSource, names []string) {
	t.Helper()
	source, names = directoryOf(n)
	source.generation = 1
	return newTestMount(t), source, names
}

// namesIn opens a directory and returns its names.
func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	return namesOf(readRest(t, fd, 8<<10))
}

// releasedAll waits until the server has processed the release of all handles, which
// the kernel sends behind close.
func releasedAll(t *testing.T, s *Server) {
	t.Helper()
	eventually(t, "all handles are released", func() bool {
		_, handles, _ := s.files.table.sizes()
		return handles == 0
	})
}

// setClock makes the age of listings that of a clock, which the returned function
// advances.
func setClock(s *Server) (advance func(time.Duration)) {
	l := s.files.listings
	l.mu.Lock()
	defer l.mu.Unlock()
	var passed atomic.Int64
	began := time.Now()
	l.clock = func() time.Time { return began.Add(time.Duration(passed.Load())) }
	return func(d time.Duration) { passed.Add(int64(d)) }
}

// TestKeptNames checks that the kernel returns names without a request until they are
// too old, and that changes are seen then.
func TestKeptNames(t *testing.T) {
	h, source, names := cachedDirectory(t, 1000)
	s, _ := h.start(t, source, nil)
	advance := setClock(s)
	dir := filepath.Join(h.point, "dir")
	namesIn(t, dir)
	lists := source.listed("dir")
	source.relist(func() {
		source.remove("m", "dir/"+names[500])
		source.put("m", "dir/zzz", "1", 1)
	})
	advance(keptFor(time.Minute) - time.Second)
	if got := namesIn(t, dir); !slices.Equal(got, names) || source.listed("dir") != lists {
		t.Errorf("got %d names after %d further pages, want those of before and no page", len(got), source.listed("dir")-lists)
	}
	advance(2 * time.Second)
	want := append(slices.Delete(slices.Clone(names), 500, 501), "zzz")
	for range 2 {
		releasedAll(t, s)
		if got := namesIn(t, dir); !slices.Equal(got, want) {
			t.Errorf("got %d names after %s, want %d", len(got), time.Minute, len(want))
		}
	}
}

// TestKeptNamesAreOfOneGeneration changes the directory while a handle reads it. What
// that handle has read is not returned to others.
func TestKeptNamesAreOfOneGeneration(t *testing.T) {
	h, source, names := cachedDirectory(t, 1000)
	s, _ := h.start(t, source, nil)
	dir := filepath.Join(h.point, "dir")
	fd, closeFD := openUntil(t, dir)
	readEntries(t, fd, 300, 4<<10)
	// The first and the last name are replaced: no generation has both, or none.
	source.relist(func() {
		source.remove("m", "dir/"+names[999])
		source.put("m", "dir/aaa", "1", 1)
	})
	readRest(t, fd, 4<<10)
	want := append([]string{"aaa"}, names[:999]...)
	seekTo(t, fd, 0)
	if got := namesOf(readRest(t, fd, 4<<10)); !slices.Equal(got, want) {
		t.Errorf("the same handle reads %d names again, of which the first is %s and the last %s", len(got), got[0], got[len(got)-1])
	}
	if got := namesIn(t, dir); !slices.Equal(got, want) {
		t.Errorf("another handle reads %d names, of which the first is %s and the last %s", len(got), got[0], got[len(got)-1])
	}
	closeFD()
	releasedAll(t, s)
	for range 2 {
		if got := namesIn(t, dir); !slices.Equal(got, want) {
			t.Errorf("a later handle reads %d names", len(got))
		}
		releasedAll(t, s)
	}
	lists := source.listed("dir")
	if namesIn(t, dir); source.listed("dir") != lists {
		t.Error("the names are not kept after all handles were closed")
	}
}

// TestNamesAreDroppedWhileTheDirectoryIsRead drops the names of a directory while it is
// read, and while the invalidation of a name in it waits for the end of that.
func TestNamesAreDroppedWhileTheDirectoryIsRead(t *testing.T) {
	store := newHungStore()
	store.put("m", "cold-dir/name", "1", 1)
	point, s := mounted(t, store, func(c *Config) { c.Timeout = 0 })
	listed := make(chan error, 1)
	go func() {
		_, err := os.ReadDir(filepath.Join(point, "cold-dir"))
		listed <- err
	}()
	eventually(t, "the listing waits", func() bool { return store.waiting.Load() > 0 })
	invalidated := s.files.notifier.entryDone("/cold-dir/name")
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	for range 3 {
		if err := s.attachment.DropPages(ctx, nodeOf(t, s, "/cold-dir")); err != nil {
			t.Fatal(err)
		}
	}
	close(store.released)
	if err := <-listed; err != nil {
		t.Error(err)
	}
	select {
	case <-invalidated:
	case <-ctx.Done():
		t.Error("the name was not invalidated")
	}
}

// failingDropper fails a number of times, all the time if it is negative.
type failingDropper struct{ failures, calls int }

func (d *failingDropper) DropsPages() bool { return true }

func (d *failingDropper) DropPages(context.Context, uint64) error {
	if d.calls++; d.failures < 0 || d.calls <= d.failures {
		return errors.New("the holder is away")
	}
	return nil
}

// TestEndWaitsUntilNamesAreDropped checks that the end of a directory of which the
// kernel may have names of two listings is not returned before these are dropped.
func TestEndWaitsUntilNamesAreDropped(t *testing.T) {
	for name, c := range map[string]struct {
		handle   func(*listings) *handle
		failures int
		calls    int
		fails    bool
	}{
		"one listing":    {handle: func(l *listings) *handle { return &handle{counted: true, listing: &listing{of: l}} }},
		"not kept":       {handle: func(*listings) *handle { return &handle{} }},
		"two listings":   {handle: func(l *listings) *handle { return &handle{counted: true, listing: &listing{of: l, broken: true}} }, calls: 1},
		"a predecessor":  {handle: func(*listings) *handle { return &handle{counted: true} }, calls: 1},
		"holder is away": {handle: func(*listings) *handle { return &handle{counted: true} }, failures: 2, calls: 3},
		"holder is gone": {handle: func(*listings) *handle { return &handle{counted: true} }, failures: -1, calls: 1, fails: true},
	} {
		d := &failingDropper{failures: c.failures}
		l := newListings(nil, nil, d, time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		if c.fails {
			cancel()
		}
		err := l.ends(ctx, c.handle(l))
		cancel()
		if (err != nil) != c.fails || d.calls != c.calls {
			t.Errorf("%s: error %v after %d calls, want %d calls", name, err, d.calls, c.calls)
		}
	}
}

// TestUnknownGenerationsAreNotKept lists a directory whose source does not tell
// generations apart.
func TestUnknownGenerationsAreNotKept(t *testing.T) {
	h, source, names := cachedDirectory(t, 300)
	source.generation = 0
	s, _ := h.start(t, source, nil)
	dir := filepath.Join(h.point, "dir")
	for i := range 3 {
		lists := source.listed("dir")
		if got := namesIn(t, dir); !slices.Equal(got, names[i:]) || source.listed("dir") == lists {
			t.Fatalf("got %d names after %d pages", len(got), source.listed("dir")-lists)
		}
		releasedAll(t, s)
		source.remove("m", "dir/"+names[i])
	}
}

// TestAbandonedReading checks that names are kept although an earlier handle was
// closed before the end, and the directory has changed since.
func TestAbandonedReading(t *testing.T) {
	h, source, names := cachedDirectory(t, 1000)
	s, _ := h.start(t, source, nil)
	advance := setClock(s)
	dir := filepath.Join(h.point, "dir")
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	readEntries(t, fd, 300, 4<<10)
	_ = unix.Close(fd)
	releasedAll(t, s)
	source.relist(func() { source.remove("m", "dir/"+names[0]) })
	advance(time.Minute)
	for i := range 4 {
		lists := source.listed("dir")
		if got := namesIn(t, dir); !slices.Equal(got, names[1:]) {
			t.Errorf("pass %d: got %d names", i, len(got))
		}
		if i == 3 && source.listed("dir") != lists {
			t.Error("the names are not kept")
		}
		releasedAll(t, s)
	}
}

// TestOpenHandleOfOldNames checks that a handle which stays open does not return names
// that are too old.
func TestOpenHandleOfOldNames(t *testing.T) {
	h, source, names := cachedDirectory(t, 300)
	s, _ := h.start(t, source, nil)
	advance := setClock(s)
	fd := openDir(t, filepath.Join(h.point, "dir"))
	readRest(t, fd, 8<<10)
	source.relist(func() { source.remove("m", "dir/"+names[0]) })
	advance(time.Minute)
	s.files.listings.expire()
	again := func() []string {
		seekTo(t, fd, 0)
		return namesOf(readRest(t, fd, 8<<10))
	}
	// The notification is sent in the background.
	eventually(t, "the handle returns the changed names", func() bool { return slices.Equal(again(), names[1:]) })
	source.relist(func() { source.remove("m", "dir/"+names[1]) })
	if got := again(); !slices.Equal(got, names[2:]) {
		t.Errorf("after another change: got %d names", len(got))
	}
}

// TestDeletedNameIsNotKept checks that a name which was found to be deleted is not
// listed any more.
func TestDeletedNameIsNotKept(t *testing.T) {
	h, source, names := cachedDirectory(t, 100)
	s, _ := h.start(t, source, func(c *Config) { c.EntryTTL = time.Hour })
	dir := filepath.Join(h.point, "dir")
	namesIn(t, dir)
	releasedAll(t, s)
	source.remove("m", "dir/"+names[3])
	s.files.notifier.entry("/dir/" + names[3])
	eventually(t, "the name is looked up again", func() bool {
		var stat unix.Stat_t
		return errors.Is(unix.Stat(filepath.Join(dir, names[3]), &stat), unix.ENOENT)
	})
	if got := namesIn(t, dir); slices.Contains(got, names[3]) || len(got) != 99 {
		t.Errorf("got %d names", len(got))
	}
}

// TestKeptNamesEndWithTheEpoch checks that a new epoch of a mount drops kept names.
func TestKeptNamesEndWithTheEpoch(t *testing.T) {
	h, source, names := cachedDirectory(t, 100)
	s, _ := h.start(t, source, nil)
	dir := filepath.Join(h.point, "dir")
	namesIn(t, dir)
	releasedAll(t, s)
	source.relist(func() { source.remove("m", "dir/"+names[0]) })
	m := source.Mounts()[0]
	m.Epoch++
	source.setMounts(m)
	eventually(t, "the change is listed", func() bool { return slices.Equal(namesIn(t, dir), names[1:]) })
}

// TestSuccessorDoesNotKeepNames replaces the server between readings of a directory
// that changes meanwhile, while handles of the predecessor are open, one of them in
// the middle.
func TestSuccessorDoesNotKeepNames(t *testing.T) {
	h, source, names := cachedDirectory(t, 1000)
	_, stop := h.start(t, source, nil)
	dir := filepath.Join(h.point, "dir")
	namesIn(t, dir)
	complete, closeComplete := openUntil(t, dir)
	half, closeHalf := openUntil(t, dir)
	readRest(t, complete, 4<<10)
	stop()
	source.relist(func() { source.remove("m", "dir/"+names[0]) })
	_, stop = h.start(t, source, nil)
	if got := namesIn(t, dir); !slices.Equal(got, names[1:]) {
		t.Errorf("the first handle of the successor reads %d names", len(got))
	}
	readEntries(t, half, 500, 4<<10)
	stop()
	source.relist(func() { source.remove("m", "dir/"+names[999]); source.put("m", "dir/aaa", "1", 1) })
	want := append([]string{"aaa"}, names[1:999]...)
	s, _ := h.start(t, source, nil)
	readRest(t, half, 4<<10)
	for _, fd := range []int{complete, half} {
		// The notification is sent in the background.
		eventually(t, "a handle of the predecessor reads the current names again", func() bool {
			seekTo(t, fd, 0)
			return slices.Equal(namesOf(readRest(t, fd, 4<<10)), want)
		})
	}
	if got := namesIn(t, dir); !slices.Equal(got, want) {
		t.Errorf("beside them, another handle reads %d names", len(got))
	}
	closeComplete()
	closeHalf()
	releasedAll(t, s)
	for range 3 {
		if got := namesIn(t, dir); !slices.Equal(got, want) {
			t.Errorf("after them, another handle reads %d names", len(got))
		}
		releasedAll(t, s)
	}
	lists := source.listed("dir")
	if namesIn(t, dir); source.listed("dir") != lists {
		t.Error("the successor does not keep names")
	}
}

// TestReadersOfAChangingDirectory reads a directory in 32 threads while it changes.
// Each generation replaces two names, one at the beginning and one at the end. What is
// kept afterwards is of one generation.
func TestReadersOfAChangingDirectory(t *testing.T) {
	h, source, names := cachedDirectory(t, 300)
	source.put("m", "dir/a-1", "1", 1)
	source.put("m", "dir/z-1", "1", 1)
	s, _ := h.start(t, source, nil)
	advance := setClock(s)
	dir := filepath.Join(h.point, "dir")
	for range 15 {
		var readers, changes sync.WaitGroup
		done := make(chan struct{})
		changes.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
					source.replaceMarks()
					advance(7 * time.Second)
				}
			}
		})
		for range 32 {
			readers.Go(func() { readWhileChanging(t, dir, names) })
		}
		readers.Wait()
		close(done)
		changes.Wait()
		for range 3 {
			got := namesIn(t, dir)
			first, last := strings.TrimPrefix(got[0], "a-"), strings.TrimPrefix(got[len(got)-1], "z-")
			if first != last || len(got) != len(names)+2 {
				t.Fatalf("%d names are kept, from generation %s to %s", len(got), first, last)
			}
		}
	}
}

// replaceMarks begins a generation.
func (s *fakeSource) replaceMarks() {
	s.mu.Lock()
	next := s.generation + 1
	s.mu.Unlock()
	s.mark(next)
}

// readWhileChanging checks that every name which exists throughout is returned once.
func readWhileChanging(t *testing.T, dir string, names []string) {
	for range 5 {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		all, err := direntsOf(fd, 8<<10)
		_ = unix.Close(fd)
		if errors.Is(err, unix.ESTALE) {
			continue // The name at its position was deleted.
		}
		got := slices.DeleteFunc(namesOf(all), func(name string) bool { return !strings.HasPrefix(name, "name-") })
		if err != nil || !slices.Equal(got, names) {
			t.Errorf("got %d of %d names, error %v", len(got), len(names), err)
		}
	}
}
