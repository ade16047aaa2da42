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

// faults of one worker. Each must cost the rung, never a byte.
var faults = map[string]fakeworker.Fault{
	"breaks before the header":          {Cut: -1},
	"breaks after the header":           {Empty: true},
	"breaks in the middle":              {Cut: 100_000},
	"hangs before the header":           {HangBefore: true},
	"hangs after the header":            {HangAfter: -1},
	"hangs in the middle":               {HangAfter: 70_000},
	"trickles":                          {Trickle: 100},
	"answers 500":                       {Status: 500},
	"answers 502 unavailable":           {Status: 502, Code: "unavailable"},
	"answers 503 throttled":             {Status: 503, Code: "throttled", RetryAfter: "1"},
	"answers 404 unknown_mount":         {Status: 404, Code: "unknown_mount"},
	"answers 404 of another server":     {Status: 404},
	"answers 412 of another server":     {Status: 412},
	"answers stale with another status": {Status: 500, Code: "stale"},
	"answers 400 invalid":               {Status: 400, Code: "invalid"},
	"answers 416 invalid_range":         {Status: 416, Code: "invalid_range"},
	"answers 403 permission":            {Status: 403, Code: "permission"},
	"redirects":                         {Status: 302},
	"has another tag":                   {ETag: `"other"`},
	"has another range":                 {Range: "bytes 1-2/3"},
	"has another length":                {Length: 17},
	"has no length":                     {Chunked: true},
}

func TestARungThatFailsIsMadeUpForByTheNext(t *testing.T) {
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

func TestAllWorkersFailAndTheStoreIsLeft(t *testing.T) {
	data := random(2, 300_000)
	for name, fault := range faults {
		t.Run("they "+name, func(t *testing.T) {
			store := &memoryStore{}
			f := newFixture(t, 2, hasty, func(c *Config) { c.OpenStore = store.opener })
			store.bucket = f.cluster.Bucket
			v := f.put("dir/file", data)
			for _, w := range f.cluster.Workers {
				w.FailAlways(fault)
			}
			f.mustRead(v, data, 100_000)
			// What is left after 70,000 bytes is short enough to come whole.
			if fault.HangAfter <= 0 {
				f.eventually("a range came from the store", func() bool { return f.rungs(rungStore) > 0 })
			}
		})
	}
}

func TestWorkersThatAreDown(t *testing.T) {
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

func TestAReadOutlastsWorkersThatAreDownForAWhile(t *testing.T) {
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

func TestAllFail(t *testing.T) {
	store := &memoryStore{fail: fmt.Errorf("status 500: %w", ufs.ErrUnavailable)}
	f := newFixture(t, 2, func(c *Config) {
		c.OpenStore, c.ReadTimeout = store.opener, 500*time.Millisecond
	})
	v := f.put("file", random(5, 1000))
	order := f.order(v)
	order[0].Stop()
	order[1].FailAlways(fakeworker.Fault{Status: 502, Code: "unavailable"})
	_, err := f.open(v).ReadAt(t.Context(), make([]byte, 1000), 0)
	if !errors.Is(err, errTimeout) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{`"file"`, "owner " + order[0].Name, "other " + order[1].Name, "injected: unavailable", "store: status 500"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestErrorsThatEndARead(t *testing.T) {
	gone := func(f *fixture, _ *memoryStore) { f.cluster.Bucket.Remove("file") }
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
		{"deleted, the owner says", gone, ErrStale},
		{"replaced, the owner says", replaced, ErrStale},
		{"deleted, the store says", func(f *fixture, s *memoryStore) { down(f); gone(f, s) }, ErrStale},
		{"replaced, the store says", func(f *fixture, s *memoryStore) { down(f); replaced(f, s) }, ErrStale},
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
				t.Errorf("got %d bytes, %v", n, err)
			}
		})
	}
}

// TestARefusalIsNotTheLastWordWhileTheOwnerIsSpared: an owner that goes silent
// after its headers keeps the store from being asked for one round; what
// another worker refuses meanwhile ends nothing.
func TestARefusalIsNotTheLastWordWhileTheOwnerIsSpared(t *testing.T) {
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

func TestTheBucketIsGoneIsNotTheObjectIsGone(t *testing.T) {
	store := &memoryStore{fail: ufs.ErrNoBucket}
	f := newFixture(t, 1, func(c *Config) { c.OpenStore, c.ReadTimeout = store.opener, 300*time.Millisecond })
	v := f.put("file", random(6, 1000))
	f.cluster.Workers[0].Stop()
	if _, err := f.open(v).ReadAt(t.Context(), make([]byte, 10), 0); errors.Is(err, ErrStale) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAHandleThatReadsOnNeverMixesVersions(t *testing.T) {
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
			t.Fatalf("other bytes at %d", offset)
		}
		if errors.Is(err, ErrStale) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("8 MiB of a version that is gone were read")
}

func TestWhatARungGotIsNotAskedForAgain(t *testing.T) {
	data := random(9, 200_000)
	f := newFixture(t, 2)
	v := f.put("file", data)
	order := f.order(v)
	order[0].FailAlways(fakeworker.Fault{Cut: 150_000})
	asked := make(chan string, 10)
	order[1].Fail(func(_ int64, r *http.Request) fakeworker.Fault {
		asked <- r.Header.Get("Range")
		return fakeworker.Fault{}
	})
	f.mustRead(v, data, 200_000)
	if got := <-asked; got != "bytes=150000-199999" {
		t.Errorf("the next was asked for %s", got)
	}
}

func TestARungThatFailedIsAskedLastForAWhile(t *testing.T) {
	now := time.Unix(0, 0) // stands still
	f := newFixtureOf(t, 2, func(c *client.Config) { c.Clock = func() time.Time { return now } }, hasty)
	data := random(10, 1000)
	v := f.put("file", data)
	order := f.order(v)
	order[0].FailAlways(fakeworker.Fault{HangBefore: true})
	f.mustRead(v, data, 1000)
	before := order[0].Ranges.Load()
	f.mustRead(v, data, 1000)
	if got := order[0].Ranges.Load(); got != before {
		t.Errorf("a worker that hung was asked again at once")
	}
}

func TestPreviousOwnersAreAskedForWhatTheyHave(t *testing.T) {
	f := newFixture(t, 3)
	data := random(11, 1000)
	v := f.put("file", data)
	order := f.order(v)
	view := f.cluster.NewView(2)
	view.Ring.Epoch = 2
	// Before, there was only the worker that comes last now.
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
		t.Errorf("the previous owner was asked with %s %q", wire.HeaderOnlyIfCached, got)
	}
	f.eventually("somebody else gave the bytes", func() bool { return f.rungs(client.Other) > 0 })
}

func (f *fixture) eventually(what string, ok func() bool) {
	f.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.Fatalf("it does not come about that %s", what)
		}
	}
}

