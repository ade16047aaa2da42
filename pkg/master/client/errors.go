package client

import (
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/rpc/message"
)

// ErrUnknownOutcome reports that a command may or may not have been executed.
var ErrUnknownOutcome = errors.New("unknown outcome: the command may have been executed")

// Reasons of a [RefusedError] that callers may handle.
const (
	// ReasonNotFound: the mount or worker does not exist.
	ReasonNotFound = "NOT_FOUND"
	// ReasonOtherCluster: the caller's disk belongs to another cluster.
	ReasonOtherCluster = "OTHER_CLUSTER"
	// ReasonIDTaken: another worker has the id.
	ReasonIDTaken = "ID_TAKEN"
	// ReasonNameTaken: another mount has the name.
	ReasonNameTaken = "NAME_TAKEN"
)

// Reasons that only this package handles.
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

// RefusedError is a refusal by a master. Nothing was executed.
type RefusedError struct {
	// Code is the gRPC code.
	Code codes.Code
	// Reason is one of the constants of this package, another reason, or empty.
	Reason string
	// Message describes the refusal to users.
	Message string
}

// Error returns Message.
func (e *RefusedError) Error() string { return e.Message }

// GRPCStatus makes the code available to status.Code.
func (e *RefusedError) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// verdict classifies the end of one attempt.
type verdict int

const (
	// succeeded: the master returned a result.
	succeeded verdict = iota
	// refused: the master refused the command, and a retry would be refused,
	// too.
	refused
	// invalid: no master can be sent the command. It says nothing about masters.
	invalid
	// elsewhere: another master is the leader; nothing was executed.
	elsewhere
	// unsent: nothing was executed, and the command may be retried.
	unsent
	// unknown: the command may have been executed.
	unknown
)

// classify classifies the error of an attempt. sent reports whether any part of
// it left this process.
func classify(err error, sent bool) (verdict, *masterv1.NotLeader, *RefusedError) {
	if err == nil {
		return succeeded, nil, nil
	}
	s := status.Convert(err)
	if message.IsInvalid(err) {
		return invalid, nil, &RefusedError{Code: s.Code(), Message: s.Message()}
	}
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

// forEveryMaster reports whether a command was refused for its contents or its sender,
// which are the same for every master. A refusal for another cause, such as a full disk,
// does not tell what became of an earlier attempt at another master.
func (e *RefusedError) forEveryMaster() bool {
	if e.Reason != "" {
		return false
	}
	switch e.Code {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return true
	}
	return false
}

// usedSequence reports whether a refusal is the result of a command, which is
// stored under its sequence. Other refusals used no sequence.
func (e *RefusedError) usedSequence() bool {
	switch e.Reason {
	case "", reasonUnknownSession, reasonGap, reasonForgotten, reasonUnacknowledged, reasonReused, reasonNoRequest:
		return false
	}
	return true
}
