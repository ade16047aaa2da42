// Package message keeps faults of single messages apart from faults of peers.
//
// A protobuf string must be UTF-8; a message with another string cannot be sent.
// Names, keys and entity tags are therefore bytes fields. Other strings are texts
// of this program, of which errors may quote names: [Text] makes them valid. What
// still cannot be encoded is rejected by [CheckRequests] before a connection is
// used, with an [InvalidError], so that callers do not count it against the peer.
package message

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	// MaxText bounds a text in a message, in bytes. The status of a call is sent
	// as a header, and headers have limits.
	MaxText = 4096
	// MaxRequest bounds a request, in bytes. It is the limit of gRPC servers.
	MaxRequest = 4 << 20
)

// Text returns a text that any message can hold: bytes that are not UTF-8 are
// escaped as \xNN, and a longer text than MaxText is cut.
func Text(s string) string {
	if utf8.ValidString(s) && len(s) <= MaxText {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		part := s[:n]
		if r == utf8.RuneError && n == 1 {
			part = fmt.Sprintf(`\x%02x`, s[0])
		}
		if b.Len()+len(part) > MaxText-len("…") {
			b.WriteString("…")
			break
		}
		b.WriteString(part)
		s = s[n:]
	}
	return b.String()
}

// Status returns the error of a server's call with a message that can be sent:
// see [Text]. Its code and details are kept.
func Status(err error) error {
	if err == nil {
		return nil
	}
	p := status.Convert(err).Proto()
	if text := Text(p.GetMessage()); text != p.GetMessage() {
		p.Message = text
		return status.ErrorProto(p)
	}
	return err
}

// InvalidError reports that a request cannot be sent to any peer. It was not
// sent.
type InvalidError struct{ cause error }

// Error returns the cause.
func (e *InvalidError) Error() string { return "the request cannot be sent: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.cause }

// GRPCStatus returns the code InvalidArgument.
func (e *InvalidError) GRPCStatus() *status.Status {
	return status.New(codes.InvalidArgument, Text(e.Error()))
}

// Check returns an [*InvalidError] if a request cannot be encoded, or is larger
// than servers accept.
func Check(request proto.Message) error {
	if n := proto.Size(request); n > MaxRequest {
		return &InvalidError{fmt.Errorf("it has %d bytes, more than %d", n, MaxRequest)}
	}
	if _, err := proto.Marshal(request); err != nil {
		return &InvalidError{fmt.Errorf("encode it: %w", err)}
	}
	return nil
}

// IsInvalid reports whether an error is, or wraps, an [*InvalidError].
func IsInvalid(err error) bool {
	var invalid *InvalidError
	return errors.As(err, &invalid)
}

// CheckRequests returns an option that makes unary calls return the error of
// [Check] before they are sent.
func CheckRequests() grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if m, ok := request.(proto.Message); ok {
			if err := Check(m); err != nil {
				return err
			}
		}
		return invoke(ctx, method, request, reply, conn, options...)
	})
}
