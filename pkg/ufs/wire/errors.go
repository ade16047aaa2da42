package wire

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
)

// ErrorResponse is the error response of a store.
type ErrorResponse struct {
	Status    int
	Code      string
	Message   string
	RequestID string
	Header    http.Header
	// OtherEndpoint is the endpoint that the store names for the bucket.
	OtherEndpoint string
	// Head means that the request was a HEAD, whose response has no body.
	Head bool
}

// Subject describes a request in the message of an error.
type Subject struct {
	// Scheme is "oss" or "s3", with which the names of the options start.
	Scheme   string
	Bucket   string
	Endpoint string
	// Act and Key: "reading" "a/b"; Key is empty for the bucket.
	Act string
	Key string
	// Right that the request requires: "oss:GetObject".
	Right string
	// AccessKeyID that signed the request; empty for none.
	AccessKeyID string
}

func (s Subject) bucket() string { return s.Scheme + "://" + s.Bucket + "/" }

// withoutID returns a message without the access key id, which a store may repeat.
func (s Subject) withoutID(message string) string {
	if s.AccessKeyID == "" {
		return message
	}
	message = strings.ReplaceAll(message, fmt.Sprintf("access key id %q", s.AccessKeyID), "access key id")
	return strings.ReplaceAll(message, s.AccessKeyID, "…")
}

// What returns the URI of the object or bucket.
func (s Subject) What() string {
	bucket := s.bucket()
	if strings.IndexFunc(s.Key, func(c rune) bool { return c == utf8.RuneError || !unicode.IsPrint(c) }) < 0 {
		return bucket + s.Key
	}
	quoted := strconv.Quote(s.Key)
	return bucket + quoted[1:len(quoted)-1]
}

// Explain converts an error response to one of the errors of package ufs.
func Explain(s Subject, r ErrorResponse) error {
	why, kind := classify(s, r)
	code := r.Code
	if code == "" {
		code = http.StatusText(r.Status)
	}
	var err error = responseError{
		text:    fmt.Sprintf("%s %s: %s (%d %s, request %s)", s.Act, s.What(), why, r.Status, code, r.RequestID),
		summary: fmt.Sprintf("%s %s: %s (%d %s)", s.Act, s.bucket(), s.withoutID(why), r.Status, code),
		kind:    kind,
	}
	if wait := retryAfter(r.Header, time.Now()); wait > 0 {
		return retry.After(err, wait)
	}
	return err
}

// responseError is the error of a response. Its summary has neither the key, nor the ids
// of the request and of the access key; see [ufs.Summary].
type responseError struct {
	text, summary string
	kind          error
}

func (e responseError) Error() string { return e.text + ": " + e.kind.Error() }

func (e responseError) Unwrap() error { return e.kind }

// Summary returns the text for [ufs.Summary].
func (e responseError) Summary() string { return e.summary + ": " + e.kind.Error() }

// classify returns the kind of an error, and a message that says what to do.
func classify(s Subject, r ErrorResponse) (string, error) {
	if r.OtherEndpoint != "" {
		return fmt.Sprintf("bucket %s belongs to endpoint %s and is not served at %s; correct fs.%s.endpoint", s.Bucket, r.OtherEndpoint, s.Endpoint, s.Scheme), ufs.ErrInvalid
	}
	text := strings.TrimSuffix(strings.TrimSpace(r.Message), ".")
	if text == "" {
		text = "no message"
	}
	if why, kind := classifyCode(s, r.Code); kind != nil && r.mayShow(kind) {
		return why, kind
	}
	switch {
	case r.Status < 300:
		return "the response is a success with an error in it: " + text, ufs.ErrUnavailable
	case r.Status == http.StatusBadRequest && strings.Contains(r.Message, "HTTPS"):
		// Web servers respond so to plain HTTP on a port for TLS.
		return fmt.Sprintf("endpoint %s expects TLS; write https:// in fs.%s.endpoint", s.Endpoint, s.Scheme), ufs.ErrInvalid
	case r.Status == http.StatusNotFound && r.isAboutObject():
		return "object not found", ufs.ErrNotFound
	case r.Status == http.StatusNotFound:
		return fmt.Sprintf("endpoint %s does not respond like an object store; check fs.%s.endpoint", s.Endpoint, s.Scheme), ufs.ErrUnavailable
	case r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden:
		return s.denied() + "; the store reports: " + text, ufs.ErrPermission
	case r.Status == http.StatusPreconditionFailed:
		return "the object has another version than requested", ufs.ErrPrecondition
	case r.Status == http.StatusRequestedRangeNotSatisfiable:
		return "the range starts past the end", ufs.ErrInvalidRange
	case r.Status == http.StatusTooManyRequests:
		return "the store requests a lower rate", ufs.ErrThrottled
	case r.Status == http.StatusServiceUnavailable && r.Header.Get("Retry-After") != "":
		return "the store requests a lower rate", ufs.ErrThrottled
	case r.Status == http.StatusNotImplemented:
		return text, ufs.ErrUnsupported
	case r.Status == http.StatusRequestTimeout || r.Status == http.StatusConflict || r.Status == http.StatusNotModified || r.Status >= 500:
		return text, ufs.ErrUnavailable
	case r.Status >= 300 && r.Status < 400:
		return fmt.Sprintf("bucket %s is not served at endpoint %s; check fs.%s.endpoint and fs.%s.region", s.Bucket, s.Endpoint, s.Scheme, s.Scheme), ufs.ErrInvalid
	}
	return text, errRejected
}

