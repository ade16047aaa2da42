package ossserver

import (
	"io"
	"net/http"
	"time"
)

// Request describes a request to the function that chooses a fault.
type Request struct {
	Kind   Kind
	Bucket string
	Key    string
	// Range of the request, "bytes=0-99"; empty for none.
	Range string
	// Number of the request among those of its kind, starting with 1.
	Number int64
}

// Fault is applied to a request. Fields can be combined: a delay, then a throttled
// body that is cut.
type Fault struct {
	// Delay is the time before the response. It ends with the request.
	Delay time.Duration
	// Hang sends no response until the client disconnects.
	Hang bool
	// Drop closes the connection without a response.
	Drop bool
	// Status, if not 0, is sent with Code and Message, which have defaults for
	// common statuses.
	Status  int
	Code    string
	Message string
	// RetryAfter is sent with Status.
	RetryAfter time.Duration
	// Cut ends the body after CutAfter bytes and closes the connection,
	// although Content-Length is larger.
	Cut      bool
	CutAfter int64
	// Stall stops the body after StallAfter bytes until the client disconnects.
	Stall      bool
	StallAfter int64
	// BytesPerSecond of the body; 0 is unlimited.
	BytesPerSecond int64
	// NoToken ends a listing of more than one name in its middle, truncated and
	// without a token.
	NoToken bool
	// WeakTags sends the entity tags of objects as weak ones. A request with a weak
	// If-Match is refused, as RFC 9110 requires.
	WeakTags bool
	// Shift sends a range that begins this many bytes later than requested, with a
	// header that says so.
	Shift int64
	// Corrupt inverts a bit of the body's first byte.
	Corrupt bool
	// Lose handles the request and then drops the connection, so that the client
	// does not learn the outcome.
	Lose bool
}

// SetFault makes decide choose the fault of each request before it is handled; nil,
// or a nil Fault, means none. decide is called concurrently.
func (s *Server) SetFault(decide func(Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = decide
}

// interfere applies a fault, and reports whether the request is finished.
func (s *Server) interfere(w *response, r *http.Request, c call) bool {
	s.mu.Lock()
	decide := s.fault
	s.mu.Unlock()
	if decide == nil {
		return false
	}
	f := decide(Request{Kind: c.kind, Bucket: c.bucket, Key: c.key, Range: r.Header.Get("Range"), Number: s.counts.number(c.kind)})
	if f == nil {
		return false
	}
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
		}
	}
	if f.Hang {
		// Only after the body does net/http notice that the client went away.
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	if f.Hang || f.Drop {
		panic(http.ErrAbortHandler)
	}
	if f.Status != 0 {
		writeError(w, r, c, f.failure())
		return true
	}
	w.fault = *f
	return false
}

func (f *Fault) failure() *failure {
	usual := map[int][2]string{
		http.StatusForbidden:          {"AccessDenied", "You have no right to access this object because of bucket acl."},
		http.StatusNotFound:           {"NoSuchKey", "The specified key does not exist."},
		http.StatusPreconditionFailed: {"PreconditionFailed", "At least one of the pre-conditions you specified did not hold."},
		http.StatusTooManyRequests:    {"TooManyRequests", "Please reduce your request rate."},
		http.StatusServiceUnavailable: {"DownloadTrafficRateLimitExceeded", "Please reduce your request rate."},
	}[f.Status]
	out := &failure{status: f.Status, code: f.Code, message: f.Message, retryAfter: f.RetryAfter}
	if usual[0] == "" {
		usual = [2]string{"InternalError", "We encountered an internal error. Please try again."}
	}
	if out.code == "" {
		out.code = usual[0]
	}
	if out.message == "" {
		out.message = usual[1]
	}
	return out
}
