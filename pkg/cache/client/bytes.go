package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/ring"
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
	request, err := c.request(attempt.ctx, candidate, o, offset, int64(len(p)), terms.CachedOnly)
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
	c.noteHeader(w.name, o.Mount, response.Header)
	if response.StatusCode != http.StatusPartialContent {
		return 0, false, refusal(w.name, response)
	}
	if err := checkHeader(response, o, offset, int64(len(p))); err != nil {
		return 0, false, &Error{Worker: w.name, Kind: ErrGarbled, Message: err.Error()}
	}
	cached = response.Header.Get("Jindo-Source") == "cache"
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

func (c *Client) request(ctx context.Context, candidate Candidate, o Object, offset, length int64, cachedOnly bool) (*http.Request, error) {
	plain := "/v1/objects/" + o.Mount + "/" + o.Key
	target := url.URL{Scheme: "https", Host: candidate.worker.address, Path: plain, RawPath: objectPath(o.Mount, o.Key)}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+candidate.worker.address, nil)
	if err != nil {
		return nil, err
	}
	request.URL = &target
	h := request.Header
	h["If-Match"] = []string{`"` + o.ETag + `"`}
	h["Range"] = []string{"bytes=" + strconv.FormatInt(offset, 10) + "-" + strconv.FormatInt(offset+length-1, 10)}
	h["Jindo-Size"] = []string{strconv.FormatInt(o.Size, 10)}
	h["Jindo-Ring-Epoch"] = []string{strconv.FormatUint(c.ringEpoch(), 10)}
	if cachedOnly || candidate.Rung == Previous {
		h["Jindo-Only-If-Cached"] = []string{"1"}
	}
	return request, nil
}

// objectPath escapes each segment by itself: a key may have anything in it.
func objectPath(mount, key string) string {
	segments := strings.Split(key, "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return "/v1/objects/" + url.PathEscape(mount) + "/" + strings.Join(segments, "/")
}

// checkHeader makes sure that the bytes to come are those that were asked for.
func checkHeader(response *http.Response, o Object, offset, length int64) error {
	want := fmt.Sprintf("bytes %d-%d/%d", offset, offset+length-1, o.Size)
	if got := response.Header.Get("Content-Range"); got != want {
		return fmt.Errorf("Content-Range is %q, want %q", got, want)
	}
	if response.ContentLength != length {
		return fmt.Errorf("Content-Length is %d, want %d", response.ContentLength, length)
	}
	if got := strings.Trim(response.Header.Get("ETag"), `"`); got != o.ETag {
		return fmt.Errorf("the bytes are of version %q, want %q", got, o.ETag)
	}
	return nil
}

func (c *Client) noteHeader(worker, mount string, h http.Header) {
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(h.Get(name), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	c.note(worker, number("Jindo-Ring-Epoch"), mount, number("Jindo-Mount-Epoch"), number("Jindo-View-Index"))
}

// maxRefusal bounds the text of a refusal.
const maxRefusal = 64 << 10

// refusal reads why a worker sends no bytes.
func refusal(worker string, response *http.Response) *Error {
	var body struct{ Code, Message string }
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if err == nil {
		err = json.Unmarshal(raw, &body)
	}
	failure := &Error{Worker: worker, Kind: kindOfCode(body.Code), Message: body.Message}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		failure.RetryAfter = time.Duration(min(seconds, 3600)) * time.Second
	}
	if err != nil || body.Code == "" || !fits(response.StatusCode, failure.Kind) {
		// Whatever it is, it is not what a worker says about an object.
		failure.Kind = ErrUnavailable
		failure.Message = fmt.Sprintf("status %s, %.200q", response.Status, raw)
	}
	return failure
}

// fits guards what would make a version gone against a stray answer.
func fits(status int, kind error) bool {
	switch {
	case errors.Is(kind, ErrStale):
		return status == http.StatusPreconditionFailed
	case errors.Is(kind, ErrNotFound), errors.Is(kind, ErrNotCached), errors.Is(kind, ErrUnknownMount):
		return status == http.StatusNotFound
	}
	return status >= 400
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
