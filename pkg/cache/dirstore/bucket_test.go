package dirstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bucket is a store in memory that lists as object stores do, and fails on
// demand.
type bucket struct {
	ufs.Store // nil: a directory store calls only the methods defined here

	mu      sync.Mutex
	objects map[string]ufs.Object
	pageMax int
	// before is called before every request, with its kind and its key or
	// prefix; the request fails with its error.
	before func(ctx context.Context, kind, key string) error
	// hold is called before a page is returned.
	hold   func(ctx context.Context, continuation string)
	counts map[string]int
	listed []ufs.ListOptions
}

func newBucket(keys ...string) *bucket {
	b := &bucket{objects: map[string]ufs.Object{}, pageMax: 1000, counts: map[string]int{}}
	for _, key := range keys {
		b.put(key)
	}
	return b
}

var modified = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func (b *bucket) put(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = ufs.Object{Key: key, Size: int64(len(key)), ETag: fmt.Sprintf("e%d", len(b.counts)+len(b.listed)), LastModified: modified}
}

func (b *bucket) remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
}

func (b *bucket) fail(before func(ctx context.Context, kind, key string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before = before
}

// failWith makes every request fail.
func (b *bucket) failWith(err error) {
	b.fail(func(context.Context, string, string) error { return err })
}

func (b *bucket) heal() { b.fail(nil) }

// requests returns the number of requests of a kind.
func (b *bucket) requests(kind string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts[kind]
}

func (b *bucket) request(ctx context.Context, kind, key string) error {
	b.mu.Lock()
	b.counts[kind]++
	before := b.before
	b.mu.Unlock()
	if before != nil {
		if err := before(ctx, kind, key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (b *bucket) String() string { return "memory://bucket/" }

func (b *bucket) Stat(ctx context.Context, key string) (ufs.Object, error) {
	if err := b.request(ctx, "stat", key); err != nil {
		return ufs.Object{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	if !ok {
		return o, fmt.Errorf("stat %q: %w", key, ufs.ErrNotFound)
	}
	return o, nil
}

func (b *bucket) List(ctx context.Context, o ufs.ListOptions) (ufs.Page, error) {
	if err := b.request(ctx, "list", o.Prefix); err != nil {
		return ufs.Page{}, err
	}
	b.mu.Lock()
	hold := b.hold
	b.mu.Unlock()
	if hold != nil {
		hold(ctx, o.Continuation)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listed = append(b.listed, o)
	limit := b.pageMax
	if o.MaxKeys > 0 {
		limit = min(limit, o.MaxKeys)
	}
	start := o.StartAfter
	if o.Continuation != "" {
		start = strings.TrimPrefix(o.Continuation, "after ")
	}
	keys := make([]string, 0, len(b.objects))
	for key := range b.objects {
		if strings.HasPrefix(key, o.Prefix) && key > start {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var page ufs.Page
	last := ""
	for _, key := range keys {
		rolled := ""
		if o.Delimiter != "" {
			if head, _, ok := strings.Cut(strings.TrimPrefix(key, o.Prefix), o.Delimiter); ok {
				rolled = o.Prefix + head + o.Delimiter
			}
		}
		if rolled != "" && rolled == last || rolled != "" && strings.HasPrefix(start, rolled) && o.Continuation != "" {
			last = rolled
			continue
		}
		if len(page.Objects)+len(page.Prefixes) == limit {
			page.Next = "after " + last
			return page, nil
		}
		if rolled != "" {
			page.Prefixes = append(page.Prefixes, rolled)
			last = rolled
		} else {
			page.Objects = append(page.Objects, b.objects[key])
			last = key
		}
	}
	return page, nil
}

// clock is a clock that the test advances.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a store over a bucket.
type fixture struct {
	*testing.T
	store  *Store
	bucket *bucket
	clock  *clock
	config Config
}

func newFixture(t *testing.T, b *bucket, change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{T: t, bucket: b, clock: newClock()}
	f.config = Config{Dir: t.TempDir() + "/names", Clock: f.clock.read, ListingWait: time.Hour, ListAfter: 1 << 30}
	for _, c := range change {
		c(&f.config)
	}
	f.open()
	t.Cleanup(func() { _ = f.store.Close() })
	return f
}

func (f *fixture) open() {
	f.Helper()
	store, err := Open(f.config)
	if err != nil {
		f.Fatal(err)
	}
	f.store = store
}

func (f *fixture) restart() {
	f.Helper()
	if err := f.store.Close(); err != nil {
		f.Fatal(err)
	}
	f.open()
}

func (f *fixture) mount(change ...func(*Mount)) Mount {
	m := Mount{ID: "m1", Epoch: 1, ReadOnly: true, Store: f.bucket}
	for _, c := range change {
		c(&m)
	}
	return m
}

// names returns the names of a directory, read page by page; those of
// directories end with a slash.
func (f *fixture) names(m Mount, dir string, limit int) []string {
	f.Helper()
	names, err := f.list(m, dir, limit)
	if err != nil {
		f.Fatal(err)
	}
	return names
}

func (f *fixture) list(m Mount, dir string, limit int) ([]string, error) {
	f.Helper()
	var names []string
	last := ""
	for {
		page, err := f.store.List(f.Context(), m, dir, last, limit)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Entries {
			last = string(e.GetName())
			names = append(names, show(string(e.GetName()), len(e.GetKey()) == 0))
		}
		if !page.More {
			return names, nil
		}
		if len(page.Entries) > limit || len(page.Entries) == 0 && last == "" {
			f.Fatalf("a page of %d entries, limit %d, and more", len(page.Entries), limit)
		}
	}
}

func show(name string, dir bool) string {
	if dir {
		return name + "/"
	}
	return name
}

// lookup returns "a" for a file, "a/" for a directory, "" for an absent name.
func (f *fixture) lookup(m Mount, dir, name string) string {
	f.Helper()
	a, err := f.store.Lookup(f.Context(), m, dir, name)
	if err != nil {
		f.Fatal(err)
	}
	if !a.Found {
		return ""
	}
	return show(string(a.Entry.GetName()), len(a.Entry.GetKey()) == 0)
}
