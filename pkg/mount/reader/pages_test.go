package reader

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client/fakeworker"
)

// settableClock is a clock that a test sets.
type settableClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *settableClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *settableClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newPaged returns a reader that uses names for a minute, of a directory "d" of n
// files that its owner has cached.
func newPaged(t *testing.T, n int) (*fixture, *settableClock) {
	clock := &settableClock{now: time.Unix(1000, 0)}
	f := newFixture(t, 2, func(c *Config) { c.NameAge, c.Clock = time.Minute, clock.Now })
	for i := range n {
		f.put(pagedKey(i), []byte("x"))
	}
	for _, w := range f.cluster.Workers {
		w.Cache("d")
	}
	return f, clock
}

func pagedName(i int) string { return fmt.Sprintf("f%05d", i) }

func pagedKey(i int) string { return "d/" + pagedName(i) }

// nameRequests returns the number of requests for names that workers have received.
func (f *fixture) nameRequests() int64 {
	sum := int64(0)
	for _, w := range f.cluster.Workers {
		sum += w.Names.Load()
	}
	return sum
}

func (f *fixture) lookUp(name string) Entry {
	f.Helper()
	e, err := f.reader.Lookup(f.Context(), fakeworker.MountID, "d", name)
	if err != nil {
		f.Fatal(err)
	}
	if e.Name != name {
		f.Fatalf("the entry of %q has the name %q", name, e.Name)
	}
	return e
}

// TestLookupsReadPages checks the number of requests for the names of a directory
// that are looked up one by one, in any order.
func TestLookupsReadPages(t *testing.T) {
	for _, test := range []struct {
		name    string
		files   int
		shuffle bool
		most    int64
	}{
		// Two lookups, and one page.
		{"few files, shuffled", 500, true, 3},
		// Each of the following pages costs one lookup at most.
		{"four pages, in order", 2000, false, 3 + 2*4},
		{"four pages, shuffled", 2000, true, 60},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, _ := newPaged(t, test.files)
			order := make([]int, test.files)
			for i := range order {
				order[i] = i
			}
			if test.shuffle {
				rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			}
			before := f.nameRequests()
			for _, i := range order {
				if e := f.lookUp(pagedName(i)); e.Version.Key != pagedKey(i) {
					t.Fatalf("the entry of %q has the key %q", pagedName(i), e.Version.Key)
				}
			}
			if n := f.nameRequests() - before; n > test.most {
				t.Errorf("%d lookups took %d requests, want at most %d", test.files, n, test.most)
			}
		})
	}
}

// TestPagedNamesAreNotOlder checks that a replaced file is seen when it would be if
// its name had been looked up, and at once where it is known that names have changed.
func TestPagedNamesAreNotOlder(t *testing.T) {
	for _, test := range []struct {
		name  string
		learn func(f *fixture, clock *settableClock, old Version)
		seen  bool
	}{
		{"nothing", func(*fixture, *settableClock, Version) {}, false},
		{"the age", func(_ *fixture, c *settableClock, _ Version) { c.advance(time.Minute + 1) }, true},
		{"a version that does not exist", func(f *fixture, _ *settableClock, old Version) { f.reader.Forget(f.Context(), old) }, true},
		{"a listing", func(f *fixture, _ *settableClock, _ Version) { f.list("d") }, true},
		{"a new epoch", func(f *fixture, _ *settableClock, _ Version) {
			v := f.cluster.NewView(2)
			v.Mounts[0].Epoch++
			f.cluster.SetView(v)
			for f.reader.epochOf(fakeworker.MountID) != v.Mounts[0].GetEpoch() {
				<-f.reader.Changes()
			}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, clock := newPaged(t, 20)
			for i := range 10 {
				f.lookUp(pagedName(i))
			}
			old := f.lookUp(pagedName(9))
			if want := clock.Now(); !old.Read.Equal(want) {
				t.Errorf("the entry was read at %v, want %v", old.Read, want)
			}
			replaced := f.put(pagedKey(9), []byte("another"))
			test.learn(f, clock, old.Version)
			if seen := f.lookUp(pagedName(9)).Version == replaced; seen != test.seen {
				t.Errorf("the new version is returned: %t, want %t", seen, test.seen)
			}
		})
	}
}

// TestAbsenceIsLookedUp checks that a file that was created after its directory was
// read is found.
func TestAbsenceIsLookedUp(t *testing.T) {
	f, _ := newPaged(t, 20)
	for i := range 10 {
		f.lookUp(pagedName(i))
	}
	if _, err := f.reader.Lookup(t.Context(), fakeworker.MountID, "d", "new"); !errors.Is(err, ErrNotExist) {
		t.Errorf("lookup of an absent name: got error %v, want ErrNotExist", err)
	}
	f.put("d/new", []byte("x"))
	f.lookUp("new")
}

