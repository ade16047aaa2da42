package reader

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/client/fakeworker"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// faults are the faults of one worker. Each must fail the rung and must not affect
// the bytes that a reader gets.
var faults = map[string]fakeworker.Fault{
	"breaks before the header":          {Cut: -1},
	"breaks after the header":           {Empty: true},
	"breaks in the middle":              {Cut: 40_000},
	"hangs before the header":           {HangBefore: true},
	"hangs after the header":            {HangAfter: -1},
	"hangs in the middle":               {HangAfter: 70_000},
	"trickles":                          {Trickle: 100},
	"returns 500":                       {Status: 500},
	"returns 502 unavailable":           {Status: 502, Code: "unavailable"},
	"returns 503 throttled":             {Status: 503, Code: "throttled", RetryAfter: "1"},
	"returns 404 unknown_mount":         {Status: 404, Code: "unknown_mount"},
	"returns 404 of another server":     {Status: 404},
	"returns 412 of another server":     {Status: 412},
	"returns stale with another status": {Status: 500, Code: "stale"},
	"returns 400 invalid":               {Status: 400, Code: "invalid"},
	"returns 416 invalid_range":         {Status: 416, Code: "invalid_range"},
	"returns 403 permission":            {Status: 403, Code: "permission"},
	"redirects":                         {Status: 302},
	"has another ETag":                  {ETag: `"other"`},
	"has another range":                 {Range: "bytes 1-2/3"},
	"has another length":                {Length: 17},
	"has no length":                     {Chunked: true},
}

func TestFailedRungIsReplacedByTheNext(t *testing.T) {
	data := random(1, 300_000)
	for name, fault := range faults {
		t.Run("the owner "+name, func(t *testing.T) {
			f := newFixture(t, 3, hasty)
			v := f.put("dir/file", data)
			f.order(v)[0].FailAlways(fault)
			f.mustRead(v, data, 64<<10)
		})
	}
}

func TestStoreReplacesAllWorkers(t *testing.T) {
	data := random(2, 300_000)
	for name, fault := range faults {
		t.Run("every worker "+name, func(t *testing.T) {
			store := &memoryStore{}
			f := newFixture(t, 2, hasty, func(c *Config) { c.OpenStore = store.opener })
			store.bucket = f.cluster.Bucket
			v := f.put("dir/file", data)
			for _, w := range f.cluster.Workers {
				w.FailAlways(fault)
			}
			f.mustRead(v, data, 100_000)
			// With HangAfter the rest after 70,000 bytes is short enough for the
			// workers to return it.
			if fault.HangAfter <= 0 {
				f.eventually("a range came from the store", func() bool { return f.rungs(rungStore) > 0 })
			}
		})
	}
}

func TestReadWithStoppedWorkers(t *testing.T) {
	data := random(3, 3<<20)
	f := newFixture(t, 3)
	v := f.put("dir/file", data)
	order := f.order(v)
	order[0].Stop()
	f.mustRead(v, data, 128<<10)
	order[1].Stop()
	f.mustRead(v, data, 128<<10)
	order[0].Start()
	order[2].Stop()
	f.mustRead(v, data, 128<<10)
}

func TestReadWaitsForAWorker(t *testing.T) {
	data := random(4, 100_000)
	f := newFixture(t, 2)
	v := f.put("file", data)
	for _, w := range f.cluster.Workers {
		w.Stop()
	}
	back := time.AfterFunc(500*time.Millisecond, f.cluster.Workers[1].Start)
	defer back.Stop()
	f.mustRead(v, data, 200_000)
}

func TestErrorListsEveryRung(t *testing.T) {
	store := &memoryStore{fail: fmt.Errorf("status 500: %w", ufs.ErrUnavailable)}
	f := newFixture(t, 2, func(c *Config) {
		c.OpenStore, c.ReadTimeout = store.opener, 3*time.Second
	})
	v := f.put("file", random(5, 1000))
	order := f.order(v)
	order[0].Stop()
	order[1].FailAlways(fakeworker.Fault{Status: 502, Code: "unavailable"})
	_, err := f.open(v).ReadAt(t.Context(), make([]byte, 1000), 0)
	if !errors.Is(err, errTimeout) {
		t.Fatalf("got error %v, want errTimeout", err)
	}
	for _, want := range []string{`"file"`, "owner " + order[0].Name, "other " + order[1].Name, "injected: unavailable", "store: status 500"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not contain %q", err, want)
		}
	}
}

