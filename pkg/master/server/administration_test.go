package server

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// A result that is not one is rejected before it reaches the disk.
func TestRecordVerificationRejects(t *testing.T) {
	s := &Server{}
	for name, v := range map[string]*masterv1.Verification{
		"nothing":           nil,
		"no result":         {Last: 1},
		"an unknown result": {Result: 99},
		"many names":        {Result: masterv1.Verification_RESULT_INCOMPLETE, Failed: make([]string, 17)},
		"a long name":       {Result: masterv1.Verification_RESULT_INCOMPLETE, Failed: []string{strings.Repeat("x", 254)}},
	} {
		_, err := s.RecordVerification(t.Context(), &masterv1.RecordVerificationRequest{Verification: v})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}
