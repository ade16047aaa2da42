package client

import (
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// ErrUnknownOutcome says that a command may or may not have been executed.
var ErrUnknownOutcome = errors.New("the outcome is unknown: the command may have been executed")

// Reasons for which masters refuse, as [RefusedError.Reason] has them, that a
// caller may want to know.
const (
	// ReasonNotFound: there is no such mount or worker.
	ReasonNotFound = "NOT_FOUND"
	// ReasonOtherCluster: the caller's disk belongs to another cluster.
	ReasonOtherCluster = "OTHER_CLUSTER"
	// ReasonIDTaken: another worker has the id.
	ReasonIDTaken = "ID_TAKEN"
	// ReasonNameTaken: another mount has the name.
	ReasonNameTaken = "NAME_TAKEN"
)

// Reasons that are between this package and the masters.
const (
	errorDomain           = "master.jindo.io"
	reasonUnknownSession  = "UNKNOWN_SESSION"
	reasonGap             = "GAP"
	reasonForgotten       = "FORGOTTEN"
	reasonUnacknowledged  = "UNACKNOWLEDGED"
	reasonReused          = "REUSED"
	reasonNotFormed       = "NOT_FORMED"
	reasonNotExecuted     = "NOT_EXECUTED"
	reasonSessionTaken    = "SESSION_TAKEN"
	reasonNoRequest       = "NO_REQUEST"
	maxRefusedDescription = 4096
)

// RefusedError is a master's answer that says no. Nothing was executed.
type RefusedError struct {
	// Code of gRPC.
	Code codes.Code
	// Reason is one of the constants of this package, or another word, or
	// empty.
	Reason string
	// Message is a sentence for people.
	Message string
}

// Error is the sentence.
func (e *RefusedError) Error() string { return e.Message }

// GRPCStatus lets status.Code know the code.
func (e *RefusedError) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// verdict is what one attempt has shown.
type verdict int

const (
	// answered: with a result.
	succeeded verdict = iota
	// refused: with a no that holds.
	refused
	// elsewhere: another master leads; nothing was executed.
	elsewhere
	// unsent: nothing was executed, and it may be tried again.
	unsent
	// unclear: it may have been executed.
	unknown
)

// judge says what the end of an attempt means. sent tells whether anything of
// it left this process.
func classify(err error, sent bool) (verdict, *masterv1.NotLeader, *RefusedError) {
	if err == nil {
		return succeeded, nil, nil
	}
	s := status.Convert(err)
	refusal := &RefusedError{Code: s.Code(), Message: s.Message()}
	if len(refusal.Message) > maxRefusedDescription {
		refusal.Message = refusal.Message[:maxRefusedDescription]
	}
	for _, detail := range s.Details() {
		switch detail := detail.(type) {
		case *masterv1.NotLeader:
			return elsewhere, detail, refusal
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == errorDomain {
				refusal.Reason = detail.GetReason()
			}
		}
	}
	switch {
	case refusal.Reason == reasonNotFormed, refusal.Reason == reasonNotExecuted, !sent:
		return unsent, nil, refusal
	case refusal.Reason != "":
		return refused, nil, refusal
	}
	switch s.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.Unauthenticated,
		codes.FailedPrecondition, codes.ResourceExhausted, codes.OutOfRange, codes.Unimplemented:
		return refused, nil, refusal
	}
	return unknown, nil, refusal
}

// usedSequence tells whether a refusal is the result of a command, which is
// remembered under its sequence. The others were not taken.
func (e *RefusedError) usedSequence() bool {
	switch e.Reason {
	case "", reasonUnknownSession, reasonGap, reasonForgotten, reasonUnacknowledged, reasonReused, reasonNoRequest:
		return false
	}
	return true
}
