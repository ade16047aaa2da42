package client

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Rung is the role of a worker for a range of bytes: a step of the order in
// which a reader tries its sources.
type Rung string

// The rungs that are workers.
const (
	// Owner is the owner by the current ring.
	Owner Rung = "owner"
	// Previous is the owner by a previous ring; it is used for cached bytes only.
	Previous Rung = "previous"
	// Other is any other worker; it reads the store if needed.
	Other Rung = "other"
)

// Candidate is a worker that can serve a range, with its rung.
type Candidate struct {
	Rung   Rung
	worker *worker
}

// Worker returns the worker's name.
func (c Candidate) Worker() string { return c.worker.name }

// Admit reports whether the worker should be used in its turn. It is false for a
// worker that failed recently, except for one attempt after each pause.
func (c Candidate) Admit() bool { return c.worker.admit(ranges) }

// Candidates returns the workers for the byte of an object at an offset, in the
// order in which to try them. It is empty while no worker is known.
func (c *Client) Candidates(o Object, offset int64) []Candidate {
	v := c.current.Load()
	stripe := int64(0)
	if v != nil {
		stripe = v.ring.Stripe(offset)
	}
	key := ring.ObjectKey(o.Mount, o.Key, o.ETag, o.Size, stripe)
	order := c.ordered(key)
	out := make([]Candidate, 0, len(order)+2)
	add := func(rung Rung, i int) {
		if w, err := c.worker(order[i]); err == nil {
			out = append(out, Candidate{rung, w})
		}
	}
	if len(order) > 0 {
		add(Owner, 0)
	}
	added := map[string]bool{}
	if v != nil {
		for _, previous := range v.previous {
			before := previous.Order(ring.ObjectKey(o.Mount, o.Key, o.ETag, o.Size, previous.Stripe(offset)))
			for i, m := range order {
				if len(before) > 0 && i > 0 && m.GetName() == before[0].GetName() && !added[m.GetName()] {
					added[m.GetName()] = true
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

// Terms are the limits of one attempt.
type Terms struct {
	// Silence is the longest time without a header or a byte.
	Silence time.Duration
	// Total is the longest time of the attempt.
	Total time.Duration
	// CachedOnly requests cached bytes only. Previous owners are always
	// requested so.
	CachedOnly bool
	// Progress, unless nil, is called after every n bytes.
	Progress func(n int)
}

// Fetch fills a destination with the object's bytes from offset on, in one attempt
// at one worker, or at one worker for each stripe. It returns the number of bytes
// received, and an error unless that is to.Len(); the bytes received are valid in
// both cases. The range must be within the object. cached reports whether the
// workers had the bytes cached. The error is an [*Error], or wraps the error of the
// context or of the destination.
func (c *Client) Fetch(ctx context.Context, candidate Candidate, o Object, offset int64, to Destination, terms Terms) (n int, cached bool, err error) {
	if eligible(o, offset, to.Len()) && !terms.CachedOnly && candidate.Rung != Previous {
		if object, ok := c.small.take(ctx, o, terms.Silence); ok {
			n, err := fill(ctx, to, object, terms)
			c.copies.read(o, offset, n)
			return n, true, err
		}
	}
	end := offset + int64(to.Len())
	whole := &memory{Destination: to}
	cached = true
	for at := offset; ; {
		part := int(min(c.stripeEnd(o, at), end) - at)
		m, hit, err := c.fetchStripe(ctx, candidate, o, at, &section{whole, n, part}, terms)
		c.copies.read(o, at, m)
		if at == 0 && m > 0 {
			c.copies.beginning(o, whole.p[:m])
		}
		n, at, cached = n+m, at+int64(m), cached && hit
		if err != nil || at == end {
			return n, cached, err
		}
		candidate = c.following(candidate, o, at)
	}
}

// stripeEnd returns the end of the stripe of an object with the byte at offset.
func (c *Client) stripeEnd(o Object, offset int64) int64 {
	if v := c.current.Load(); v != nil {
		return v.ring.StripeEnd(offset, o.Size)
	}
	return o.Size
}

// following returns the candidate for the stripe after the one of a candidate.
func (c *Client) following(candidate Candidate, o Object, offset int64) Candidate {
	if candidate.Rung != Owner {
		return candidate // Any worker can serve any stripe.
	}
	for _, next := range c.Candidates(o, offset) {
		if next.Admit() {
			return next
		}
	}
	return candidate
}

// fetchStripe is Fetch for a range within one stripe.
func (c *Client) fetchStripe(ctx context.Context, candidate Candidate, o Object, offset int64, to Destination, terms Terms) (n int, cached bool, err error) {
	w := candidate.worker
	attempt := newAttempt(ctx, terms)
	defer attempt.end()
	wanted := wire.Request{
		Mount: o.Mount, Key: o.Key, ETag: o.ETag, Size: o.Size, First: offset, Last: offset + int64(to.Len()) - 1,
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
	attempt.gotHeader()
	if response.StatusCode != http.StatusPartialContent {
		failure, shows := refusal(w.name, response)
		w.record(ranges, shows)
		if shows == alive {
			c.noteHeader(w.name, o.Mount, response.Header)
		}
		return 0, false, failure
	}
	content, err := wire.ContentFor(response, wanted)
	if err != nil {
		w.record(ranges, bad)
		return 0, false, &Error{Worker: w.name, Kind: ErrGarbled, Message: err.Error()}
	}
	w.record(ranges, alive)
	c.noteHeader(w.name, o.Mount, response.Header)
	cached = content.Source == wire.SourceCache
	n, err = attempt.receive(response.Body, to, terms.Progress)
	switch {
	case err == nil:
		return n, cached, nil
	case errors.Is(err, errDestination):
		return n, cached, fmt.Errorf("read from worker %s: %w", w.name, err)
	}
	return n, cached, attempt.failed(w, fmt.Errorf("received %d of %d bytes: %w", n, to.Len(), err))
}

// fill copies an object into a destination.
func fill(ctx context.Context, to Destination, object []byte, terms Terms) (int, error) {
	p, err := to.Memory(ctx)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errDestination, err)
	}
	n := copy(p, object)
	if terms.Progress != nil {
		terms.Progress(n)
	}
	return n, nil
}

// errDestination marks an error of a destination, which is not the worker's.
var errDestination = errors.New("no memory for the bytes")

// receive reads a body into a destination, and returns the number of bytes and an
// error unless that is its length.
func (a *attempt) receive(body io.Reader, to Destination, progress func(int)) (n int, err error) {
	return Receive(a.ctx, body, untimed{to, a}, func(n int) {
		a.progress()
		if progress != nil {
			progress(n)
		}
	})
}

// untimed is a destination whose wait for memory is not the worker's silence, nor
// its time.
type untimed struct {
	Destination
	attempt *attempt
}

// Memory marks an error with errDestination.
func (u untimed) Memory(ctx context.Context) ([]byte, error) {
	u.attempt.silence.Stop()
	u.attempt.total.Stop()
	defer u.attempt.total.Reset(u.attempt.most)
	p, err := u.Destination.Memory(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDestination, err)
	}
	return p, nil
}

// noteHeader compares the epochs in a response with the view.
func (c *Client) noteHeader(worker, mount string, h http.Header) {
	epochs := wire.EpochsOf(h)
	c.note(worker, epochs.Ring, mount, epochs.Mount, epochs.View)
}

// refusal decodes a response without bytes.
func refusal(worker string, response *http.Response) (*Error, evidence) {
	f, err := wire.ReadFailure(response)
	failure := &Error{Worker: worker, Kind: kindOfCode(f.Code), Message: f.Message, RetryAfter: f.RetryAfter}
	if err == nil {
		return failure, alive
	}
	// Not a response of a worker: it must not make the version stale.
	shows, kind := kindOfRefusal(response.StatusCode)
	failure.Kind, failure.Message = kind, err.Error()
	return failure, shows
}

// attempt holds the timers of one attempt.
type attempt struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	parent  context.Context
	silence *time.Timer
	total   *time.Timer
	// limit is the limit of silence, most that of the whole attempt.
	limit, most time.Duration
	// responded is set once the header was received.
	responded bool
}

func newAttempt(parent context.Context, terms Terms) *attempt {
	a := &attempt{parent: parent, limit: terms.Silence, most: terms.Total}
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

// gotHeader records that the header was received.
func (a *attempt) gotHeader() {
	a.responded = true
	a.progress()
}

func (a *attempt) end() {
	a.silence.Stop()
	a.total.Stop()
	a.cancel(nil)
}

// failed returns the error of an attempt that ended early, and records the
// failure of the worker.
func (a *attempt) failed(w *worker, err error) error {
	failure := &Error{Worker: w.name, Kind: ErrUnreachable, Message: err.Error()}
	switch cause := context.Cause(a.ctx); {
	case a.parent.Err() != nil:
		// The end of the caller's context says nothing about the worker.
		return fmt.Errorf("read from worker %s: %w", w.name, context.Cause(a.parent))
	case errors.Is(cause, ErrStalled):
		failure.Kind, failure.Message, failure.Responded = ErrStalled, fmt.Sprintf("%v; %v", cause, err), a.responded
	}
	if !a.responded {
		w.record(ranges, bad)
	}
	// After the header, the worker waits for the store, or ends a response whose
	// bytes the store does not send. If the worker itself has ended, the next
	// connection is refused.
	return failure
}
