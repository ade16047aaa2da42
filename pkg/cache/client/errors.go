package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/wire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a worker may answer instead of bytes or names. Errors wrap one of these
// and name the worker; use [errors.Is].
var (
	// ErrStale: the store says that the object has another version.
	ErrStale = errors.New("the object has changed")
	// ErrNotFound: the store says that the object is not there.
	ErrNotFound = errors.New("the object is gone")
	// ErrNotCached: the worker was asked for cached bytes only and has none.
	ErrNotCached = errors.New("not cached")
	// ErrPermission: the store refuses; the text names the missing right.
	ErrPermission = errors.New("permission denied")
	// ErrThrottled: the worker or the store asks to come back later.
	ErrThrottled = errors.New("throttled")
	// ErrUnavailable: the worker cannot get at the bytes or names now.
	ErrUnavailable = errors.New("unavailable")
	// ErrNoBucket means that the bucket or directory of the mount does not
	// exist. It is an ErrUnavailable too.
	ErrNoBucket = fmt.Errorf("bucket or directory not found: %w", ErrUnavailable)
	// ErrStoreRefused means that the store refuses the worker's connections.
	// It is an ErrUnavailable too.
	ErrStoreRefused = fmt.Errorf("connection to the store refused: %w", ErrUnavailable)
	// ErrUnknownMount: the worker's view has no such mount.
	ErrUnknownMount = errors.New("unknown mount")
	// ErrInvalid: the worker does not understand the request.
	ErrInvalid = errors.New("invalid request")
	// ErrUnreachable: no connection, or one that broke before an answer.
	ErrUnreachable = errors.New("unreachable")
	// ErrStalled: the worker took the request and then was silent.
	ErrStalled = errors.New("silent")
	// ErrGarbled: an answer that does not fit the request.
	ErrGarbled = errors.New("answered something else than was asked")
)

// Error is a failed attempt at one worker.
type Error struct {
	// Worker's name.
	Worker string
	// Message of the worker or of the network.
	Message string
	// RetryAfter is when to come back, where the worker said so.
	RetryAfter time.Duration
	// Answered: it had taken the request for a range, and then was silent.
	Answered bool
	// Kind is one of the errors above.
	Kind error
}

// Error names the worker, the kind and the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("worker %s: %v", e.Worker, e.Kind)
	}
	return fmt.Sprintf("worker %s: %v: %s", e.Worker, e.Kind, e.Message)
}

// Unwrap answers the kind.
func (e *Error) Unwrap() error { return e.Kind }

// kinds of the byte API's error codes.
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

// kindOfStatus says what a worker's refusal to a call about names means.
func kindOfStatus(err error) error {
	switch reason := wire.ReasonOf(err); reason {
	case wire.CodeNoBucket, wire.CodeStoreRefused:
		return kindOfCode(reason)
	}
	switch status.Code(err) {
	case codes.NotFound:
		return ErrUnknownMount
	case codes.PermissionDenied, codes.Unauthenticated:
		return ErrPermission
	case codes.ResourceExhausted:
		return ErrThrottled
	case codes.InvalidArgument, codes.Unimplemented:
		return ErrInvalid
	}
	return ErrUnavailable
}
