package server

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// errorDomain is the domain of the ErrorInfo with the reason of a refused
// command.
const errorDomain = "master.jindo.io"

// withDetail returns a status with a detail, or without it if it cannot be
// encoded.
func withDetail(code codes.Code, message string, detail protoadapt.MessageV1) error {
	s := status.New(code, message)
	if detailed, err := s.WithDetails(detail); err == nil {
		return detailed.Err()
	}
	return s.Err()
}

func invalid(format string, args ...any) error {
	return status.Error(codes.InvalidArgument, fmt.Sprintf(format, args...))
}

// failure converts the errors of consensus and the proposer to gRPC statuses.
func failure(err error) error {
	var follower *consensus.NotLeaderError
	switch {
	case errors.As(err, &follower):
		return withDetail(codes.FailedPrecondition, follower.Error(), &masterv1.NotLeader{
			Leader: follower.Leader, Term: follower.Term, Address: follower.Address,
		})
	case errors.Is(err, consensus.ErrTooLarge):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, consensus.ErrDiskFull):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, errNotSent):
		return withDetail(codes.Unavailable, err.Error(), &errdetails.ErrorInfo{Reason: "NOT_EXECUTED", Domain: errorDomain})
	case errors.Is(err, consensus.ErrUnknownOutcome):
		return status.Error(codes.Unavailable, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	default:
		return status.Error(codes.Unavailable, err.Error())
	}
}

// refusal returns the error for a command that the state refused; nil when it
// was executed.
func refusal(result *statev1.Result) error {
	r := result.GetRefusal()
	if r == nil {
		return nil
	}
	code, sentence := explain(r)
	return withDetail(code, sentence, &errdetails.ErrorInfo{
		Reason:   strings.TrimPrefix(r.GetCode().String(), "CODE_"),
		Domain:   errorDomain,
		Metadata: map[string]string{"subject": r.GetSubject(), "other": r.GetOther()},
	})
}

func explain(r *statev1.Refusal) (codes.Code, string) {
	subject, other := r.GetSubject(), r.GetOther()
	switch r.GetCode() {
	case statev1.Refusal_CODE_UNKNOWN_SESSION:
		return codes.FailedPrecondition, fmt.Sprintf("session %s is not open: this caller never opened it, or it has ended", subject)
	case statev1.Refusal_CODE_GAP:
		return codes.FailedPrecondition, fmt.Sprintf("session %s: earlier requests are missing: sequences must be consecutive", subject)
	case statev1.Refusal_CODE_FORGOTTEN:
		return codes.FailedPrecondition, fmt.Sprintf("session %s: this request was acknowledged, and its result is no longer stored", subject)
	case statev1.Refusal_CODE_UNACKNOWLEDGED:
		return codes.ResourceExhausted, fmt.Sprintf("session %s has too many results that were not acknowledged", subject)
	case statev1.Refusal_CODE_REUSED:
		return codes.FailedPrecondition, fmt.Sprintf("session %s: this request id belongs to a command of another kind", subject)
	case statev1.Refusal_CODE_NOT_FORMED:
		return codes.Unavailable, "the cluster is not formed yet"
	case statev1.Refusal_CODE_NO_REQUEST:
		return codes.InvalidArgument, "the command has no request id"
	case statev1.Refusal_CODE_NOT_FOUND:
		return codes.NotFound, fmt.Sprintf("%s not found", subject)
	case statev1.Refusal_CODE_OTHER_CLUSTER:
		return codes.FailedPrecondition, fmt.Sprintf("this is cluster %s, not %s: a disk of another cluster must not join it", other, subject)
	case statev1.Refusal_CODE_NAME_TAKEN:
		return codes.AlreadyExists, fmt.Sprintf("mount name %s is in use at %s: choose another name, or unmount that mount first", subject, other)
	case statev1.Refusal_CODE_ID_TAKEN:
		return codes.AlreadyExists, fmt.Sprintf("worker id %s belongs to %s: remove that worker first if its disk has moved", subject, other)
	case statev1.Refusal_CODE_LIMIT:
		return codes.ResourceExhausted, fmt.Sprintf("too many %s", subject)
	case statev1.Refusal_CODE_SESSION_TAKEN:
		return codes.AlreadyExists, fmt.Sprintf("session id %s was used before: generate another", subject)
	case statev1.Refusal_CODE_REPLACED:
		return codes.FailedPrecondition, fmt.Sprintf("worker %s was replaced: its id is now %s", subject, other)
	case statev1.Refusal_CODE_RENEWED:
		return codes.FailedPrecondition, fmt.Sprintf("worker %s registered again meanwhile", subject)
	default:
		return codes.InvalidArgument, "the command has no operation"
	}
}
