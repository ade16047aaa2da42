package server

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// TestEveryRefusalHasAMessage: the message of a code without one would be that
// the command has no operation.
func TestEveryRefusalHasAMessage(t *testing.T) {
	if refusal(&statev1.Result{Changed: true}) != nil {
		t.Error("refusal returned an error for a command that was executed")
	}
	seen := map[string]string{}
	for number, name := range statev1.Refusal_Code_name {
		if number == 0 {
			continue
		}
		got := status.Convert(refusal(&statev1.Result{Refusal: &statev1.Refusal{Code: statev1.Refusal_Code(number), Subject: "it", Other: "that"}}))
		if other, twice := seen[got.Message()]; twice {
			t.Errorf("%s and %s have the same message: %s", name, other, got.Message())
		}
		seen[got.Message()] = name
		info, ok := got.Details()[0].(*errdetails.ErrorInfo)
		if !ok || "CODE_"+info.GetReason() != name || info.GetMetadata()["subject"] != "it" || got.Code() == codes.OK {
			t.Errorf("%s is converted to %v", name, got)
		}
	}
}

func TestErrorsReportWhetherTheCommandWasExecuted(t *testing.T) {
	follower := &consensus.NotLeaderError{Leader: "m-1", Term: 7}
	for _, test := range []struct {
		name   string
		err    error
		code   codes.Code
		detail string
	}{
		{"another leads", fmt.Errorf("wait: %w: %w", context.DeadlineExceeded, follower), codes.FailedPrecondition, "*masterv1.NotLeader"},
		{"the command was not sent", fmt.Errorf("queue: %w: %w", errNotSent, context.Canceled), codes.Unavailable, "*errdetails.ErrorInfo"},
		{"the command is in progress", fmt.Errorf("commit: %w: %w", consensus.ErrUnknownOutcome, context.DeadlineExceeded), codes.Unavailable, ""},
		{"a read timed out", fmt.Errorf("confirm: %w", context.DeadlineExceeded), codes.DeadlineExceeded, ""},
		{"the caller cancelled", fmt.Errorf("confirm: %w", context.Canceled), codes.Canceled, ""},
		{"any other error", errors.New("odd"), codes.Unavailable, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := status.Convert(failure(test.err))
			detail := ""
			for _, d := range got.Details() {
				detail = fmt.Sprintf("%T", d)
			}
			if got.Code() != test.code || detail != test.detail {
				t.Errorf("got %s with %q, want %s with %q", got.Code(), detail, test.code, test.detail)
			}
		})
	}
	var back *consensus.NotLeaderError
	if err := peerError(failure(follower)); !errors.As(err, &back) || *back != *follower {
		t.Errorf("to a peer: %v", err)
	}
	if err := memberFailure(errors.New("too few are caught up")); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("an impossible change: %v", err)
	}
}
