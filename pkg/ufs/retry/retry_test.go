package retry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
)

// fakeTime is a clock that advances only by sleeping.
type fakeTime struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (w *fakeTime) policy() retry.Policy {
	return retry.Policy{
		Now:    func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now },
		Random: func() float64 { return 0.5 },
		Sleep: func(ctx context.Context, d time.Duration) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.now = w.now.Add(d)
			w.slept = append(w.slept, d)
			return ctx.Err()
		},
	}
}

func newFakeTime() *fakeTime { return &fakeTime{now: time.Unix(1e9, 0)} }

// failing returns a function that fails with err until the nth attempt.
func failing(n int, err error) (*int, func(context.Context) error) {
	attempts := 0
	return &attempts, func(context.Context) error {
		attempts++
		if attempts > n {
			return nil
		}
		return err
	}
}

func TestRetriedErrors(t *testing.T) {
	other := errors.New("other")
	for _, test := range []struct {
		name     string
		err      error
		attempts int
	}{
		{"unavailable", fmt.Errorf("x: %w", ufs.ErrUnavailable), 5},
		{"throttled", ufs.ErrThrottled, 5},
		{"not found", ufs.ErrNotFound, 1},
		{"permission", ufs.ErrPermission, 1},
		{"precondition", ufs.ErrPrecondition, 1},
		{"unknown", other, 1},
		{"final", retry.Final(ufs.ErrUnavailable), 1},
		{"final within", fmt.Errorf("x: %w", retry.Final(ufs.ErrUnavailable)), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			attempts, try := failing(1000, test.err)
			err := retry.New(newFakeTime().policy()).Do(t.Context(), try)
			if *attempts != test.attempts || !errors.Is(err, test.err) {
				t.Errorf("%d attempts, %v", *attempts, err)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	w := newFakeTime()
	p := w.policy()
	p.Attempts, p.Cap = 8, time.Second
	attempts, try := failing(1000, ufs.ErrUnavailable)
	_ = retry.New(p).Do(t.Context(), try)
	want := []time.Duration{50, 100, 200, 400, 500, 500, 500} // ms; half of the bound
	if *attempts != 8 || len(w.slept) != len(want) {
		t.Fatalf("%d attempts, slept %v", *attempts, w.slept)
	}
	for i, ms := range want {
		if w.slept[i] != ms*time.Millisecond {
			t.Errorf("before attempt %d slept %v, want %d ms", i+2, w.slept[i], ms)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	w := newFakeTime()
	r := retry.New(w.policy())
	attempts, try := failing(1, retry.After(ufs.ErrThrottled, 7*time.Second))
	if err := r.Do(t.Context(), try); err != nil || *attempts != 2 {
		t.Fatalf("%d attempts, %v", *attempts, err)
	}
	if waited := w.now.Sub(time.Unix(1e9, 0)); waited < 7*time.Second || waited > 8*time.Second {
		t.Errorf("retried after %v", waited)
	}
}

// TestRetryAfterHoldsOthers checks that a Retry-After delays every request to the
// store, not only the one that received it.
func TestRetryAfterHoldsOthers(t *testing.T) {
	w := newFakeTime()
	p := w.policy()
	p.Attempts = 1
	r := retry.New(p)
	_, delayed := failing(1, retry.After(ufs.ErrThrottled, 10*time.Second))
	if err := r.Do(t.Context(), delayed); !errors.Is(err, ufs.ErrThrottled) {
		t.Fatalf("got %v", err)
	}
	sent := w.now
	var when time.Time
	if err := r.Do(t.Context(), func(context.Context) error { when = w.now; return nil }); err != nil {
		t.Fatal(err)
	}
	if when.Sub(sent) < 10*time.Second {
		t.Errorf("another request was sent after %v", when.Sub(sent))
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	w := newFakeTime()
	attempts, try := failing(1, retry.After(ufs.ErrThrottled, 24*time.Hour))
	if err := retry.New(w.policy()).Do(t.Context(), try); err != nil || *attempts != 2 {
		t.Fatalf("%d attempts, %v", *attempts, err)
	}
	if waited := w.now.Sub(time.Unix(1e9, 0)); waited > 2*time.Minute {
		t.Errorf("waited %v because of Retry-After", waited)
	}
}

// TestBudget checks that an outage costs a fixed number of retries, not a multiple
// of the requests.
func TestBudget(t *testing.T) {
	w := newFakeTime()
	p := w.policy()
	p.Burst, p.Refill, p.Base = 20, 1e-9, time.Nanosecond
	r := retry.New(p)
	sent := 0
	for range 500 {
		_ = r.Do(t.Context(), func(context.Context) error { sent++; return ufs.ErrUnavailable })
	}
	if sent != 520 {
		t.Errorf("500 requests were sent as %d", sent)
	}
	for range 100 { // successes earn retries again
		_ = r.Do(t.Context(), func(context.Context) error { return nil })
	}
	sent = 0
	_ = r.Do(t.Context(), func(context.Context) error { sent++; return ufs.ErrUnavailable })
	if sent != 5 {
		t.Errorf("%d attempts after the store came back", sent)
	}
}

func TestBudgetRefillsWithTime(t *testing.T) {
	w := newFakeTime()
	p := w.policy()
	p.Burst, p.Refill, p.Base = 1, 1, time.Nanosecond
	r := retry.New(p)
	if !r.Spend() || r.Spend() {
		t.Fatal("a budget of one did not hold one")
	}
	w.now = w.now.Add(time.Second)
	if !r.Spend() || r.Spend() {
		t.Error("a second did not bring one back")
	}
}

func TestDeadline(t *testing.T) {
	w := newFakeTime()
	ctx, cancel := context.WithDeadline(t.Context(), w.now.Add(20*time.Millisecond))
	defer cancel()
	// The context is over by the real clock. No sleep may exceed it, and the
	// store's own error must be returned.
	attempts, try := failing(1000, ufs.ErrUnavailable)
	err := retry.New(w.policy()).Do(ctx, try)
	if *attempts != 1 || len(w.slept) != 0 || !errors.Is(err, ufs.ErrUnavailable) {
		t.Errorf("%d attempts, slept %v, %v", *attempts, w.slept, err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := retry.New(newFakeTime().policy()).Do(ctx, func(context.Context) error {
		cancel()
		return ufs.ErrUnavailable
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestConcurrent(t *testing.T) {
	r := retry.New(retry.Policy{Base: time.Microsecond, Burst: 10})
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for j := range 50 {
				_ = r.Do(t.Context(), func(context.Context) error {
					if (i+j)%3 == 0 {
						return ufs.ErrUnavailable
					}
					return nil
				})
			}
		})
	}
	group.Wait()
}
