package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/rpc/message"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// throttleDelay is the Retry-After of a throttled request.
const throttleDelay = time.Second

// errBusy means that the worker serves MaxRequests requests already.
var errBusy = errors.New("this worker is busy")

// failureOf maps an error of the cache or the store to the response for a
// reader.
func failureOf(err error) *wire.Failure {
	as := func(status int, code wire.Code) *wire.Failure {
		return &wire.Failure{Status: status, Code: code, Message: err.Error()}
	}
	switch {
	case errors.Is(err, blockstore.ErrNotCached):
		return as(http.StatusNotFound, wire.CodeNotCached)
	case errors.Is(err, blockstore.ErrInvalidRange), errors.Is(err, ufs.ErrInvalidRange):
		return as(http.StatusRequestedRangeNotSatisfiable, wire.CodeInvalidRange)
	case errors.Is(err, blockstore.ErrInvalidKey), errors.Is(err, ufs.ErrInvalid):
		return as(http.StatusBadRequest, wire.CodeInvalid)
	case errors.Is(err, ufs.ErrPrecondition):
		return as(http.StatusPreconditionFailed, wire.CodeStale)
	case errors.Is(err, ufs.ErrNoBucket):
		// A missing bucket is no evidence that the object was deleted.
		return as(http.StatusBadGateway, wire.CodeNoBucket)
	case errors.Is(err, ufs.ErrNotFound):
		return as(http.StatusNotFound, wire.CodeNotFound)
	case errors.Is(err, ufs.ErrPermission):
		return as(http.StatusForbidden, wire.CodePermission)
	case errors.Is(err, ufs.ErrConnectionRefused):
		return as(http.StatusBadGateway, wire.CodeStoreRefused)
	case errors.Is(err, ufs.ErrThrottled), errors.Is(err, errBusy):
		f := as(http.StatusServiceUnavailable, wire.CodeThrottled)
		f.RetryAfter = throttleDelay
		return f
	}
	return as(http.StatusBadGateway, wire.CodeUnavailable)
}

// outdated reports whether the failure means that the store does not hold the
// requested version any more.
func outdated(f *wire.Failure) bool { return f.Code == wire.CodeStale || f.Code == wire.CodeNotFound }

// statusOf maps an error of the directory store to a gRPC status. NotFound is
// reserved for an unknown mount.
func statusOf(err error) error {
	code := codes.Unavailable
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case errors.Is(err, ufs.ErrPermission):
		code = codes.PermissionDenied
	case errors.Is(err, ufs.ErrThrottled):
		code = codes.ResourceExhausted
	case errors.Is(err, ufs.ErrInvalid):
		code = codes.InvalidArgument
	}
	s := status.New(code, message.Text(err.Error()))
	switch {
	case code == codes.ResourceExhausted:
		// Without a reason, the code means that a message is too large.
		return wire.WithReason(s, wire.CodeThrottled)
	case errors.Is(err, ufs.ErrNoBucket):
		return wire.WithReason(s, wire.CodeNoBucket)
	case errors.Is(err, ufs.ErrConnectionRefused):
		return wire.WithReason(s, wire.CodeStoreRefused)
	}
	return s.Err()
}
