package session

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// renewAfter is the pause after which a request gets a budget of its own: it is
// then a new attempt of a command that polls, and not the next step of one that
// is stuck.
const renewAfter = 500 * time.Millisecond

// budget bounds how long a command waits for an API server that does not respond.
// All requests of the command share it: it starts with a request and ends with
// the next response, so that the timeouts of several requests do not add up, and
// an API server that is slow but responds is never cut off.
type budget struct {
	limit, renewAfter time.Duration
	now               func() time.Time

	mu sync.Mutex
	// since is the start of the first request after the last response, or zero.
	since time.Time
	// ended is when the last request ended that got no response.
	ended   time.Time
	pending int
}

func newBudget(limit time.Duration) *budget {
	return &budget{limit: limit, renewAfter: renewAfter, now: time.Now}
}

// begin records a request and returns how long it may wait for its response. A
// request that may not wait at all is not recorded.
func (b *budget) begin() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if b.since.IsZero() || b.pending == 0 && now.Sub(b.ended) >= b.renewAfter {
		b.since = now
	}
	wait := b.since.Add(b.limit).Sub(now)
	if wait > 0 {
		b.pending++
	}
	return wait
}

// end records that a request of begin got its response, or did not.
func (b *budget) end(responded bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending--
	if responded {
		b.since = time.Time{}
		return
	}
	b.ended = b.now()
}

// wrap makes the requests of a transport share the budget.
func (b *budget) wrap(next http.RoundTripper) http.RoundTripper {
	return &budgetTransport{budget: b, next: next}
}

type budgetTransport struct {
	budget *budget
	next   http.RoundTripper
}

var _ utilnet.RoundTripperWrapper = (*budgetTransport)(nil)

// RoundTrip implements http.RoundTripper. The budget ends with the header of the
// response; its body, which may be a watch, is not bounded.
func (t *budgetTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return t.next.RoundTrip(r) // the connection is taken over by the caller
	}
	wait := t.budget.begin()
	if wait <= 0 {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, errNoResponse{}
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(wait, func() { cancel(errNoResponse{}) })
	response, err := t.next.RoundTrip(r.WithContext(ctx))
	timer.Stop()
	t.budget.end(err == nil)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	response.Body = &body{ReadCloser: response.Body, done: func() { cancel(nil) }}
	return response, nil
}

// WrappedRoundTripper implements utilnet.RoundTripperWrapper.
func (t *budgetTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

// body releases the context of its request when it is closed.
type body struct {
	io.ReadCloser
	done func()
}

// Close implements io.Closer.
func (b *body) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}

// errNoResponse is the error of requests that the budget ended. It is a timeout
// in the sense of net.Error.
type errNoResponse struct{}

func (errNoResponse) Error() string   { return "no response within the request timeout" }
func (errNoResponse) Timeout() bool   { return true }
func (errNoResponse) Temporary() bool { return true }
