package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/rpc/message"
)

// evidence is what the end of one attempt shows about the worker. A worker is
// tried last only on evidence against itself: a fault of the request, of the
// caller or of the store must not make other requests avoid the worker.
type evidence int

const (
	// none: the attempt ended for a reason that is not the worker.
	none evidence = iota
	// alive: the worker has responded, with a result or an error.
	alive
	// bad: the worker is unreachable, was silent, or sent what is not a response
	// of a worker.
	bad
)

// errOvertaken ends the attempts that are still running when another worker has
// responded.
var errOvertaken = errors.New("another worker has responded")

// call is the end of one gRPC call that failed.
type call struct {
	// parent is the context of the caller, ctx the one of the attempt, which ends
	// at the attempt's deadline too.
	parent, ctx context.Context
	err         error
	// received is set if any part of a response was received. Workers send the
	// header of a response to a request that takes long, for instance because the
	// store is slow.
	received bool
	// silent is set if the attempt lasted long enough for a header.
	silent bool
}

// classify returns what the error shows about the worker, and its kind.
func (c call) classify() (shows evidence, kind error) {
	switch code := status.Code(c.err); {
	case message.IsInvalid(c.err):
		return none, ErrInvalid
	case errors.Is(context.Cause(c.parent), errOvertaken) && c.silent && (!c.received || mutantBlamesStore):
		return bad, ErrStalled
	case c.parent.Err() != nil && !mutantBlamesCaller:
		// Cancelled by the caller, or the caller's deadline has passed, which may
		// be shorter than what a good worker needs.
		return none, context.Cause(c.parent)
	case status.Code(c.err) == codes.DeadlineExceeded && c.callersDeadline():
		// The deadline is sent to the worker, whose clock may end it first.
		return none, context.DeadlineExceeded
	case c.ctx.Err() != nil && c.received:
		return alive, ErrStalled
	case c.ctx.Err() != nil:
		return bad, ErrStalled
	case c.received:
		return alive, kindOfStatus(c.err)
	case code == codes.Unavailable:
		return bad, ErrUnreachable
	case code == codes.Canceled:
		// This client has closed the connection.
		return none, ErrUnreachable
	case code == codes.ResourceExhausted:
		return none, ErrTooLarge
	}
	return bad, ErrGarbled
}

// callersDeadline reports whether the deadline of the attempt is the caller's.
func (c call) callersDeadline() bool {
	callers, ok := c.parent.Deadline()
	attempts, _ := c.ctx.Deadline()
	return ok && !callers.After(attempts)
}

// kindOfRefusal returns what an HTTP response that is not of the byte API shows
// about the worker, and its kind. net/http rejects a malformed or oversized
// request before the worker sees it.
func kindOfRefusal(status int) (shows evidence, kind error) {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return alive, ErrInvalid
	}
	return bad, ErrGarbled
}

// record applies evidence to a part of the worker. A worker that is bad is
// usually so in all parts.
func (w *worker) record(p part, e evidence) {
	switch {
	case e == alive:
		w.succeeded(p)
	case e == bad && !mutantBlamesNothing:
		w.failed()
	}
}

// outcome returns the error of a call that failed, and records what it shows
// about the worker. began is when the attempt began, silence the time after which
// a worker without a header is silent.
func (w *worker) outcome(parent, ctx context.Context, err error, response trace, began time.Time, silence time.Duration) error {
	shows, kind := call{
		parent: parent, ctx: ctx, err: err, received: response.received(), silent: time.Since(began) >= silence,
	}.classify()
	w.record(calls, shows)
	return &Error{Worker: w.name, Kind: kind, Message: status.Convert(err).Message(), Responded: response.received()}
}
