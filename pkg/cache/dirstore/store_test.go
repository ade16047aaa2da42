package dirstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

const once = commonv1.MetaPolicy_META_POLICY_ONCE

// odd are unusual keys, and the names that they yield.
var (
	oddKeys = []string{
		"a", "a/x", "a-b", "a.b", "b/", "c//d", "c/./e", "/lead", "d/../f", "plain", "nul\x00name", "nuldir\x00/x",
		"long/" + strings.Repeat("n", 256), "long/" + strings.Repeat("n", 255), "over" + strings.Repeat("n", 260) + "/x", "ü", "z/deep/er",
	}
	oddRoot = []string{"a/", "a-b", "a.b", "b/", "c/", "d/", "long/", "plain", "z/", "ü"}
)

func TestNamesOfKeys(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 1000} {
		t.Run(fmt.Sprintf("pages of %d", limit), func(t *testing.T) {
			f := newFixture(t, newBucket(oddKeys...))
			for dir, want := range map[string][]string{
				"":        oddRoot,
				"a":       {"x"},
				"b":       nil,
				"c":       nil,
				"d":       nil,
				"long":    {strings.Repeat("n", 255)},
				"z":       {"deep/"},
				"nothing": nil,
				"c/.":     nil,
				"a//b":    nil,
			} {
				if got := f.names(f.mount(), dir, limit); !slices.Equal(got, want) {
					t.Errorf("directory %q has %q, want %q", dir, got, want)
				}
			}
		})
	}
}

func TestLookupIsTheSameListedOrNot(t *testing.T) {
	for _, listed := range []bool{false, true} {
		t.Run(fmt.Sprintf("listed %v", listed), func(t *testing.T) {
			f := newFixture(t, newBucket(oddKeys...))
			for _, test := range []struct{ dir, name, want string }{
				{"", "a", "a/"},
				{"", "a-b", "a-b"},
				{"", "b", "b/"},
				{"", "c", "c/"},
				{"", "plain", "plain"},
				{"", "nothing", ""},
				{"", "", ""},
				{"", ".", ""},
				{"", "..", ""},
				{"", "nul\x00name", ""},
				{"", "a/x", ""},
				{"c", ".", ""},
				{"a", "x", "x"},
				{"c/.", "e", ""},
				{"", "lead", ""},
				{"long", strings.Repeat("n", 256), ""},
				{"z", "deep", "deep/"},
				{"nothing", "x", ""},
			} {
				if listed {
					f.names(f.mount(), test.dir, 100)
				}
				if got := f.lookup(f.mount(), test.dir, test.name); got != test.want {
					t.Errorf("%q in %q is %q, want %q", test.name, test.dir, got, test.want)
				}
			}
			if stats := f.bucket.requests("stat"); listed == (stats > 0) {
				t.Errorf("the store received %d requests for objects", stats)
			}
		})
	}
}

func TestEntryOfAFile(t *testing.T) {
	f := newFixture(t, newBucket("dir/file"))
	for _, listed := range []bool{false, true} {
		if listed {
			f.names(f.mount(), "dir", 10)
		}
		a, err := f.store.Lookup(t.Context(), f.mount(), "dir", "file")
		if err != nil {
			t.Fatal(err)
		}
		e := a.Entry
		if string(e.GetName()) != "file" || string(e.GetKey()) != "dir/file" || e.GetSize() != 8 || string(e.GetEtag()) != "e0" || !e.GetModified().AsTime().Equal(modified) {
			t.Errorf("listed %v: %v", listed, e)
		}
	}
}