func TestAReadEndsWithItsContext(t *testing.T) {
	f := newFixture(t, 1)
	v := f.put("file", random(12, 5<<20))
	f.cluster.Workers[0].FailAlways(fakeworker.Fault{HangBefore: true})
	for _, offset := range []int64{0, 3 << 20} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := f.open(v).ReadAt(ctx, make([]byte, 1000), offset)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at %d: %v", offset, err)
		}
	}
}

// TestASlowStoreIsNotAskedByEverybody: an owner that has said that it gets the
// bytes is the only one to get them, for a while.
func TestASlowStoreIsNotAskedByEverybody(t *testing.T) {
	store := &memoryStore{}
	f := newFixture(t, 3, hasty, func(c *Config) { c.OpenStore = store.opener })
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
	asked := make(chan string, 10)
	for _, w := range order[1:] {
		w.Fail(func(_ int64, r *http.Request) fakeworker.Fault {
			asked <- r.Header.Get(wire.HeaderOnlyIfCached)
			return fakeworker.Fault{}
		})
	}
	f.mustRead(v, data, 1000)
	close(asked)
	peers := 0
	for cachedOnly := range asked {
		if peers++; cachedOnly != "1" {
			t.Error("another worker was to get the bytes from the store")
		}
	}
	if peers != 2 || store.gets != 0 || order[0].Ranges.Load() != 2 {
		t.Errorf("%d peers and the store %d times were asked, the owner %d times", peers, store.gets, order[0].Ranges.Load())
	}
}
