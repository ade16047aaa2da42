package dirstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// held returns a fixture whose listing of "dir" does not end before release is
// called: the store holds the page after the key "dir/LAST".
func held(t *testing.T, b *bucket, last string) (f *fixture, release func()) {
	t.Helper()
	gate := make(chan struct{})
	f = awaited(t, b, func(ctx context.Context, continuation string) {
		if continuation == "after dir/"+last {
			select {
			case <-gate:
			case <-ctx.Done():
			}
		}
	})
	return f, func() { close(gate) }
}

// awaited returns a fixture whose listings return their first page once a request
// waits for names. The later pages are returned after hold.
func awaited(t *testing.T, b *bucket, hold func(ctx context.Context, continuation string)) *fixture {
	t.Helper()
	var f *fixture
	b.hold = func(ctx context.Context, continuation string) {
		if continuation != "" {
			hold(ctx, continuation)
			return
		}
		for !waited(f.store) && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	f = newFixture(t, b, func(c *Config) { c.ListingWait = time.Hour })
	return f
}

// waited tells whether a request waits for the names of a listing in progress.
func waited(s *Store) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, flight := range s.flights {
		if flight.partial.isAwaited() {
			return true
		}
	}
	return false
}

// waiting returns the number of requests that wait for the listing of a directory.
func waiting(s *Store, id dirID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	flight := s.flights[id]
	if flight == nil {
		return 0
	}
	flight.partial.mu.Lock()
	defer flight.partial.mu.Unlock()
	return flight.partial.waiting
}

func parts(format string, n int) (*bucket, []string) {
	b := newBucket()
	b.pageMax = 10
	var names []string
	for i := range n {
		name := fmt.Sprintf(format, i)
		b.put("dir/" + name)
		names = append(names, name)
	}
	return b, names
}

// TestPagesOfAListingInProgress checks that names are returned before the listing is
// complete, and that the store is listed once for all of them.
func TestPagesOfAListingInProgress(t *testing.T) {
	for format, lists := range map[string]int{
		"%03d.bin":          10,
		"part-%03d.parquet": 11, // one query for a directory "part"
	} {
		t.Run(format, func(t *testing.T) {
			b, names := parts(format, 100)
			f, release := held(t, b, names[79])
			var got []string
			generation, last := uint64(0), ""
			for len(got) < 70 {
				page, err := f.store.List(t.Context(), f.mount(), "dir", last, 1000)
				if err != nil || !page.More || len(page.Entries) == 0 {
					t.Fatalf("%d entries, more %v, %v", len(page.Entries), page.More, err)
				}
				for _, e := range page.Entries {
					last = string(e.GetName())
					got = append(got, last)
				}
				if generation == 0 {
					generation = page.Generation
				}
				if page.Generation != generation || generation == 0 {
					t.Fatalf("a page has generation %d, the one before it %d", page.Generation, generation)
				}
			}
			release()
			for {
				page, err := f.store.List(t.Context(), f.mount(), "dir", last, 1000)
				if err != nil || page.Generation != generation {
					t.Fatalf("generation %d instead of %d, %v", page.Generation, generation, err)
				}
				for _, e := range page.Entries {
					last = string(e.GetName())
					got = append(got, last)
				}
				if !page.More {
					break
				}
			}
			if !slices.Equal(got, names) {
				t.Errorf("got %d names %q", len(got), got)
			}
			if n := b.requests("list"); n != lists {
				t.Errorf("the store received %d requests for pages, want %d", n, lists)
			}
		})
	}
}

// TestALaterDirectoryIsNotMissed lists names of which a directory has a key that
// follows theirs.
func TestALaterDirectoryIsNotMissed(t *testing.T) {
	b, names := parts("part-%03d", 40)
	b.put("dir/part/below")
	f, release := held(t, b, names[29])
	page, err := f.store.List(t.Context(), f.mount(), "dir", "", 5)
	if err != nil || len(page.Entries) == 0 || string(page.Entries[0].GetName()) != "part" || len(page.Entries[0].GetKey()) != 0 {
		t.Fatalf("the first of %d names is not the directory, %v: %v", len(page.Entries), err, page.Entries)
	}
	release()
	want := append([]string{"part/"}, names...)
	if got := f.names(f.mount(), "dir", 7); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if h, _ := f.store.table.header(dirID{"m1", "dir"}); h.count != 41 {
		t.Errorf("%d entries are counted, want 41", h.count)
	}
}