func TestFinalErrors(t *testing.T) {
	deleted := func(f *fixture, _ *memoryStore) { f.cluster.Bucket.Remove("file") }
	replaced := func(f *fixture, _ *memoryStore) { f.put("file", []byte("another")) }
	down := func(f *fixture) {
		for _, w := range f.cluster.Workers {
			w.Stop()
		}
	}
	for _, test := range []struct {
		name  string
		fault func(*fixture, *memoryStore)
		want  error
	}{
		{"deleted, reported by the owner", deleted, ErrStale},
		{"replaced, reported by the owner", replaced, ErrStale},
		{"deleted, reported by the store", func(f *fixture, s *memoryStore) { down(f); deleted(f, s) }, ErrStale},
		{"replaced, reported by the store", func(f *fixture, s *memoryStore) { down(f); replaced(f, s) }, ErrStale},
		{"refused by all", func(f *fixture, s *memoryStore) {
			for _, w := range f.cluster.Workers {
				w.FailAlways(fakeworker.Fault{Status: 403, Code: "permission"})
			}
			s.failWith(ufs.ErrPermission)
		}, ErrPermission},
		{"refused by the store, the workers down", func(f *fixture, s *memoryStore) {
			down(f)
			s.failWith(fmt.Errorf("oss:GetObject is missing: %w", ufs.ErrPermission))
		}, ErrPermission},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &memoryStore{}
			f := newFixture(t, 2, func(c *Config) { c.OpenStore = store.opener })
			store.bucket = f.cluster.Bucket
			file := f.open(f.put("file", random(6, 1000)))
			test.fault(f, store)
			n, err := file.ReadAt(t.Context(), make([]byte, 1000), 0)
			if !errors.Is(err, test.want) || n != 0 {
				t.Errorf("got %d bytes and error %v, want error %v", n, err, test.want)
			}
		})
	}
}

// TestRefusalIsNotFinalWhileTheOwnerIsFetching checks that a refusal of another
// worker does not fail the read in a round in which the store is not tried,
// because the owner has sent headers and is fetching the bytes.
func TestRefusalIsNotFinalWhileTheOwnerIsFetching(t *testing.T) {
	store := &memoryStore{}
	f := newFixture(t, 2, hasty, func(c *Config) { c.OpenStore = store.opener })
	store.bucket = f.cluster.Bucket
	data := random(6, 1000)
	v := f.put("file", data)
	workers := f.order(v)
	workers[0].FailAlways(faults["hangs after the header"])
	workers[1].FailAlways(fakeworker.Fault{Status: 403, Code: "permission"})
	f.mustRead(v, data, 1000)
}

func TestDeletedBucketIsNotStale(t *testing.T) {
	store := &memoryStore{fail: ufs.ErrNoBucket}
	f := newFixture(t, 1, func(c *Config) { c.OpenStore, c.ReadTimeout = store.opener, 300*time.Millisecond })
	v := f.put("file", random(6, 1000))
	f.cluster.Workers[0].Stop()
	if _, err := f.open(v).ReadAt(t.Context(), make([]byte, 10), 0); errors.Is(err, ErrStale) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("got error %v, want ErrUnavailable", err)
	}
}

