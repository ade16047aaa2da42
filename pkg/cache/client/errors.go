package client

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// Reasons why a worker returns no bytes or names. Errors wrap one of these and
// name the worker; use [errors.Is].
var (
	// ErrStale means that the store has another version of the object.
	ErrStale = errors.New("the object has changed")
	// ErrNotFound means that the store does not have the object.
	ErrNotFound = errors.New("the object was not found")
	// ErrNotCached means that cached bytes were requested and there are none.
	ErrNotCached = errors.New("not cached")
	// ErrPermission means that the store denies the request; the message names
	// the missing permission.
	ErrPermission = errors.New("permission denied")
	// ErrThrottled means that the worker or the store is overloaded.
	ErrThrottled = errors.New("throttled")
	// ErrUnavailable means that the worker cannot read the store now.
	ErrUnavailable = errors.New("unavailable")
	// ErrNoBucket means that the bucket or directory of the mount does not
	// exist. It is an ErrUnavailable too.
	ErrNoBucket = fmt.Errorf("bucket or directory not found: %w", ErrUnavailable)
	// ErrStoreRefused means that the store refuses the worker's connections.
	// It is an ErrUnavailable too.
	ErrStoreRefused = fmt.Errorf("connection to the store refused: %w", ErrUnavailable)
	// ErrUnknownMount means that the worker's view has no such mount.
	ErrUnknownMount = errors.New("unknown mount")
	// ErrInvalid means that the request cannot be sent, or that the worker or the
	// store rejects it as one that can never succeed.
	ErrInvalid = errors.New("invalid request")
	// ErrTooLarge means that the request or its response is larger than messages
	// may be.
	ErrTooLarge = errors.New("message too large")
	// ErrUnreachable means that there was no connection, or that it broke
	// before a response.
	ErrUnreachable = errors.New("unreachable")
	// ErrStalled means that the worker accepted the request and sent nothing.
	ErrStalled = errors.New("no response")
	// ErrGarbled means that the response does not fit the request.
	ErrGarbled = errors.New("unexpected response")
)

// Error is the error of an attempt at one worker.
type Error struct {
	// Worker is the worker's name.
	Worker string
	// Message is from the worker or the network.
	Message string
	// RetryAfter is when to retry, if the worker returned it.
	RetryAfter time.Duration
	// Responded is set if the worker sent the header of its response before it
	// stalled.
	Responded bool
	// Kind is one of the errors above.
	Kind error
}

// Error returns the worker, the kind and the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("worker %s: %v", e.Worker, e.Kind)
	}
	return fmt.Sprintf("worker %s: %v: %s", e.Worker, e.Kind, e.Message)
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// kindOfCode returns the error for a code of the byte API.
func kindOfCode(code wire.Code) error {
	switch code {
	case wire.CodeStale:
		return ErrStale
	case wire.CodeNotFound:
		return ErrNotFound
	case wire.CodeNotCached:
		return ErrNotCached
	case wire.CodePermission:
		return ErrPermission
	case wire.CodeThrottled:
		return ErrThrottled
	case wire.CodeUnavailable:
		return ErrUnavailable
	case wire.CodeNoBucket:
		return ErrNoBucket
	case wire.CodeStoreRefused:
		return ErrStoreRefused
	case wire.CodeUnknownMount:
		return ErrUnknownMount
	case wire.CodeInvalid, wire.CodeInvalidRange:
		return ErrInvalid
	}
	return ErrGarbled
}

// kindOfStatus returns the error for a gRPC status that a worker returned.
func kindOfStatus(err error) error {
	switch reason := wire.ReasonOf(err); reason {
	case wire.CodeNoBucket, wire.CodeStoreRefused, wire.CodeThrottled, wire.CodeNotCached:
		return kindOfCode(reason)
	}
	switch status.Code(err) {
	case codes.NotFound:
		return ErrUnknownMount
	case codes.PermissionDenied, codes.Unauthenticated:
		return ErrPermission
	case codes.ResourceExhausted:
		// gRPC's own limits: what a store throttles has a reason.
		return ErrTooLarge
	case codes.InvalidArgument:
		return ErrInvalid
	}
	return ErrUnavailable
}
