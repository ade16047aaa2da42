package wire

import (
	"errors"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestReasonRoundTrip(t *testing.T) {
	err := WithReason(status.New(codes.Unavailable, "no such bucket"), CodeNoBucket)
	if got := ReasonOf(err); got != CodeNoBucket {
		t.Errorf("the reason is %q, want %q", got, CodeNoBucket)
	}
	if status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "no such bucket" {
		t.Errorf("the status is %v", err)
	}
	foreign, failed := status.New(codes.Unavailable, "x").WithDetails(&errdetails.ErrorInfo{Reason: string(CodeNoBucket), Domain: "example.com"})
	if failed != nil {
		t.Fatal(failed)
	}
	for _, other := range []error{nil, errors.New("plain"), status.Error(codes.Unavailable, "x"), foreign.Err()} {
		if got := ReasonOf(other); got != "" {
			t.Errorf("%v has the reason %q", other, got)
		}
	}
}
