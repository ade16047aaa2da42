package wire

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/message"
)

// Code is the machine-readable reason of a Failure.
type Code string

// Codes of failures. Clients accept some of them with one HTTP status only,
// see [Code.fits].
const (
	// CodeStale means that the store has another version of the object.
	CodeStale Code = "stale"
	// CodeNotFound means that the store does not have the object.
	CodeNotFound Code = "not_found"
	// CodeNotCached is the response to OnlyIfCached without cached bytes.
	CodeNotCached Code = "not_cached"
	// CodePermission means that the store, or the worker, denies the read.
	CodePermission Code = "permission"
	// CodeThrottled means that the store or the worker is overloaded.
	CodeThrottled Code = "throttled"
	// CodeUnavailable means that the worker cannot read the bytes now.
	CodeUnavailable Code = "unavailable"
	// CodeNoBucket means that the bucket or directory of the mount does not
	// exist.
	CodeNoBucket Code = "no_bucket"
	// CodeStoreRefused means that the store refuses the worker's connections.
	CodeStoreRefused Code = "connection_refused"
	// CodeInvalidRange means that the range is not within the object.
	CodeInvalidRange Code = "invalid_range"
	// CodeInvalid means that the request is malformed.
	CodeInvalid Code = "invalid"
	// CodeUnknownMount means that the worker's view has no such mount.
	CodeUnknownMount Code = "unknown_mount"
)

// fits reports whether a response with this HTTP status may carry the code.
// Clients drop a version because of stale and not_found, so these codes must
// come with the status that a worker sends with them, not from a proxy.
func (c Code) fits(status int) bool {
	switch c {
	case CodeStale:
		return status == http.StatusPreconditionFailed
	case CodeNotFound, CodeNotCached, CodeUnknownMount:
		return status == http.StatusNotFound
	}
	return status >= 400
}

const (
	// maxFailureBytes bounds the body of a failure that is read.
	maxFailureBytes = 64 << 10
	// maxRetryAfter bounds the wait that a failure can request.
	maxRetryAfter = time.Hour
)

// Failure is a response without bytes of the object.
type Failure struct {
	// Status is the HTTP status.
	Status  int    `json:"-"`
	Code    Code   `json:"code"`
	Message string `json:"message"`
	// RetryAfter is when to send the request again; 0 if not given. It is sent
	// in whole seconds.
	RetryAfter time.Duration `json:"-"`
}

// Invalid returns the failure for a malformed request.
func Invalid(message string) *Failure {
	return &Failure{Status: http.StatusBadRequest, Code: CodeInvalid, Message: message}
}

// Write sends the failure as the response. A long message is cut, so that the
// body fits what ReadFailure reads.
func (f *Failure) Write(w http.ResponseWriter) {
	sent := *f
	sent.Message = message.Text(f.Message)
	body, err := json.Marshal(sent)
	if err != nil { // Two strings always encode.
		body = []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(f.RetryAfter/time.Second), 10))
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write(append(body, '\n'))
}

// ReadFailure decodes a response that is not 206. It returns an error that
// quotes the response if a worker would not send it; Status and RetryAfter are
// set in that case too.
func ReadFailure(response *http.Response) (Failure, error) {
	f := Failure{Status: response.StatusCode, RetryAfter: parseRetryAfter(response.Header.Get("Retry-After"))}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxFailureBytes))
	decoded := f
	if err == nil {
		err = json.Unmarshal(body, &decoded)
	}
	if err != nil || decoded.Code == "" || !decoded.Code.fits(f.Status) {
		return f, fmt.Errorf("status %s, %.200q", response.Status, body)
	}
	return decoded, nil
}

func parseRetryAfter(s string) time.Duration {
	seconds, ok := parseNumber(s)
	if !ok {
		return 0
	}
	return time.Duration(min(seconds, int64(maxRetryAfter/time.Second))) * time.Second
}
