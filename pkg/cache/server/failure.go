package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/ufs"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// failure is an answer other than bytes.
type failure struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Codes of failures, beside their HTTP status.
const (
	codeStale        = "stale"
	codeNotFound     = "not_found"
	codeNotCached    = "not_cached"
	codePermission   = "permission"
	codeThrottled    = "throttled"
	codeUnavailable  = "unavailable"
	codeNoBucket     = "no_bucket"
	codeRefused      = "connection_refused"
	codeInvalidRange = "invalid_range"
	codeInvalid      = "invalid"
	codeUnknownMount = "unknown_mount"
)

func invalid(message string) *failure {
	return &failure{http.StatusBadRequest, codeInvalid, message}
}

// failureOf says what an error of the cache or the store means to a reader.
func failureOf(err error) *failure {
	as := func(status int, code string) *failure { return &failure{status, code, err.Error()} }
	switch {
	case errors.Is(err, blockstore.ErrNotCached):
		return as(http.StatusNotFound, codeNotCached)
	case errors.Is(err, blockstore.ErrInvalidRange), errors.Is(err, ufs.ErrInvalidRange):
		return as(http.StatusRequestedRangeNotSatisfiable, codeInvalidRange)
	case errors.Is(err, blockstore.ErrInvalidKey):
		return as(http.StatusBadRequest, codeInvalid)
	case errors.Is(err, ufs.ErrPrecondition):
		return as(http.StatusPreconditionFailed, codeStale)
	case errors.Is(err, ufs.ErrNoBucket):
		// The bucket is missing: that is no evidence that the object was deleted.
		return as(http.StatusBadGateway, codeNoBucket)
	case errors.Is(err, ufs.ErrNotFound):
		return as(http.StatusNotFound, codeNotFound)
	case errors.Is(err, ufs.ErrPermission):
		return as(http.StatusForbidden, codePermission)
	case errors.Is(err, ufs.ErrConnectionRefused):
		return as(http.StatusBadGateway, codeRefused)
	case errors.Is(err, ufs.ErrThrottled), errors.Is(err, errBusy):
		return as(http.StatusServiceUnavailable, codeThrottled)
	}
	return as(http.StatusBadGateway, codeUnavailable)
}

// errBusy: this worker has as many requests as it takes.
var errBusy = errors.New("this worker is busy")

// gone: the version that was asked for is not the store's any more.
func (f *failure) gone() bool { return f.Code == codeStale || f.Code == codeNotFound }

func (f *failure) write(w http.ResponseWriter) {
	body, err := json.Marshal(f)
	if err != nil { // two strings always encode
		body = []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if f.Code == codeThrottled {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write(append(body, '\n'))
}

// statusOf maps an error about names to a gRPC status. NotFound means an
// unknown mount and nothing else.
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
	return withReason(status.New(code, err.Error()), err)
}

// errorDomain of the reasons that accompany a status.
const errorDomain = "worker.jindo.io"

// withReason adds the reason for which a client must not retry for long.
func withReason(s *status.Status, err error) error {
	reason := ""
	switch {
	case errors.Is(err, ufs.ErrNoBucket):
		reason = codeNoBucket
	case errors.Is(err, ufs.ErrConnectionRefused):
		reason = codeRefused
	default:
		return s.Err()
	}
	detailed, failed := s.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: errorDomain})
	if failed != nil { // fails only for codes.OK
		return s.Err()
	}
	return detailed.Err()
}
