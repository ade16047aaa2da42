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

// Reason an error in a few words: without the wrapping that gRPC, the forwarding
// API server and the kubelet put around the failure of a dial.
func Reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded {
		return timedOut
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	s, answered := status.FromError(err)
	if !answered {
		return ofDial(err.Error())
	}
	if s.Code() != codes.Unavailable {
		return s.Message()
	}
	return ofDial(unwrapped(s.Message()))
}

// unwrapped is the innermost text of gRPC's connection errors.
func unwrapped(text string) string {
	for _, wrapping := range []string{"Error while dialing: ", "authentication handshake failed: ", "error reading server preface: "} {
		if at := strings.LastIndex(text, wrapping); at >= 0 {
			return strings.TrimSuffix(text[at+len(wrapping):], `"`)
		}
	}
	return text
}

// ofDial is what people know the failure of a connection by. A kubelet names
// several addresses and says the same of each.
func ofDial(text string) string {
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
		return "it closed the connection"
	}
	return text
}
