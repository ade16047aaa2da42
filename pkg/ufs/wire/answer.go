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
	// Elsewhere is the endpoint that the store says the bucket belongs to.
	Elsewhere string
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
	why, kind := classify(s, r)
	err := fmt.Errorf("%s %s: %s (%d %s, request %s): %w", s.Act, s.What(), why, r.Status, r.Code, r.RequestID, kind)
	if wait := retryAfter(r.Header, time.Now()); wait > 0 {
		return retry.After(err, wait)
	}
	return err
}

// classify answers the kind and a sentence that says what to do.
func classify(s Subject, r Refusal) (string, error) {
	if r.Elsewhere != "" {
		return fmt.Sprintf("bucket %s belongs to endpoint %s and is not served at %s; correct fs.%s.endpoint", s.Bucket, r.Elsewhere, s.Endpoint, s.Scheme), ufs.ErrInvalid
	}
	if why, kind := classifyCode(s, r.Code); kind != nil {
		return why, kind
	}
	said := strings.TrimSuffix(strings.TrimSpace(r.Message), ".")
	if said == "" {
		said = "the store said no more"
	}
	switch {
	case r.Status == http.StatusBadRequest && strings.Contains(r.Message, "HTTPS"):
		// Web servers respond so to plain HTTP at a port for TLS.
		return fmt.Sprintf("endpoint %s expects TLS; write https:// in fs.%s.endpoint", s.Endpoint, s.Scheme), ufs.ErrInvalid
	case r.Status == http.StatusNotFound && r.isAboutObject():
		return "it is not there", ufs.ErrNotFound
	case r.Status == http.StatusNotFound:
		return fmt.Sprintf("endpoint %s does not answer as a store does; check fs.%s.endpoint", s.Endpoint, s.Scheme), ufs.ErrUnavailable
	case r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden:
		return s.denied() + ", and the store says: " + said, ufs.ErrPermission
	case r.Status == http.StatusPreconditionFailed || r.Status == http.StatusNotModified:
		return "the object is not the version that was asked for", ufs.ErrPrecondition
	case r.Status == http.StatusRequestedRangeNotSatisfiable:
		return "the range lies behind the end", ufs.ErrInvalidRange
	case r.Status == http.StatusTooManyRequests:
		return "the store asks to slow down", ufs.ErrThrottled
	case r.Status == http.StatusServiceUnavailable && r.Header.Get("Retry-After") != "":
		return "the store asks to slow down", ufs.ErrThrottled
	case r.Status == http.StatusNotImplemented:
		return said, ufs.ErrUnsupported
	case r.Status == http.StatusRequestTimeout || r.Status == http.StatusConflict || r.Status >= 500:
		return said, ufs.ErrUnavailable
	case r.Status >= 300 && r.Status < 400:
		return fmt.Sprintf("bucket %s is to be asked elsewhere than %s; check fs.%s.endpoint and fs.%s.region", s.Bucket, s.Endpoint, s.Scheme, s.Scheme), ufs.ErrInvalid
	}
	return said, ufs.ErrInvalid
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
func classifyCode(s Subject, code string) (string, error) {
	option := func(name string) string { return "fs." + s.Scheme + "." + name }
	switch code {
	case "NoSuchBucket":
		return fmt.Sprintf("bucket %s does not exist at endpoint %s; check spec.mounts[].mountPoint and %s", s.Bucket, s.Endpoint, option("endpoint")), ufs.ErrNoBucket
	case "NoSuchUpload":
		return "there is no such upload, or it is complete or aborted", ufs.ErrNotFound
	case "InvalidAccessKeyId", "XAdminUserNotFound": // the latter is versitygw's, a 404
		return fmt.Sprintf("access key id %q is not known at endpoint %s; check %s", s.AccessKeyID, s.Endpoint, option("accessKeyId")), ufs.ErrPermission
	case "SignatureDoesNotMatch":
		return fmt.Sprintf("the signature was refused; check %s, which belongs to access key id %q, and %s", option("accessKeySecret"), s.AccessKeyID, option("region")), ufs.ErrPermission
	case "InvalidSecurityToken", "SecurityTokenExpired", "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return fmt.Sprintf("the security token is wrong or has expired; renew %s", option("securityToken")), ufs.ErrPermission
	case "RequestTimeTooSkewed":
		return "the clock of this host and the store's differ by more than 15 minutes; set this host's clock", ufs.ErrPermission
	case "FileAlreadyExists", "ObjectAlreadyExists":
		return "the object is there already", ufs.ErrPrecondition
	case "SlowDown", "TooManyRequests", "Throttling", "QpsLimitExceeded", "TotalQpsLimitExceeded", "RequestLimitExceeded",
		"DownloadTrafficRateLimitExceeded", "UploadTrafficRateLimitExceeded":
		return "the store asks to slow down", ufs.ErrThrottled
	case "ServiceUnavailable", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict":
		return "the store cannot answer now", ufs.ErrUnavailable
	case "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return fmt.Sprintf("the region does not fit the bucket; check %s", option("region")), ufs.ErrInvalid
	case "ExistingObjectIsDirectory", "ObjectParentIsFile", "XMinioObjectExistsAsDirectory", "XMinioParentIsObject":
		return "the store keeps objects as files and cannot hold the key beside one that is a file or directory of the same name", ufs.ErrInvalid
	case "InvalidObjectState":
		return "the object is archived and must be restored before it can be read", ufs.ErrPermission
	}
	return "", nil
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
