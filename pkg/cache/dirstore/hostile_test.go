package dirstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// hostileNames are names of files that are not UTF-8 or break encodings.
func hostileNames() []string {
	return []string{
		"\xff", "latin-\xf6", "\xed\xa0\x80", "\xc0\xaf", "line\nfeed", "\r\n", "\x01\x1b[31m\x7f", " ", "%", "%2e%2e", `"`, `\`, "...",
		"\u00e4", "a\u0308", "\ufffd", "\xef\xbf", strings.Repeat("\xff", wire.MaxName),
	}
}

// TestHostileNames checks that every name is listed and found, cached or not, and
// after a restart.
func TestHostileNames(t *testing.T) {
	for name, limit := range map[string]int64{"cached": 1000, "not cached": 1} {
		t.Run(name, func(t *testing.T) {
			b := newBucket()
			want := hostileNames()
			for _, n := range want {
				b.put(n)
				b.put("d\xff/" + n)
				b.put("d\xff/" + n + "-dir/" + n)
			}
			slices.Sort(want)
			f := newFixture(t, b, func(c *Config) { c.MaxEntries = limit })
			m := f.mount()
			check := func() {
				t.Helper()
				if got := f.names(m, "", 3); !slices.Equal(got, slices.Sorted(slices.Values(append([]string{"d\xff/"}, want...)))) {
					t.Errorf("the root has %q", got)
				}
				for _, n := range want {
					if got := f.lookup(m, "d\xff", n); got != n {
						t.Errorf("%q is %q", n, got)
					}
					if len(n)+len("-dir") > wire.MaxName {
						continue
					}
					if got := f.lookup(m, "d\xff", n+"-dir"); got != n+"-dir/" {
						t.Errorf("%q is %q", n+"-dir", got)
					}
					if got := f.names(m, "d\xff/"+n+"-dir", 10); !slices.Equal(got, []string{n}) {
						t.Errorf("%q has %q", n+"-dir", got)
					}
				}
			}
			check()
			f.restart()
			check()
			if got := f.lookup(m, "", "\xfe"); got != "" {
				t.Errorf("an absent name is %q", got)
			}
			b.remove("\xff")
			f.store.Forget("m1", "", "\xff")
			if got := f.lookup(m, "", "\xff"); got != "" {
				t.Errorf("a deleted name is %q", got)
			}
		})
	}
}

// TestHiddenKeys checks that keys that cannot be paths of files hide nothing else
// and are counted.
func TestHiddenKeys(t *testing.T) {
	b := newBucket("good", "dir/good", "dir//x", "dir/../x", "dir/nul\x00", "dir/"+strings.Repeat("n", wire.MaxName+1), "//", "dir/")
	b.put("dir/tag")
	b.mu.Lock()
	b.objects["dir/tag"] = ufs.Object{Key: "dir/tag", Size: 1, ETag: strings.Repeat("t", wire.MaxETag+1)}
	b.mu.Unlock()
	f := newFixture(t, b)
	m := f.mount()
	if got := f.names(m, "", 10); !slices.Equal(got, []string{"dir/", "good"}) {
		t.Errorf("the root has %q", got)
	}
	if got := f.names(m, "dir", 10); !slices.Equal(got, []string{"good"}) {
		t.Errorf("dir has %q", got)
	}
	if h, ok := f.store.table.header(dirID{"m1", "dir"}); !ok || h.hidden != 5 {
		t.Errorf("%d names of dir are hidden, want 5", h.hidden)
	}
	for _, name := range []string{"..", "", "nul\x00", strings.Repeat("n", wire.MaxName+1)} {
		if got := f.lookup(m, "dir", name); got != "" {
			t.Errorf("%q is %q", name, got)
		}
	}
	if got := f.names(m, strings.Repeat("d/", wire.MaxKey), 10); len(got) != 0 {
		t.Errorf("a directory with a path that is too long has %q", got)
	}
	f.store.Count(m)
	f.eventually("the keys are counted", func() bool {
		got := f.store.Counted("m1")
		return got.Objects == 3 && got.Hidden == 5 && !got.AtLeast
	})
}

// TestNamesThatTheStoreCannotHold checks that a name that a store rejects is
// absent, and that a store that rejects every request is not taken for that.
func TestNamesThatTheStoreCannotHold(t *testing.T) {
	for name, kind := range map[string]error{"as a key": ufs.ErrInvalidKey, "as a request": ufs.ErrInvalid} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, newBucket("good", "\x01/x"))
			m := f.mount()
			f.bucket.fail(func(_ context.Context, _, key string) error {
				if strings.HasPrefix(key, "\x01") {
					return fmt.Errorf("key %q: %w", key, kind)
				}
				return nil
			})
			if got := f.lookup(m, "", "\x01"); got != "" {
				t.Errorf("the name is %q", got)
			}
			if got := f.lookup(m, "\x01", "x"); got != "" {
				t.Errorf("the name in such a directory is %q", got)
			}
			if got := f.names(m, "\x01", 10); len(got) != 0 {
				t.Errorf("such a directory has %q", got)
			}
			if got := f.lookup(m, "", "good"); got != "good" {
				t.Errorf("another name is %q", got)
			}
			f.bucket.failWith(fmt.Errorf("wrong region: %w", ufs.ErrInvalid))
			if a, err := f.store.Lookup(t.Context(), m, "other", "good"); err == nil {
				t.Errorf("a store that rejects every request: found %v", a.Found)
			}
			if _, err := f.list(m, "other", 10); err == nil {
				t.Error("a store that rejects every request has an empty directory")
			}
		})
	}
}

// TestInvalidKeyDoesNotWaitForTheStore checks that a name that a driver rejects is
// absent at once, although the store hangs.
func TestInvalidKeyDoesNotWaitForTheStore(t *testing.T) {
	f := newFixture(t, newBucket())
	f.bucket.fail(func(ctx context.Context, kind, key string) error {
		if kind == "stat" {
			return fmt.Errorf("key %q: %w", key, ufs.ErrInvalidKey)
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if got := f.lookup(f.mount(), "", "\x01"); got != "" {
		t.Errorf("the name is %q", got)
	}
}

// TestPagesWithoutKeys checks that a store that returns pages without keys for ever
// does not occupy a listing for ever.
func TestPagesWithoutKeys(t *testing.T) {
	f := newFixture(t, newBucket())
	f.bucket.fail(func(context.Context, string, string) error { return nil })
	endless := &endlessStore{bucket: f.bucket}
	m := f.mount(func(m *Mount) { m.Store = endless })
	if _, err := f.list(m, "dir", 10); !errors.Is(err, ufs.ErrUnavailable) {
		t.Errorf("the listing returned %v", err)
	}
	f.store.Count(m)
	f.eventually("the count has ended", func() bool {
		f.store.Counted("m1")
		f.store.mu.Lock()
		defer f.store.mu.Unlock()
		c := f.store.counts["m1"]
		return !c.running && c.totals.failed == 1
	})
	if got := f.store.Counted("m1"); got.Objects != -1 {
		t.Errorf("the totals are %+v", got)
	}
}

// endlessStore returns empty pages, each with another token.
type endlessStore struct {
	*bucket
	pages int
}

func (e *endlessStore) List(ctx context.Context, _ ufs.ListOptions) (ufs.Page, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pages++
	return ufs.Page{Next: fmt.Sprint(e.pages)}, ctx.Err()
}

// TestListingsOfAHungStore checks that a store that hangs does not collect listings,
// however many directories are requested, and that they are listed afterwards.
func TestListingsOfAHungStore(t *testing.T) {
	f := newFixture(t, newBucket("dir-0/a", "other/a"), func(c *Config) { c.PageTimeout = time.Minute })
	hung := make(chan struct{})
	f.bucket.fail(func(ctx context.Context, _, key string) error {
		if key == "other/" {
			return nil
		}
		select {
		case <-hung:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	m := f.mount()
	for i := range 2 * maxFlights {
		f.store.joinListing(m, dirID{m.ID, fmt.Sprintf("dir-%d", i)})
	}
	f.store.mu.Lock()
	if n := len(f.store.flights); n > maxFlights {
		t.Errorf("%d listings wait for the store", n)
	}
	f.store.mu.Unlock()
	other := f.mount(func(m *Mount) { m.ID = "m2" })
	if got := f.names(other, "other", 10); !slices.Equal(got, []string{"a"}) {
		t.Errorf("another mount has %q", got)
	}
	close(hung)
	f.eventually("the listings have ended", func() bool {
		f.store.mu.Lock()
		defer f.store.mu.Unlock()
		return len(f.store.flights) == 0 && len(f.store.listing) == 0
	})
	if got := f.names(m, fmt.Sprintf("dir-%d", 2*maxFlights), 10); len(got) != 0 {
		t.Errorf("an empty directory has %q", got)
	}
}