// TestForgottenNameOfAListingInProgress forgets names that the listing has read.
func TestForgottenNameOfAListingInProgress(t *testing.T) {
	b, names := parts("%03d", 40)
	f, release := held(t, b, names[29])
	defer release()
	list := func() []string {
		page, err := f.store.List(t.Context(), f.mount(), "dir", "", 5)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range page.Entries {
			got = append(got, string(e.GetName())+" "+string(e.GetEtag()))
		}
		return got
	}
	before := list()
	b.remove("dir/001")
	b.put("dir/002")
	f.store.Forget("m1", "dir", "001")
	f.store.Forget("m1", "dir", "002")
	got := list()
	if !strings.HasPrefix(before[2], "002 ") || len(got) != len(before)-1 || !strings.HasPrefix(got[1], "002 ") || got[1] == before[2] {
		t.Errorf("before %q, after %q", before, got)
	}
}

// TestAListingThatFailsMidway checks that the names before the failure are not taken
// for the whole directory.
func TestAListingThatFailsMidway(t *testing.T) {
	b, names := parts("%03d", 40)
	f, release := held(t, b, names[19])
	page, err := f.store.List(t.Context(), f.mount(), "dir", "", 5)
	if err != nil || len(page.Entries) != 5 {
		t.Fatalf("%d entries, %v", len(page.Entries), err)
	}
	var failed atomic.Bool
	b.fail(func(_ context.Context, kind, _ string) error {
		if kind == "list" && failed.CompareAndSwap(false, true) {
			return fmt.Errorf("reset by peer: %w", ufs.ErrUnavailable)
		}
		return nil
	})
	f.store.mu.Lock()
	listing := f.store.flights[dirID{"m1", "dir"}]
	f.store.mu.Unlock()
	release()
	last := names[18]
	if page, err = f.store.List(t.Context(), f.mount(), "dir", last, 100); err == nil && !page.More {
		t.Errorf("after %s: %d entries and no more", last, len(page.Entries))
	}
	// Requests that join the listing before its end get its error.
	<-listing.done
	if got := f.names(f.mount(), "dir", 100); !slices.Equal(got, names) {
		t.Errorf("listed again: %q", got)
	}
}

// TestAFailedListingLeavesNoEntries checks that the result of a query that ends after
// the listing has failed is not stored.
func TestAFailedListingLeavesNoEntries(t *testing.T) {
	b, _ := parts("part-%03d", 40)
	b.put("dir/part/below")
	failed := make(chan struct{})
	var pages atomic.Int32
	b.fail(func(ctx context.Context, kind, key string) error {
		switch {
		case key == "dir/part/":
			select {
			case <-failed:
			case <-ctx.Done():
			}
		case kind == "list" && pages.Add(1) == 2:
			close(failed)
			return ufs.ErrUnavailable
		}
		return nil
	})
	f := awaited(t, b, func(context.Context, string) {})
	if names, err := f.list(f.mount(), "dir", 7); !errors.Is(err, ufs.ErrUnavailable) {
		t.Fatalf("got %q, error %v", names, err)
	}
	if n := b.requests("list"); n != 3 {
		t.Errorf("the store received %d requests, want two for pages and one query", n)
	}
	left := 0
	if err := scan(f.store.table.db, []byte{entryKey}, func([]byte, []byte) error { left++; return nil }); err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d entries are left", left)
	}
}

// TestAFailedQueryDelaysNames checks that a failed query for a directory makes names
// wait for the end of the listing, and fails nothing.
func TestAFailedQueryDelaysNames(t *testing.T) {
	b, names := parts("part-%03d", 60)
	b.fail(func(_ context.Context, kind, key string) error {
		if kind == "list" && key == "dir/part/" {
			return ufs.ErrUnavailable
		}
		return nil
	})
	f := awaited(t, b, func(context.Context, string) {})
	if got := f.names(f.mount(), "dir", 7); !slices.Equal(got, names) {
		t.Errorf("got %q", got)
	}
	if n := b.requests("list"); n != 7 {
		t.Errorf("the store received %d requests for pages, want 6 and one query", n)
	}
}
