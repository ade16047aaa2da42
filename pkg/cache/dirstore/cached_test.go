package dirstore

import (
	"context"
	"testing"
	"time"
)

// TestCachedNamesNeedNoStore checks that cached names are returned while every
// request hangs, and that what is not cached is reported at once.
func TestCachedNamesNeedNoStore(t *testing.T) {
	f := newFixture(t, newBucket("listed/a", "listed/b", "single/a", "cold/a"))
	m := f.mount()
	if got := f.names(m, "listed", 10); len(got) != 2 {
		t.Fatalf("got names %q", got)
	}
	if got := f.lookup(m, "single", "a"); got != "a" {
		t.Fatalf("got %q", got)
	}
	f.bucket.fail(func(ctx context.Context, _, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	})
	before := f.bucket.requests("stat") + f.bucket.requests("list")
	for _, c := range []struct {
		dir, name     string
		cached, found bool
	}{
		{"listed", "a", true, true},
		{"listed", "absent", true, false},
		{"single", "a", true, true},
		{"single", "b", false, false},
		{"cold", "a", false, false},
		{"listed", "..", true, false},
	} {
		if r, ok := f.store.LookupCached(m, c.dir, c.name); ok != c.cached || r.Found != c.found {
			t.Errorf("lookup of %q in %q: cached %v, found %v, want %v and %v", c.name, c.dir, ok, r.Found, c.cached, c.found)
		}
	}
	if page, ok := f.store.ListCached(m, "listed", "", 1); !ok || len(page.Entries) != 1 || !page.More {
		t.Errorf("page of a listed directory: cached %v, %d entries, more %v", ok, len(page.Entries), page.More)
	}
	if _, ok := f.store.ListCached(m, "cold", "", 0); ok {
		t.Error("a directory that was never listed is cached")
	}
	f.store.Forget(m.ID, "listed", "b")
	if _, ok := f.store.LookupCached(m, "listed", "b"); ok {
		t.Error("a forgotten name is cached")
	}
	if _, ok := f.store.ListCached(m, "listed", "", 0); ok {
		t.Error("a listing with a forgotten name is cached")
	}
	newer := f.mount(func(m *Mount) { m.Epoch = 2 })
	if _, ok := f.store.LookupCached(newer, "listed", "a"); ok {
		t.Error("a listing of an older epoch is cached")
	}
	if after := f.bucket.requests("stat") + f.bucket.requests("list"); after != before {
		t.Errorf("%d requests were sent to the store", after-before)
	}
}

// TestListingsOfAHungMountDelayNoOther lists one mount while more listings than may
// run at a time hang in another.
func TestListingsOfAHungMountDelayNoOther(t *testing.T) {
	f := newFixture(t, newBucket("dir/a"), func(c *Config) { c.ListingWait, c.PageTimeout = time.Hour, time.Hour })
	hung := newBucket("dir/a")
	hung.fail(func(ctx context.Context, _, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	})
	other := f.mount(func(m *Mount) { m.ID, m.Store = "m2", hung })
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for i := range 2 * f.store.config.MaxListings {
		_, _ = f.store.List(ctx, other, "dir"+string(rune('a'+i%26))+string(rune('a'+i/26)), "", 0)
	}
	f.eventually("the listings hang", func() bool { return hung.requests("list") >= f.store.config.MaxListings })
	limit, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if page, err := f.store.List(limit, f.mount(), "dir", "", 0); err != nil || len(page.Entries) != 1 {
		t.Errorf("%d names, error %v", len(page.Entries), err)
	}
}
