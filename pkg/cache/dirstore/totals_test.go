package dirstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// counted waits until no count is running and returns the totals.
func (f *fixture) counted() Totals {
	f.Helper()
	f.eventually("the count has ended", func() bool {
		f.store.Counted("m1")
		f.store.mu.Lock()
		defer f.store.mu.Unlock()
		return !f.store.counts["m1"].running
	})
	return f.store.Counted("m1")
}

// many returns a bucket of n objects.
func many(n int) *bucket {
	b := newBucket()
	for i := range n {
		b.put(fmt.Sprintf("key-%04d", i))
	}
	b.pageMax = 5
	return b
}

// TestLargeMountIsCountedOnce checks that a count ends at its budget, and that it
// is repeated rarely, whatever happens.
func TestLargeMountIsCountedOnce(t *testing.T) {
	f := newFixture(t, many(100), func(c *Config) { c.MaxCounted = 20 })
	f.store.Count(f.mount())
	got := f.counted()
	if got.Objects != 25 || !got.AtLeast || got.Bytes != 25*8 {
		t.Errorf("the totals are %+v, want at least 25 objects of 200 bytes", got)
	}
	requests := func() int { return f.bucket.requests("list") }
	if requests() != 5 {
		t.Errorf("the count made %d requests, want 5", requests())
	}
	quiet := func(what string) {
		t.Helper()
		before := requests()
		if again := f.counted(); again != got {
			t.Errorf("%s: the totals are %+v, want %+v", what, again, got)
		}
		if requests() != before {
			t.Errorf("%s: the mount was counted again, with %d requests", what, requests()-before)
		}
	}
	for range 100 {
		f.clock.turn(11 * time.Minute)
		quiet("after 11 minutes")
	}
	f.store.Count(f.mount(func(m *Mount) { m.Epoch = 2 }))
	quiet("with a new epoch")
	f.restart()
	f.store.Count(f.mount(func(m *Mount) { m.Epoch = 3 }))
	quiet("after a restart")
	// The first day is almost over.
	for _, hours := range []int{6, 48, 96, 192, 192} {
		before := requests()
		f.clock.turn(time.Duration(hours-1) * time.Hour)
		quiet(fmt.Sprintf("before %d hours", hours))
		f.clock.turn(time.Hour + time.Minute)
		f.counted()
		if n := requests() - before; n != 5 {
			t.Errorf("after %d hours the count made %d requests, want 5", hours, n)
		}
	}
	// A mount that has become small is counted completely.
	for i := range 95 {
		f.bucket.remove(fmt.Sprintf("key-%04d", i))
	}
	f.clock.turn(193 * time.Hour)
	if got := f.counted(); got.AtLeast || got.Objects != 5 {
		t.Errorf("the totals are %+v, want 5 objects", got)
	}
}

func TestBudgetOfRequestsAndTime(t *testing.T) {
	for name, change := range map[string]func(f *fixture){
		"requests": func(f *fixture) { f.config.CountRequests = 4 },
		"time": func(f *fixture) {
			f.config.CountTime = 4 * time.Minute
			f.bucket.hold = func(context.Context, string) { f.clock.turn(time.Minute) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, many(100))
			change(f)
			f.restart()
			f.store.Count(f.mount())
			if got := f.counted(); !got.AtLeast || got.Objects != 20 {
				t.Errorf("the totals are %+v, want at least 20 objects", got)
			}
		})
	}
}

// TestFailingCount checks that a count that fails is repeated less and less often,
// keeps what is known, and otherwise yields a lower bound.
func TestFailingCount(t *testing.T) {
	f := newFixture(t, many(100))
	broken := errors.New("broken")
	n := 0
	f.bucket.fail(func(context.Context, string, string) error {
		if n++; n > 3 {
			return broken
		}
		return nil
	})
	f.store.Count(f.mount())
	if got := f.counted(); got.Objects != 15 || !got.AtLeast {
		t.Errorf("the totals are %+v, want at least 15 objects", got)
	}
	for _, minutes := range []int{11, 21, 41, 81, 81} {
		before := f.bucket.requests("list")
		f.clock.turn(time.Duration(minutes-3) * time.Minute)
		f.counted()
		if f.bucket.requests("list") != before {
			t.Errorf("the count was repeated before %d minutes", minutes)
		}
		f.clock.turn(3 * time.Minute)
		if got := f.counted(); f.bucket.requests("list") != before+1 || got.Objects != 15 {
			t.Errorf("after %d minutes: %+v with %d requests", minutes, got, f.bucket.requests("list")-before)
		}
	}
	f.bucket.heal()
	f.store.Count(f.mount(func(m *Mount) { m.Epoch = 2 }))
	if got := f.counted(); got.Objects != 100 || got.AtLeast {
		t.Errorf("the totals are %+v, want 100 objects", got)
	}
}