func TestConcurrentRequestsShareOneListing(t *testing.T) {
	b := newBucket()
	for i := range 25 {
		b.put(fmt.Sprintf("dir/%02d", i))
	}
	b.pageMax = 10
	release := make(chan struct{})
	b.fail(func(ctx context.Context, _, _ string) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	f := newFixture(t, b)
	var readers sync.WaitGroup
	for range 20 {
		readers.Go(func() {
			if names, err := f.list(f.mount(), "dir", 7); err != nil || len(names) != 25 {
				t.Errorf("%d names, %v", len(names), err)
			}
		})
	}
	f.eventually("all requests wait for the listing", func() bool { return waiting(f.store, dirID{"m1", "dir"}) == 20 })
	close(release)
	readers.Wait()
	if got := b.requests("list"); got != 3 {
		t.Errorf("the store received %d requests for pages, want 3", got)
	}
}

func TestOneQueryPerName(t *testing.T) {
	b := newBucket("x")
	release := make(chan struct{})
	b.fail(func(ctx context.Context, _, _ string) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	f := newFixture(t, b)
	var readers sync.WaitGroup
	for range 20 {
		readers.Go(func() {
			if got := f.lookup(f.mount(), "", "x"); got != "x" {
				t.Errorf("got %q", got)
			}
		})
	}
	close(release)
	readers.Wait()
	if stats, lists := b.requests("stat"), b.requests("list"); stats != 1 || lists != 1 {
		t.Errorf("the store received %d and %d requests", stats, lists)
	}
}

// TestAQueryThatHasJustEnded checks that a request that has found no result of a name
// before a query ended, and no query in progress afterwards, uses the result.
func TestAQueryThatHasJustEnded(t *testing.T) {
	f := newFixture(t, newBucket("x"))
	f.lookup(f.mount(), "", "x")
	p := f.store.probe(f.mount(), nameID{dirID{"m1", ""}, "x"})
	<-p.done
	if p.err != nil || p.result.entry.kind != file {
		t.Errorf("got %+v, error %v", p.result.entry, p.err)
	}
	if stats, lists := f.bucket.requests("stat"), f.bucket.requests("list"); stats != 1 || lists != 1 {
		t.Errorf("the store received %d and %d requests", stats, lists)
	}
}

func TestValidity(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(*Mount)
		before  func(f *fixture) // between the two listings
		epoch   uint64
		relists bool
	}{
		{name: "ALWAYS within its time", before: func(f *fixture) { f.clock.turn(59 * time.Second) }},
		{name: "ALWAYS after its time", before: func(f *fixture) { f.clock.turn(61 * time.Second) }, relists: true},
		{name: "ALWAYS when the clock went back", before: func(f *fixture) { f.clock.turn(-time.Hour) }, relists: true},
		{name: "ALWAYS after a start", before: (*fixture).restart, relists: true},
		{name: "ALWAYS and a new epoch", epoch: 2, relists: true},
		{name: "ONCE after a day", change: func(m *Mount) { m.Policy = once }, before: func(f *fixture) { f.clock.turn(24 * time.Hour) }},
		{name: "ONCE after a start", change: func(m *Mount) { m.Policy = once }, before: (*fixture).restart},
		{name: "ONCE, writable, after a start", change: func(m *Mount) { m.Policy, m.ReadOnly = once, false }, before: (*fixture).restart, relists: true},
		{name: "ONCE and a new epoch", change: func(m *Mount) { m.Policy = once }, epoch: 2, relists: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, newBucket("dir/a"))
			m := f.mount()
			if test.change != nil {
				test.change(&m)
			}
			f.names(m, "dir", 10)
			f.bucket.put("dir/b")
			f.bucket.remove("dir/a")
			if test.before != nil {
				test.before(f)
			}
			if test.epoch != 0 {
				m.Epoch = test.epoch
			}
			want, a := []string{"a"}, "a"
			if test.relists {
				want, a = []string{"b"}, ""
			}
			if got := f.names(m, "dir", 10); !slices.Equal(got, want) {
				t.Errorf("List returned %q, want %q", got, want)
			}
			if got := f.lookup(m, "dir", "a"); got != a {
				t.Errorf("Lookup returned %q, want %q", got, a)
			}
		})
	}
}

func TestSlowListingIsValidLonger(t *testing.T) {
	f := newFixture(t, newBucket("dir/a"))
	f.bucket.fail(func(context.Context, string, string) error {
		f.clock.turn(20 * time.Second)
		return nil
	})
	f.names(f.mount(), "dir", 10)
	f.clock.turn(150 * time.Second)
	f.names(f.mount(), "dir", 10)
	if got := f.bucket.requests("list"); got != 1 {
		t.Errorf("listed %d times; a listing that took 20 s is valid for 200 s", got)
	}
}