// errRejected is an ErrInvalid for which the store gives no reason that is known
// here.
var errRejected error = rejected{}

type rejected struct{}

func (rejected) Error() string { return ufs.ErrInvalid.Error() }

func (rejected) Unwrap() error { return ufs.ErrInvalid }

// mayShow reports whether the status fits the kind of a code. Absence must be
// shown by both.
func (r ErrorResponse) mayShow(kind error) bool {
	switch {
	case errors.Is(kind, ufs.ErrNotFound):
		return r.Status == http.StatusNotFound
	case errors.Is(kind, ufs.ErrInvalidKey):
		return r.Status == http.StatusBadRequest
	}
	return true
}

// isAboutObject distinguishes a store's 404 from that of another web server at
// the endpoint, which must not be taken for a deletion.
func (r ErrorResponse) isAboutObject() bool {
	switch r.Code {
	case "NoSuchKey", "NoSuchVersion", "SymlinkTargetNotExist":
		return true
	case "", "NotFound":
		return r.Head // Getter.Stat confirms it
	}
	return false
}

// classifyCode handles the codes whose meaning differs from that of their status.
// A nil kind means that the status decides.
func classifyCode(s Subject, code string) (string, error) {
	option := func(name string) string { return "fs." + s.Scheme + "." + name }
	switch code {
	case "NoSuchBucket":
		return fmt.Sprintf("bucket %s does not exist at endpoint %s; check spec.mounts[].mountPoint and %s", s.Bucket, s.Endpoint, option("endpoint")), ufs.ErrNoBucket
	case "NoSuchUpload":
		return "upload not found: it may be complete or aborted", ufs.ErrNotFound
	case "InvalidAccessKeyId", "XAdminUserNotFound": // the latter is versitygw's, with status 404
		return fmt.Sprintf("unknown access key id %q at endpoint %s; check %s", s.AccessKeyID, s.Endpoint, option("accessKeyId")), ufs.ErrPermission
	case "SignatureDoesNotMatch":
		return fmt.Sprintf("wrong signature; check %s, the secret of access key id %q, and %s", option("accessKeySecret"), s.AccessKeyID, option("region")), ufs.ErrPermission
	case "InvalidSecurityToken", "SecurityTokenExpired", "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return fmt.Sprintf("the security token is wrong or has expired; renew %s", option("securityToken")), ufs.ErrPermission
	case "RequestTimeTooSkewed":
		return "the clock of this host and the store's differ by more than 15 minutes; set this host's clock", ufs.ErrPermission
	case "FileAlreadyExists", "ObjectAlreadyExists":
		return "the object exists", ufs.ErrPrecondition
	case "SlowDown", "TooManyRequests", "Throttling", "QpsLimitExceeded", "TotalQpsLimitExceeded", "RequestLimitExceeded",
		"DownloadTrafficRateLimitExceeded", "UploadTrafficRateLimitExceeded":
		return "the store requests a lower rate", ufs.ErrThrottled
	case "ServiceUnavailable", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict":
		return "the store is temporarily unavailable", ufs.ErrUnavailable
	case "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return fmt.Sprintf("wrong region for the bucket; check %s", option("region")), ufs.ErrInvalid
	case "ExistingObjectIsDirectory", "ObjectParentIsFile", "XMinioObjectExistsAsDirectory", "XMinioParentIsObject":
		return "the store keeps objects as files, and the key conflicts with a file or directory of the same name", ufs.ErrInvalid
	case "KeyTooLongError", "KeyTooLong", "InvalidObjectName", "XMinioInvalidObjectName":
		return "the store cannot hold such a key", ufs.ErrInvalidKey
	case "InvalidObjectState":
		return "the object is archived and must be restored before it can be read", ufs.ErrPermission
	}
	return "", nil
}

// denied names the missing right, or reports that there are no credentials.
func (s Subject) denied() string {
	if s.AccessKeyID == "" {
		return fmt.Sprintf("no credentials were given and the bucket is not public; set fs.%s.accessKeyId and fs.%s.accessKeySecret", s.Scheme, s.Scheme)
	}
	return fmt.Sprintf("access key id %q lacks the right %s", s.AccessKeyID, s.Right)
}

// retryAfter parses seconds or a date; it returns 0 for neither.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	if text == "" {
		return 0
	}
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(max(0, min(seconds, 3600))) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}

// HasKind reports whether an error is one of package ufs.
func HasKind(err error) bool {
	for _, kind := range []error{
		ufs.ErrNotFound, ufs.ErrPermission, ufs.ErrPrecondition, ufs.ErrInvalidRange,
		ufs.ErrThrottled, ufs.ErrUnavailable, ufs.ErrUnsupported, ufs.ErrInvalid,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// misplaced turns the kinds that say something about one object into
// ErrUnavailable, for a request that is not about one object or names no version.
func misplaced(err error) error {
	absent := errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket)
	if absent || errors.Is(err, ufs.ErrPrecondition) || errors.Is(err, ufs.ErrInvalidRange) {
		return responseError{
			text:    err.Error() + ", which does not fit the request",
			summary: ufs.Summary(err) + ", which does not fit the request",
			kind:    ufs.ErrUnavailable,
		}
	}
	return err
}
