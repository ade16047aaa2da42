package wire

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// reasonDomain is the domain of the reasons in gRPC statuses.
const reasonDomain = "worker.jindo.io"

// WithReason returns the error of a gRPC status with a code added. Workers add
// [CodeNoBucket] and [CodeStoreRefused], for which a client must not retry for
// long and for which gRPC has no status code.
func WithReason(s *status.Status, reason Code) error {
	detailed, err := s.WithDetails(&errdetails.ErrorInfo{Reason: string(reason), Domain: reasonDomain})
	if err != nil { // Only codes.OK, which has no reason.
		return s.Err()
	}
	return detailed.Err()
}

// ReasonOf returns the code added to the error of a gRPC call, or "".
func ReasonOf(err error) Code {
	for _, detail := range status.Convert(err).Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if ok && info.GetDomain() == reasonDomain {
			return Code(info.GetReason())
		}
	}
	return ""
}