// TestNamesReturnedMeanwhile checks that an entry of a page is not used after a worker
// has returned the name on its own, before or after the page arrived.
func TestNamesReturnedMeanwhile(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newPages(time.Minute, func() time.Time { return now })
	d := pagedDir{"m", "d"}
	for range firstNeed - 1 {
		if _, due := s.due(d, "c", 0); due {
			t.Fatal("a page is due too early")
		}
	}
	if _, due := s.due(d, "c", 0); !due {
		t.Fatal("no page is due")
	}
	if _, due := s.due(d, "c", 0); due {
		t.Error("a page is due that is being read")
	}
	s.replaced(d, "a")
	s.add(d, &page{entries: []Entry{{Name: "a"}, {Name: "b"}, {Name: "c"}}, last: "c", read: now})
	s.replaced(d, "c")
	for name, want := range map[string]bool{"a": false, "b": true, "c": false} {
		if _, ok := s.lookup(d, name, 0); ok != want {
			t.Errorf("the entry of %q is used: %t, want %t", name, ok, want)
		}
	}
	if s.names != 1 {
		t.Errorf("%d names are counted, want 1", s.names)
	}
	s.forget(d)
	if s.names != 0 || s.order.Len() != 0 {
		t.Errorf("%d names in %d pages are left", s.names, s.order.Len())
	}
}

// TestPagesAreBounded checks the memory of pages, and that random lookups in a large
// directory request few of them.
func TestPagesAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newPages(time.Minute, func() time.Time { return now })
	load := func(d pagedDir, after string) {
		p := &page{after: after, more: true, read: now}
		for i := range pageNames {
			p.entries = append(p.entries, Entry{Name: fmt.Sprintf("%s%05d", after, i)})
		}
		p.last = p.entries[pageNames-1].Name
		s.add(d, p)
	}
	const lookups = 10000
	requests := 0
	for range lookups {
		name := fmt.Sprintf("%016x", rand.Uint64())
		if _, ok := s.lookup(pagedDir{"m", "large"}, name, 0); ok {
			t.Fatal("a name that no page has was found")
		}
		if after, due := s.due(pagedDir{"m", "large"}, name, 0); due {
			requests++
			load(pagedDir{"m", "large"}, after)
		}
	}
	if most := lookups/maxNeed + 10; requests > most {
		t.Errorf("%d random lookups requested %d pages, want at most %d", lookups, requests, most)
	}
	for i := range 3 * maxPagedDirs {
		d := pagedDir{"m", fmt.Sprint(i)}
		for {
			if after, due := s.due(d, "x", 0); due {
				load(d, after)
				break
			}
		}
	}
	if s.names > maxPagedNames || len(s.dirs) > maxPagedDirs+maxPagedNames/pageNames {
		t.Errorf("%d names of %d directories are held", s.names, len(s.dirs))
	}
}

// TestPausesBetweenPages checks that a page is requested again soon after the owner of a
// directory had no listing of it, which the lookups in between may have changed, and
// then less often.
func TestPausesBetweenPages(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newPages(time.Minute, func() time.Time { return now })
	d := pagedDir{"m", "d"}
	// lookups returns the number of lookups until a page is due, at most 100.
	lookups := func() (n int) {
		for n < 100 {
			n++
			if _, due := s.due(d, "name", 0); due {
				return n
			}
		}
		return n
	}
	for attempt, want := range []int{firstNeed, firstNeed, 100, 100} {
		if n := lookups(); n != want {
			t.Errorf("attempt %d: %d lookups until a page is due, want %d", attempt, n, want)
		}
		if want < 100 {
			s.add(d, nil)
		}
	}
	now = now.Add(firstPause)
	if n := lookups(); n != 1 {
		t.Errorf("%d lookups until a page is due after a pause, want 1", n)
	}
	s.add(d, nil)
	now = now.Add(2*firstPause - 1)
	if n := lookups(); n != 100 {
		t.Error("a page is due before the second pause has ended")
	}
	now = now.Add(1)
	lookups()
	s.add(d, &page{entries: []Entry{{Name: "other"}}, last: "other", read: now})
	s.forget(d)
	for range 2 {
		if n := lookups(); n > firstNeed {
			t.Errorf("%d lookups until a page is due after one was read, and after a failure", n)
		}
		s.add(d, nil)
	}
}
