// Package retry implements the retry policy of the under-storage drivers: backoff
// with full jitter, and a budget shared by all requests of a store, so that
// retries do not multiply the load of a failing store. A Retry-After of the store
// delays all requests to it.
//
// Only [ufs.ErrThrottled] and [ufs.ErrUnavailable] are retried.
package retry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Policy configures a Retrier. Zero fields have the defaults named.
type Policy struct {
	// Attempts is the number of attempts, including the first: 5.
	Attempts int
	// Base and Cap of the backoff: before attempt n+1 the wait is random
	// between 0 and Base·2^(n-1), at most Cap. 100 ms and 5 s.
	Base, Cap time.Duration
	// The budget of retries is at most Burst (50), plus Refill per second (2), plus
	// PerSuccess (0.1) for every request that succeeds.
	Burst, Refill, PerSuccess float64
	// Now, Sleep and Random are for tests. Random returns a value in [0, 1).
	Now    func() time.Time
	Sleep  func(ctx context.Context, d time.Duration) error
	Random func() float64
}

// Retrier applies a Policy for one store. Safe for concurrent use.
type Retrier struct {
	policy Policy

	mu       sync.Mutex
	tokens   float64
	refilled time.Time
	// notBefore is when a throttling store accepts the next request.
	notBefore time.Time
}

// New returns a Retrier with a full budget.
func New(p Policy) *Retrier {
	setDefault(&p.Attempts, 5)
	setDefault(&p.Base, 100*time.Millisecond)
	setDefault(&p.Cap, 5*time.Second)
	setDefault(&p.Burst, 50)
	setDefault(&p.Refill, 2)
	setDefault(&p.PerSuccess, 0.1)
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Sleep == nil {
		p.Sleep = sleep
	}
	if p.Random == nil {
		p.Random = rand.Float64
	}
	return &Retrier{policy: p, tokens: p.Burst, refilled: p.Now()}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// finalError marks an error that is not retried although its kind is.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// Final marks an error that another attempt cannot change.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

// IsFinal reports whether an error was marked by Final.
func IsFinal(err error) bool {
	var final *finalError
	return errors.As(err, &final)
}

// afterError carries the wait that the store requested.
type afterError struct {
	error
	wait time.Duration
}

func (e *afterError) Unwrap() error { return e.error }

// After marks an error with the wait that the store requested.
func After(err error, wait time.Duration) error { return &afterError{error: err, wait: wait} }

// maxWait limits the wait that a store can request.
const maxWait = time.Minute

// Retryable reports whether another attempt could succeed.
func Retryable(err error) bool {
	if err == nil || IsFinal(err) {
		return false
	}
	return errors.Is(err, ufs.ErrThrottled) || errors.Is(err, ufs.ErrUnavailable)
}

// Do calls try until it succeeds, until it fails permanently, or until the
// attempts, the budget or the context are exhausted. It returns immediately if
// the context would end before the next attempt. The error is that of the last
// attempt, wrapped in the context's error if that ended.
func (r *Retrier) Do(ctx context.Context, try func(ctx context.Context) error) error {
	var last error
	for attempt := 1; ; attempt++ {
		if err := r.waitTurn(ctx, last); err != nil {
			return err
		}
		err := try(ctx)
		if err == nil {
			r.earn()
			return nil
		}
		wait := r.noteRetryAfter(err)
		if ended := ctx.Err(); ended != nil {
			return joinContext(ended, err)
		}
		if !Retryable(err) || attempt >= r.policy.Attempts || !r.Spend() {
			return err
		}
		last = err
		if err := r.pause(ctx, wait+r.backoff(attempt), err); err != nil {
			return err
		}
	}
}

// joinContext wraps the error of the last attempt in the context's error.
func joinContext(ended, err error) error {
	if errors.Is(err, ended) {
		return err
	}
	return fmt.Errorf("%w while %w", ended, err)
}

// backoff returns the random wait before the next attempt.
func (r *Retrier) backoff(attempt int) time.Duration {
	bound := min(r.policy.Base<<min(attempt-1, 20), r.policy.Cap)
	return time.Duration(r.policy.Random() * float64(bound))
}

// noteRetryAfter records the wait that the store requested, for all requests, and
// returns it; 0 if there is none.
func (r *Retrier) noteRetryAfter(err error) time.Duration {
	var after *afterError
	if !errors.As(err, &after) || after.wait <= 0 {
		return 0
	}
	wait := min(after.wait, maxWait)
	r.mu.Lock()
	defer r.mu.Unlock()
	if until := r.policy.Now().Add(wait); until.After(r.notBefore) {
		r.notBefore = until
	}
	return wait
}

// waitTurn waits until the store accepts requests again.
func (r *Retrier) waitTurn(ctx context.Context, last error) error {
	r.mu.Lock()
	wait := r.notBefore.Sub(r.policy.Now())
	r.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	if last == nil {
		last = fmt.Errorf("the store accepts no requests for %v: %w", wait.Round(time.Millisecond), ufs.ErrThrottled)
	}
	// Jitter, so that waiting requests are not sent at the same time.
	return r.pause(ctx, wait+time.Duration(r.policy.Random()*float64(r.policy.Base)), last)
}

// pause waits, or returns err if the context would end first.
func (r *Retrier) pause(ctx context.Context, d time.Duration, err error) error {
	if deadline, has := ctx.Deadline(); has && deadline.Sub(r.policy.Now()) <= d {
		return err
	}
	if ended := r.policy.Sleep(ctx, d); ended != nil {
		return joinContext(ended, err)
	}
	return nil
}

// Spend takes one retry from the budget and reports whether there was one.
func (r *Retrier) Spend() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.policy.Now()
	if since := now.Sub(r.refilled); since > 0 {
		r.tokens = min(r.policy.Burst, r.tokens+since.Seconds()*r.policy.Refill)
	}
	r.refilled = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}

func (r *Retrier) earn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = min(r.policy.Burst, r.tokens+r.policy.PerSuccess)
}