func TestFailedListingChangesNothing(t *testing.T) {
	b := newBucket("dir/a", "dir/b", "dir/c")
	b.pageMax = 1
	f := newFixture(t, b)
	writable := f.mount(func(m *Mount) { m.ReadOnly = false })
	f.names(writable, "dir", 10)
	b.remove("dir/a")
	f.clock.turn(time.Hour)
	var pages atomic.Int32
	b.fail(func(_ context.Context, kind, _ string) error {
		if kind == "list" && pages.Add(1) > 1 {
			return fmt.Errorf("reset by peer: %w", ufs.ErrUnavailable)
		}
		return nil
	})
	if names, err := f.list(writable, "dir", 10); !errors.Is(err, ufs.ErrUnavailable) {
		t.Fatalf("got %q, %v", names, err)
	}
	if got := f.names(f.mount(), "dir", 10); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("the older listing has become %q", got)
	}
	b.heal()
	if got := f.names(writable, "dir", 10); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("got %q", got)
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		name     string
		err      error
		readOnly bool
		listed   bool
		old      bool // the old listing is returned
	}{
		{"permission", fmt.Errorf("oss:ListObjects is missing: %w", ufs.ErrPermission), true, true, false},
		{"unavailable, listed before", ufs.ErrUnavailable, true, true, true},
		{"throttled, listed before", ufs.ErrThrottled, true, true, true},
		{"the bucket is missing, listed before", ufs.ErrNoBucket, true, true, true},
		{"unavailable, writable", ufs.ErrUnavailable, false, true, false},
		{"unavailable, never listed", ufs.ErrUnavailable, true, false, false},
		{"the bucket is missing, never listed", ufs.ErrNoBucket, true, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, newBucket("dir/a"))
			m := f.mount(func(m *Mount) { m.ReadOnly = test.readOnly })
			if test.listed {
				f.names(m, "dir", 10)
				f.clock.turn(90 * time.Second)
			}
			f.bucket.failWith(test.err)
			names, err := f.list(m, "dir", 10)
			result, lookupErr := f.store.Lookup(t.Context(), m, "dir", "a")
			absent, absentErr := f.store.Lookup(t.Context(), m, "dir", "nothing")
			if !test.old {
				for _, got := range []error{err, lookupErr, absentErr} {
					if !errors.Is(got, test.err) || !strings.Contains(got.Error(), "memory://bucket/") {
						t.Errorf("got %v, want it to be %v and to name the store", got, test.err)
					}
				}
				return
			}
			if err := errors.Join(err, lookupErr, absentErr); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(names, []string{"a"}) || !result.Found || absent.Found || result.Age != 90*time.Second {
				t.Errorf("got %q, %+v, %+v", names, result, absent)
			}
			if got := f.bucket.requests("list"); got != 2 {
				t.Errorf("an unreachable store received %d requests", got-1)
			}
			f.bucket.heal()
			f.bucket.put("dir/b")
			f.clock.turn(retryAfter + time.Second)
			if got := f.names(m, "dir", 10); !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("after the failure: %q", got)
			}
		})
	}
}

