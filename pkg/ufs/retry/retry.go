// Package retry is the one retry policy of the under-storage drivers: backoff
// with full jitter, a budget shared by all requests of a store so that retries
// do not multiply the load of a store in trouble, and obedience to a store
// that says when to come back.
//
// Only [ufs.ErrThrottled] and [ufs.ErrUnavailable] are worth another attempt.
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

// Policy of a Retrier. Zero fields take the defaults.
type Policy struct {
	// Attempts in all, the first included; 5.
	Attempts int
	// Base and Cap of the backoff: before attempt n+1 the wait is random
	// between 0 and Base·2^(n-1), at most Cap. 100 ms and 5 s.
	Base, Cap time.Duration
	// Budget of retries: Burst at once (50), Refill a second (2), and
	// PerSuccess (0.1) for every request that succeeds.
	Burst, Refill, PerSuccess float64
	// Now, Sleep and Random are replaced by tests. Random answers [0, 1).
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
	// notBefore is when a throttling store asked to be asked again.
	notBefore time.Time
}

// New makes a Retrier with a full budget.
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

// finalError is not worth another attempt although its kind is.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// Final marks an error that another attempt cannot mend.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

// IsFinal says whether an error is marked so.
func IsFinal(err error) bool {
	var final *finalError
	return errors.As(err, &final)
}

// afterError carries the wait that the store asked for.
type afterError struct {
	error
	wait time.Duration
}

func (e *afterError) Unwrap() error { return e.error }

// After marks an error with the wait that the store asked for.
func After(err error, wait time.Duration) error { return &afterError{error: err, wait: wait} }

// maxWait bounds what a store can ask for.
const maxWait = time.Minute

// Retryable says whether another attempt could succeed.
func Retryable(err error) bool {
	if err == nil || IsFinal(err) {
		return false
	}
	return errors.Is(err, ufs.ErrThrottled) || errors.Is(err, ufs.ErrUnavailable)
}

// Do calls try until it succeeds, fails for good, or the attempts, the budget
// or the context are used up. It gives up at once when the context would end
// before the next attempt. The error is try's last; the context's when that
// ended.
func (r *Retrier) Do(ctx context.Context, try func(ctx context.Context) error) error {
	var last error
	for attempt := 1; ; attempt++ {
		if err := r.hold(ctx, last); err != nil {
			return err
		}
		err := try(ctx)
		if err == nil {
			r.earn()
			return nil
		}
		asked := r.obey(err)
		if ended := ctx.Err(); ended != nil {
			return both(ended, err)
		}
		if !Retryable(err) || attempt >= r.policy.Attempts || !r.Spend() {
			return err
		}
		last = err
		if err := r.pause(ctx, asked+r.backoff(attempt), err); err != nil {
			return err
		}
	}
}

// both keeps the context's error and what was going on.
func both(ended, err error) error {
	if errors.Is(err, ended) {
		return err
	}
	return fmt.Errorf("%w while %w", ended, err)
}

// backoff before the next attempt.
func (r *Retrier) backoff(attempt int) time.Duration {
	bound := min(r.policy.Base<<min(attempt-1, 20), r.policy.Cap)
	return time.Duration(r.policy.Random() * float64(bound))
}

// obey notes when the store wants to be asked again, for all requests, and
// answers how long that is from now.
func (r *Retrier) obey(err error) time.Duration {
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

// hold waits until the store wants to be asked again.
func (r *Retrier) hold(ctx context.Context, last error) error {
	r.mu.Lock()
	wait := r.notBefore.Sub(r.policy.Now())
	r.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	if last == nil {
		last = fmt.Errorf("the store asked to be left alone for another %v: %w", wait.Round(time.Millisecond), ufs.ErrThrottled)
	}
	// Those that waited do not all come back in the same instant.
	return r.pause(ctx, wait+time.Duration(r.policy.Random()*float64(r.policy.Base)), last)
}

// pause fails with err when the context would not outlast it.
func (r *Retrier) pause(ctx context.Context, d time.Duration, err error) error {
	if deadline, has := ctx.Deadline(); has && deadline.Sub(r.policy.Now()) <= d {
		return err
	}
	if ended := r.policy.Sleep(ctx, d); ended != nil {
		return both(ended, err)
	}
	return nil
}

// Spend takes one retry from the budget and says whether there was one.
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