func TestHandleNeverMixesVersions(t *testing.T) {
	f := newFixture(t, 3)
	old := random(7, 8<<20)
	v := f.put("file", old)
	file := f.open(v)
	p := make([]byte, 64<<10)
	if _, err := file.ReadAt(t.Context(), p, 0); err != nil {
		t.Fatal(err)
	}
	f.put("file", random(8, 8<<20))
	for offset := int64(0); offset < v.Size; offset += int64(len(p)) {
		n, err := file.ReadAt(t.Context(), p, offset)
		if string(p[:n]) != string(old[offset:offset+int64(n)]) {
			t.Fatalf("bytes of another version at %d", offset)
		}
		if errors.Is(err, ErrStale) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("8 MiB of a replaced version were read without ErrStale")
}

func TestNextRungContinuesAtTheOffset(t *testing.T) {
	data := random(9, 200_000)
	f := newFixture(t, 2)
	v := f.put("file", data)
	order := f.order(v)
	order[0].FailAlways(fakeworker.Fault{Cut: 150_000})
	ranges := make(chan string, 10)
	order[1].Fail(func(_ int64, r *http.Request) fakeworker.Fault {
		ranges <- r.Header.Get("Range")
		return fakeworker.Fault{}
	})
	f.mustRead(v, data, 200_000)
	if got := <-ranges; got != "bytes=150000-199999" {
		t.Errorf("the next rung received range %s, want bytes=150000-199999", got)
	}
}

func TestFailedWorkerIsTriedLast(t *testing.T) {
	now := time.Unix(0, 0) // constant
	f := newFixtureOf(t, 2, func(c *client.Config) { c.Clock = func() time.Time { return now } }, patient)
	data := random(10, 1000)
	v := f.put("file", data)
	order := f.order(v)
	order[0].FailAlways(fakeworker.Fault{HangBefore: true})
	f.mustRead(v, data, 1000)
	before := order[0].Ranges.Load()
	f.mustRead(v, data, 1000)
	if got := order[0].Ranges.Load(); got != before {
		t.Errorf("a worker that hung received another request immediately")
	}
}

func TestPreviousOwnersServeCachedBytes(t *testing.T) {
	f := newFixture(t, 3)
	data := random(11, 1000)
	v := f.put("file", data)
	order := f.order(v)
	view := f.cluster.NewView(2)
	view.Ring.Epoch = 2
	// The previous ring contains only the worker that is last in the new order.
	before := f.cluster.NewView(1)
	for _, m := range before.GetRing().GetMembers() {
		if m.GetName() == order[2].Name {
			before.Ring.Members = append(before.Ring.Members[:0:0], m)
			break
		}
	}
	view.PreviousRings = append(view.PreviousRings, before.GetRing())
	f.cluster.SetView(view)
	f.eventually("the reader has the new view", func() bool { return f.client.View().GetIndex() == 2 })
	order[0].Stop()
	cached := make(chan string, 10)
	order[2].Fail(func(_ int64, r *http.Request) fakeworker.Fault {
		cached <- r.Header.Get(wire.HeaderOnlyIfCached)
		return fakeworker.Fault{}
	})
	f.mustRead(v, data, 1000)
	if got := <-cached; got != "1" {
		t.Errorf("the previous owner received %s %q, want 1", wire.HeaderOnlyIfCached, got)
	}
	f.eventually("another worker returned the bytes", func() bool { return f.rungs(client.Other) > 0 })
}

func (f *fixture) eventually(description string, condition func() bool) {
	f.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.Fatalf("timeout waiting until %s", description)
		}
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	f := newFixture(t, 1)
	v := f.put("file", random(12, 5<<20))
	f.cluster.Workers[0].FailAlways(fakeworker.Fault{HangBefore: true})
	for _, offset := range []int64{0, 3 << 20} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := f.open(v).ReadAt(ctx, make([]byte, 1000), offset)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("read at %d: got error %v, want DeadlineExceeded", offset, err)
		}
	}
}

// TestSlowStoreReceivesOneRequest checks that while the owner is fetching bytes,
// no other source fetches them from the store for one round.
func TestSlowStoreReceivesOneRequest(t *testing.T) {
	store := &memoryStore{}
	f := newFixture(t, 3, patient, func(c *Config) { c.OpenStore = store.opener })
	store.bucket = f.cluster.Bucket
	data := random(13, 1000)
	v := f.put("file", data)
	order := f.order(v)
	order[0].Fail(func(n int64, _ *http.Request) fakeworker.Fault {
		if n == 1 {
			return fakeworker.Fault{HangAfter: -1}
		}
		return fakeworker.Fault{}
	})
	requests := make(chan string, 10)
	for _, w := range order[1:] {
		w.Fail(func(_ int64, r *http.Request) fakeworker.Fault {
			requests <- r.Header.Get(wire.HeaderOnlyIfCached)
			return fakeworker.Fault{}
		})
	}
	f.mustRead(v, data, 1000)
	close(requests)
	peers := 0
	for cachedOnly := range requests {
		if peers++; cachedOnly != "1" {
			t.Errorf("another worker received a request without %s", wire.HeaderOnlyIfCached)
		}
	}
	if peers != 2 || store.gets != 0 || order[0].Ranges.Load() != 2 {
		t.Errorf("got %d requests to other workers, %d to the store, %d to the owner; want 2, 0, 2", peers, store.gets, order[0].Ranges.Load())
	}
}