func TestOnly404MeansAbsent(t *testing.T) {
	for _, test := range []struct {
		name       string
		stat, list error
		want       string
		err        error
	}{
		{"both fail", ufs.ErrUnavailable, ufs.ErrUnavailable, "", ufs.ErrUnavailable},
		{"stat returns 404, list fails", nil, ufs.ErrUnavailable, "", ufs.ErrUnavailable},
		{"stat fails, nothing below", ufs.ErrUnavailable, nil, "", ufs.ErrUnavailable},
		{"stat is refused, nothing below", ufs.ErrPermission, nil, "", ufs.ErrPermission},
		{"the bucket is missing", ufs.ErrNoBucket, nil, "", ufs.ErrNoBucket},
		{"neither", nil, nil, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, newBucket())
			f.bucket.fail(func(_ context.Context, kind, _ string) error {
				if kind == "stat" {
					return test.stat
				}
				return test.list
			})
			a, err := f.store.Lookup(t.Context(), f.mount(), "", "x")
			if !errors.Is(err, test.err) || a.Found {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
}

func TestForget(t *testing.T) {
	for _, listed := range []bool{false, true} {
		t.Run(fmt.Sprintf("listed %v", listed), func(t *testing.T) {
			f := newFixture(t, newBucket("dir/a", "dir/b", "dir/c"))
			if listed {
				f.names(f.mount(), "dir", 10)
			}
			f.lookup(f.mount(), "dir", "a")
			f.lookup(f.mount(), "dir", "b")
			f.bucket.remove("dir/a")
			f.bucket.put("dir/b")
			if got := f.lookup(f.mount(), "dir", "a"); got != "a" {
				t.Fatalf("before it expires, a is %q", got)
			}
			f.store.Forget("m1", "dir", "a")
			f.store.Forget("m1", "dir", "b")
			f.store.Forget("m1", "dir", "never was")
			f.store.Forget("m1", "other", "a")
			if got := f.lookup(f.mount(), "dir", "a"); got != "" {
				t.Errorf("a is %q", got)
			}
			b, err := f.store.Lookup(t.Context(), f.mount(), "dir", "b")
			if err != nil || string(b.Entry.GetEtag()) == "e0" {
				t.Errorf("b is %v, %v", b.Entry, err)
			}
			if got := f.names(f.mount(), "dir", 1); !slices.Equal(got, []string{"b", "c"}) {
				t.Errorf("the directory has %q", got)
			}
		})
	}
}

func TestListQueriesForgottenNames(t *testing.T) {
	f := newFixture(t, newBucket("dir/a", "dir/b", "dir/c"))
	f.names(f.mount(), "dir", 10)
	f.bucket.remove("dir/b")
	f.store.Forget("m1", "dir", "b")
	for _, limit := range []int{1, 2, 10} {
		if got := f.names(f.mount(), "dir", limit); !slices.Equal(got, []string{"a", "c"}) {
			t.Errorf("pages of %d: %q", limit, got)
		}
	}
	if got := f.bucket.requests("stat"); got != 1 {
		t.Errorf("%d requests", got)
	}
}

// TestPagesOfDeletedNames checks that no page is empty before the end, which would have
// no position for the next page.
func TestPagesOfDeletedNames(t *testing.T) {
	f := newFixture(t, newBucket("dir/a", "dir/b", "dir/c", "dir/d", "dir/e"))
	f.names(f.mount(), "dir", 10)
	for _, name := range []string{"b", "c", "d"} {
		f.bucket.remove("dir/" + name)
		f.store.Forget("m1", "dir", name)
	}
	page, err := f.store.List(t.Context(), f.mount(), "dir", "a", 2)
	if err != nil || len(page.Entries) != 1 || string(page.Entries[0].GetName()) != "e" || page.More {
		t.Errorf("after a: %v, error %v", page, err)
	}
	for _, name := range []string{"a", "e"} {
		f.bucket.remove("dir/" + name)
		f.store.Forget("m1", "dir", name)
	}
	if page, err = f.store.List(t.Context(), f.mount(), "dir", "", 1); err != nil || len(page.Entries) != 0 || page.More {
		t.Errorf("all names deleted: %v, error %v", page, err)
	}
}

// TestForgetDuringAListing forgets a name that the listing has read already.
func TestForgetDuringAListing(t *testing.T) {
	f := newFixture(t, newBucket("dir/a", "dir/b"))
	f.bucket.pageMax = 1
	reached, release := make(chan struct{}), make(chan struct{})
	var pages atomic.Int32
	f.bucket.fail(func(_ context.Context, kind, _ string) error {
		if kind == "list" && pages.Add(1) == 2 {
			close(reached)
			<-release
		}
		return nil
	})
	done := make(chan []string)
	go func() {
		names, _ := f.list(f.mount(), "dir", 10)
		done <- names
	}()
	<-reached
	f.bucket.remove("dir/a")
	f.store.Forget("m1", "dir", "a")
	close(release)
	if got := <-done; !slices.Equal(got, []string{"b"}) {
		t.Errorf("got %q", got)
	}
}

func TestLookupsStartAListing(t *testing.T) {
	f := newFixture(t, newBucket("dir/a", "dir/b", "dir/c", "dir/d"), func(c *Config) { c.ListAfter = 3 })
	for _, name := range []string{"a", "b", "c"} {
		f.lookup(f.mount(), "dir", name)
	}
	f.eventually("the directory is listed", func() bool {
		h, ok := f.store.table.header(dirID{"m1", "dir"})
		return ok && h.count == 4
	})
	stats := f.bucket.requests("stat")
	if got := f.lookup(f.mount(), "dir", "nothing"); got != "" || f.bucket.requests("stat") != stats {
		t.Errorf("got %q after %d requests, %d before", got, f.bucket.requests("stat"), stats)
	}
}

func (f *fixture) eventually(what string, ok func() bool) {
	f.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.Fatalf("timed out: %s", what)
		}
	}
}
