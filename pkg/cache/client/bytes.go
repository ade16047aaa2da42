package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/ring"
	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// Object is one version of an object's bytes.
type Object struct {
	Mount string
	Key   string
	ETag  string
	Size  int64
}

// Rung is what a worker is to a range of bytes.
type Rung string

// The rungs of the ladder that are workers.
const (
	// Owner by the ring.
	Owner Rung = "owner"
	// Previous owner, by a ring before; asked for cached bytes only.
	Previous Rung = "previous"
	// Other workers get the bytes from the store if need be.
	Other Rung = "other"
)

// Candidate is a worker to ask for a range, and as what.
type Candidate struct {
	Rung   Rung
	worker *worker
}

// Worker is its name.
func (c Candidate) Worker() string { return c.worker.name }

// Admit tells whether the worker is to be asked in its turn: it is not known
// to be unreachable, or it is time that somebody tried.
func (c Candidate) Admit() bool { return c.worker.admit(ranges) }

// Candidates for the byte of an object at an offset, in the order of the
// ladder. Empty while no worker is known.
func (c *Client) Candidates(o Object, offset int64) []Candidate {
	v := c.current.Load()
	stripe := int64(0)
	if v != nil {
		stripe = v.ring.Stripe(offset)
	}
	key := ring.ObjectKey(o.Mount, o.Key, o.ETag, o.Size, stripe)
	order := c.everybody(key)
	out := make([]Candidate, 0, len(order)+2)
	add := func(rung Rung, i int) {
		if w, err := c.worker(order[i]); err == nil {
			out = append(out, Candidate{rung, w})
		}
	}
	if len(order) > 0 {
		add(Owner, 0)
	}
	asked := map[string]bool{}
	if v != nil {
		for _, previous := range v.previous {
			before := previous.Order(ring.ObjectKey(o.Mount, o.Key, o.ETag, o.Size, previous.Stripe(offset)))
			for i, m := range order {
				if len(before) > 0 && i > 0 && m.GetName() == before[0].GetName() && !asked[m.GetName()] {
					asked[m.GetName()] = true
					add(Previous, i)
				}
			}
		}
	}
	for i := 1; i < len(order); i++ {
		add(Other, i)
	}
	return out
}

// Terms of one attempt.
type Terms struct {
	// Silence: how long the worker may send nothing, neither header nor byte.
	Silence time.Duration
	// Total time of the attempt.
	Total time.Duration
	// CachedOnly refuses bytes that the worker would have to get first. A
	// previous owner is never asked for others.
	CachedOnly bool
	// Progress, unless nil, is told of every n bytes that are in place.
	Progress func(n int)
}

// Fetch fills p with the object's bytes from offset on: one attempt at one
// worker. It answers how many bytes it got, and an error unless that is all;
// those bytes are good even so. The range must lie within the object. cached
// tells that the worker had the bytes. The error is an [*Error], or wraps the
// context's.
func (c *Client) Fetch(ctx context.Context, candidate Candidate, o Object, offset int64, p []byte, terms Terms) (n int, cached bool, err error) {
	w := candidate.worker
	attempt := newAttempt(ctx, terms)
	defer attempt.end()
	wanted := wire.Request{
		Mount: o.Mount, Key: o.Key, ETag: o.ETag, Size: o.Size, First: offset, Last: offset + int64(len(p)) - 1,
		OnlyIfCached: terms.CachedOnly || candidate.Rung == Previous, RingEpoch: c.ringEpoch(),
	}
	request, err := wire.NewHTTPRequest(attempt.ctx, w.address, wanted)
	if err != nil {
		return 0, false, &Error{Worker: w.name, Kind: ErrInvalid, Message: err.Error()}
	}
	response, err := w.http.Do(request)
	if err != nil {
		return 0, false, attempt.failed(w, err)
	}
	defer func() { _ = response.Body.Close() }()
	w.succeeded(ranges)
	attempt.heard()
	epochs := wire.EpochsOf(response.Header)
	c.note(w.name, epochs.Ring, o.Mount, epochs.Mount, epochs.View)
	if response.StatusCode != http.StatusPartialContent {
		return 0, false, refusal(w.name, response)
	}
	content, err := wire.ContentFor(response, wanted)
	if err != nil {
		return 0, false, &Error{Worker: w.name, Kind: ErrGarbled, Message: err.Error()}
	}
	cached = content.Source == wire.SourceCache
	for n < len(p) {
		m, err := response.Body.Read(p[n:])
		if m > 0 {
			n += m
			attempt.progress()
			if terms.Progress != nil {
				terms.Progress(m)
			}
		}
		if err != nil && n < len(p) {
			return n, cached, attempt.failed(w, fmt.Errorf("after %d of %d bytes: %w", n, len(p), err))
		}
	}
	return n, cached, nil
}

// refusal reads why a worker sends no bytes.
func refusal(worker string, response *http.Response) *Error {
	f, err := wire.ReadFailure(response)
	failure := &Error{Worker: worker, Kind: kindOfCode(f.Code), Message: f.Message, RetryAfter: f.RetryAfter}
	if err != nil {
		// Not a response of a worker: it must not make the version stale.
		failure.Kind, failure.Message = ErrUnavailable, err.Error()
	}
	return failure
}

// attempt is the time that one attempt has.
type attempt struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	parent  context.Context
	silence *time.Timer
	total   *time.Timer
	limit   time.Duration
	// answered: the worker is there, and only its bytes are late.
	answered bool
}

func newAttempt(parent context.Context, terms Terms) *attempt {
	a := &attempt{parent: parent, limit: terms.Silence}
	a.ctx, a.cancel = context.WithCancelCause(parent)
	a.silence = time.AfterFunc(terms.Silence, func() {
		a.cancel(fmt.Errorf("%w for %s", ErrStalled, terms.Silence))
	})
	a.total = time.AfterFunc(terms.Total, func() {
		a.cancel(fmt.Errorf("%w: too slow for %s", ErrStalled, terms.Total))
	})
	return a
}

func (a *attempt) progress() { a.silence.Reset(a.limit) }

// heard notes that the header came.
func (a *attempt) heard() {
	a.answered = true
	a.progress()
}

func (a *attempt) end() {
	a.silence.Stop()
	a.total.Stop()
	a.cancel(nil)
}

// failed says why an attempt ended early, and notes it of the worker.
func (a *attempt) failed(w *worker, err error) error {
	failure := &Error{Worker: w.name, Kind: ErrUnreachable, Message: err.Error()}
	switch cause := context.Cause(a.ctx); {
	case a.parent.Err() != nil:
		// The reader's own end says nothing about the worker.
		return fmt.Errorf("asking worker %s: %w", w.name, context.Cause(a.parent))
	case errors.Is(cause, ErrStalled):
		failure.Kind, failure.Message = ErrStalled, fmt.Sprintf("%v; %v", cause, err)
		if failure.Answered = a.answered; a.answered {
			// It waits for the store itself, and is still the best to ask next.
			return failure
		}
	}
	w.failed()
	return failure
}
