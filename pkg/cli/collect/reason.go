package collect

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const timedOut = "timeout"

// Reason returns an error in a few words, without the text that gRPC, the API server
// and the kubelet add to the failure of a connection.
func Reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded {
		return timedOut
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	s, isStatus := status.FromError(err)
	if !isStatus {
		return dialReason(err.Error())
	}
	if s.Code() != codes.Unavailable {
		return s.Message()
	}
	return dialReason(unwrapped(s.Message()))
}

// unwrapped returns the innermost text of a connection error of gRPC.
func unwrapped(text string) string {
	for _, wrapping := range []string{"Error while dialing: ", "authentication handshake failed: ", "error reading server preface: "} {
		if at := strings.LastIndex(text, wrapping); at >= 0 {
			return strings.TrimSuffix(text[at+len(wrapping):], `"`)
		}
	}
	return text
}

// dialReason returns the well-known name of a connection failure. A kubelet reports
// the same failure for each of several addresses.
func dialReason(text string) string {
	for _, known := range []struct{ part, reason string }{
		{"connection refused", "connection refused"},
		{"no route to host", "no route to host"},
		{"network is unreachable", "network is unreachable"},
		{"no such host", "no such host"},
		{"connection reset by peer", "connection reset"},
		{"broken pipe", "connection reset"},
		{"context deadline exceeded", timedOut},
		{"i/o timeout", timedOut},
		{"connection timed out", timedOut},
	} {
		if strings.Contains(text, known.part) {
			return known.reason
		}
	}
	if text == "EOF" || strings.HasSuffix(text, ": EOF") || strings.HasSuffix(text, "io: read/write on closed pipe") {
		return "connection closed"
	}
	return text
}
