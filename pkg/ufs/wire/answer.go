package wire

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
)

// Refusal is an error answer of a store.
type Refusal struct {
	Status    int
	Code      string
	Message   string
	RequestID string
	Header    http.Header
}

// Subject says what was asked, for the sentence about a refusal.
type Subject struct {
	// Scheme is "oss" or "s3"; it starts the names of the options.
	Scheme   string
	Bucket   string
	Endpoint string
	// Act and Key: "reading" "a/b"; Key is empty for a bucket.
	Act string
	Key string
	// Right that the request needs: "oss:GetObject".
	Right string
	// AccessKeyID that signed it; empty for none.
	AccessKeyID string
}

// What names the object or bucket.
func (s Subject) What() string {
	bucket := s.Scheme + "://" + s.Bucket + "/"
	if s.Key == "" {
		return bucket
	}
	return bucket + s.Key
}

// Explain makes one of the errors of package ufs of a refusal.
func Explain(s Subject, r Refusal) error {
	kind, why := classify(s, r)
	err := fmt.Errorf("%s %s: %s (%d %s, request %s): %w", s.Act, s.What(), why, r.Status, r.Code, r.RequestID, kind)
	if wait := retryAfter(r.Header, time.Now()); wait > 0 {
		return retry.After(err, wait)
	}
	return err
}

// classify answers the kind and a sentence that says what to do.
func classify(s Subject, r Refusal) (error, string) {
	if kind, why := classifyCode(s, r.Code); kind != nil {
		return kind, why
	}
	said := strings.TrimSuffix(strings.TrimSpace(r.Message), ".")
	if said == "" {
		said = "the store said no more"
	}
	switch {
	case r.Status == http.StatusNotFound && r.isAboutObject():
		return ufs.ErrNotFound, "it is not there"
	case r.Status == http.StatusNotFound:
		return ufs.ErrUnavailable, fmt.Sprintf("endpoint %s does not answer as a store does; check fs.%s.endpoint", s.Endpoint, s.Scheme)
	case r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden:
		return ufs.ErrPermission, s.denied()
	case r.Status == http.StatusPreconditionFailed || r.Status == http.StatusNotModified:
		return ufs.ErrPrecondition, "the object is not the version that was asked for"
	case r.Status == http.StatusRequestedRangeNotSatisfiable:
		return ufs.ErrInvalidRange, "the range lies behind the end"
	case r.Status == http.StatusTooManyRequests:
		return ufs.ErrThrottled, "the store asks to slow down"
	case r.Status == http.StatusServiceUnavailable && r.Header.Get("Retry-After") != "":
		return ufs.ErrThrottled, "the store asks to slow down"
	case r.Status == http.StatusNotImplemented:
		return ufs.ErrUnsupported, said
	case r.Status == http.StatusRequestTimeout || r.Status == http.StatusConflict || r.Status >= 500:
		return ufs.ErrUnavailable, said
	case r.Status >= 300 && r.Status < 400:
		return ufs.ErrInvalid, fmt.Sprintf("bucket %s is to be asked elsewhere than %s; check fs.%s.endpoint and fs.%s.region", s.Bucket, s.Endpoint, s.Scheme, s.Scheme)
	}
	return ufs.ErrInvalid, said
}

// isAboutObject tells a store's 404 from that of some other web server at the
// endpoint, which must never pass for a deletion.
func (r Refusal) isAboutObject() bool {
	switch r.Code {
	case "NoSuchKey", "NoSuchVersion", "SymlinkTargetNotExist":
		return true
	case "", "NotFound": // to a HEAD
		return r.RequestID != ""
	}
	return false
}

// classifyCode knows the codes that mean more, or something else, than their
// status. A nil kind means it does not.
func classifyCode(s Subject, code string) (error, string) {
	option := func(name string) string { return "fs." + s.Scheme + "." + name }
	switch code {
	case "NoSuchBucket":
		return ufs.ErrNoBucket, fmt.Sprintf("bucket %s does not exist at endpoint %s; check spec.mounts[].mountPoint and %s", s.Bucket, s.Endpoint, option("endpoint"))
	case "NoSuchUpload":
		return ufs.ErrNotFound, "there is no such upload, or it is complete or aborted"
	case "InvalidAccessKeyId", "XAdminUserNotFound": // the latter is versitygw's, a 404
		return ufs.ErrPermission, fmt.Sprintf("access key id %q is not known at endpoint %s; check %s", s.AccessKeyID, s.Endpoint, option("accessKeyId"))
	case "SignatureDoesNotMatch":
		return ufs.ErrPermission, fmt.Sprintf("the signature was refused; check %s, which belongs to access key id %q, and %s", option("accessKeySecret"), s.AccessKeyID, option("region"))
	case "InvalidSecurityToken", "SecurityTokenExpired", "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return ufs.ErrPermission, fmt.Sprintf("the security token is wrong or has expired; renew %s", option("securityToken"))
	case "RequestTimeTooSkewed":
		return ufs.ErrPermission, "the clock of this host and the store's differ by more than 15 minutes; set this host's clock"
	case "FileAlreadyExists", "ObjectAlreadyExists":
		return ufs.ErrPrecondition, "the object is there already"
	case "SlowDown", "TooManyRequests", "Throttling", "QpsLimitExceeded", "TotalQpsLimitExceeded", "RequestLimitExceeded",
		"DownloadTrafficRateLimitExceeded", "UploadTrafficRateLimitExceeded":
		return ufs.ErrThrottled, "the store asks to slow down"
	case "ServiceUnavailable", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict":
		return ufs.ErrUnavailable, "the store cannot answer now"
	case "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return ufs.ErrInvalid, fmt.Sprintf("the region does not fit the bucket; check %s", option("region"))
	case "ExistingObjectIsDirectory", "ObjectParentIsFile", "XMinioObjectExistsAsDirectory", "XMinioParentIsObject":
		return ufs.ErrInvalid, "the store keeps objects as files and cannot hold the key beside one that is a file or directory of the same name"
	case "InvalidObjectState":
		return ufs.ErrPermission, "the object is archived and must be restored before it can be read"
	}
	return nil, ""
}

// denied says which right is missing, or that there are no credentials.
func (s Subject) denied() string {
	if s.AccessKeyID == "" {
		return fmt.Sprintf("the bucket is not public and there are no credentials; give fs.%s.accessKeyId and fs.%s.accessKeySecret", s.Scheme, s.Scheme)
	}
	return fmt.Sprintf("access key id %q lacks the right %s", s.AccessKeyID, s.Right)
}

// retryAfter reads seconds or a date.
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

// HasKind says whether an error is one of package ufs already.
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
