package wire

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func TestExplain(t *testing.T) {
	subject := Subject{Scheme: "oss", Bucket: "data", Endpoint: "https://oss.test", Act: "reading", Key: "a/b", Right: "oss:GetObject", AccessKeyID: "LTAI"}
	for _, test := range []struct {
		name     string
		response ErrorResponse
		kind     error
		messages []string
	}{
		{"key", ErrorResponse{Status: 404, Code: "NoSuchKey", RequestID: "r1"}, ufs.ErrNotFound, []string{"oss://data/a/b", "r1"}},
		{"key of a HEAD", ErrorResponse{Status: 404, RequestID: "r1", Head: true}, ufs.ErrNotFound, nil},
		{"bucket", ErrorResponse{Status: 404, Code: "NoSuchBucket"}, ufs.ErrNoBucket, []string{"bucket data does not exist at endpoint https://oss.test", "spec.mounts[].mountPoint", "fs.oss.endpoint"}},
		{"404 of another server", ErrorResponse{Status: 404}, ufs.ErrUnavailable, []string{"fs.oss.endpoint"}},
		{"404 without a code", ErrorResponse{Status: 404, RequestID: "r1"}, ufs.ErrUnavailable, nil},
		{"500 with a key's code", ErrorResponse{Status: 500, Code: "NoSuchKey"}, ufs.ErrUnavailable, nil},
		{"500 with a bucket's code", ErrorResponse{Status: 500, Code: "NoSuchBucket"}, ufs.ErrUnavailable, nil},
		{"403 with a bucket's code", ErrorResponse{Status: 403, Code: "NoSuchBucket"}, ufs.ErrPermission, nil},
		{"200 with a key's code", ErrorResponse{Status: 200, Code: "NoSuchKey"}, ufs.ErrUnavailable, nil},
		{"200 with an error", ErrorResponse{Status: 200, Code: "InternalError"}, ufs.ErrUnavailable, nil},
		{"200 that is throttled", ErrorResponse{Status: 200, Code: "SlowDown"}, ufs.ErrThrottled, nil},
		{"a key that cannot be", ErrorResponse{Status: 400, Code: "KeyTooLongError"}, ufs.ErrInvalidKey, nil},
		{"503 for such a key", ErrorResponse{Status: 503, Code: "KeyTooLongError"}, ufs.ErrUnavailable, nil},
		{"304", ErrorResponse{Status: 304}, ufs.ErrUnavailable, nil},
		{"404 of a page", ErrorResponse{Status: 404, Code: "BadErrorResponse"}, ufs.ErrUnavailable, nil},
		{"versitygw's unknown key", ErrorResponse{Status: 404, Code: "XAdminUserNotFound", RequestID: "r1"}, ufs.ErrPermission, []string{"LTAI", "fs.oss.accessKeyId"}},
		{"denied", ErrorResponse{Status: 403, Code: "AccessDenied"}, ufs.ErrPermission, []string{"oss:GetObject", "LTAI"}},
		{"another region", ErrorResponse{Status: 403, Code: "AccessDenied", OtherEndpoint: "oss-cn-beijing.test"}, ufs.ErrInvalid, []string{"bucket data belongs to endpoint oss-cn-beijing.test", "fs.oss.endpoint"}},
		{"denied with a reason", ErrorResponse{Status: 403, Code: "AccessDenied", Message: "no policy."}, ufs.ErrPermission, []string{"the store reports: no policy ("}},
		{"unknown key id", ErrorResponse{Status: 403, Code: "InvalidAccessKeyId"}, ufs.ErrPermission, []string{"fs.oss.accessKeyId", "LTAI"}},
		{"wrong secret", ErrorResponse{Status: 403, Code: "SignatureDoesNotMatch"}, ufs.ErrPermission, []string{"fs.oss.accessKeySecret"}},
		{"clock", ErrorResponse{Status: 403, Code: "RequestTimeTooSkewed"}, ufs.ErrPermission, []string{"clock"}},
		{"token", ErrorResponse{Status: 403, Code: "SecurityTokenExpired"}, ufs.ErrPermission, []string{"fs.oss.securityToken"}},
		{"archived", ErrorResponse{Status: 403, Code: "InvalidObjectState"}, ufs.ErrPermission, []string{"archived"}},
		{"precondition", ErrorResponse{Status: 412, Code: "PreconditionFailed"}, ufs.ErrPrecondition, nil},
		{"exists", ErrorResponse{Status: 409, Code: "FileAlreadyExists"}, ufs.ErrPrecondition, nil},
		{"conflict", ErrorResponse{Status: 409, Code: "OperationAborted"}, ufs.ErrUnavailable, nil},
		{"range", ErrorResponse{Status: 416, Code: "InvalidRange"}, ufs.ErrInvalidRange, nil},
		{"too many", ErrorResponse{Status: 429}, ufs.ErrThrottled, nil},
		{"slow down", ErrorResponse{Status: 503, Code: "SlowDown"}, ufs.ErrThrottled, nil},
		{"retry later", ErrorResponse{Status: 503, Code: "X", Header: http.Header{"Retry-After": {"3"}}}, ufs.ErrThrottled, nil},
		{"down", ErrorResponse{Status: 503, Code: "ServiceUnavailable"}, ufs.ErrUnavailable, nil},
		{"internal", ErrorResponse{Status: 500, Code: "InternalError"}, ufs.ErrUnavailable, nil},
		{"not implemented", ErrorResponse{Status: 501, Code: "NotImplemented"}, ufs.ErrUnsupported, nil},
		{"redirect", ErrorResponse{Status: 301}, ufs.ErrInvalid, []string{"fs.oss.endpoint", "fs.oss.region"}},
		{"argument", ErrorResponse{Status: 400, Code: "InvalidArgument", Message: "max-keys is wrong."}, ufs.ErrInvalid, []string{"max-keys is wrong ("}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Explain(subject, test.response)
			if !errors.Is(err, test.kind) {
				t.Errorf("got %v, want %v", err, test.kind)
			}
			for _, message := range append(test.messages, "reading oss://data/a/b") {
				if !strings.Contains(err.Error(), message) {
					t.Errorf("%q does not contain %q", err, message)
				}
			}
		})
	}
}

// Requests that fail for one reason have one summary, without what identifies the
// request and its credentials.
func TestSummariesAreStable(t *testing.T) {
	for _, code := range []string{"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InternalError"} {
		summaries := map[string]bool{}
		for i := range 3 {
			id := fmt.Sprint(i)
			subject := Subject{Scheme: "s3", Bucket: "data", Endpoint: "https://s3.test", Act: "reading", Key: "key" + id, Right: "s3:GetObject", AccessKeyID: "AKIA" + id}
			err := Explain(subject, ErrorResponse{Status: 403, Code: code, RequestID: "request" + id, Message: "AKIA" + id + " is not allowed"})
			for _, full := range []string{"request" + id, "key" + id, "AKIA" + id} {
				if !strings.Contains(err.Error(), full) {
					t.Errorf("%q does not contain %s", err, full)
				}
			}
			summaries[ufs.Summary(fmt.Errorf("mount m: %w", misplaced(err)))] = true
		}
		if len(summaries) != 1 {
			t.Errorf("%s has several summaries: %v", code, summaries)
		}
		for summary := range summaries {
			if !strings.Contains(summary, "s3://data/") || strings.Contains(summary, "AKIA") || strings.Contains(summary, "request") {
				t.Errorf("summary %q", summary)
			}
		}
	}
}

func TestAnonymousRequestIsExplained(t *testing.T) {
	err := Explain(Subject{Scheme: "s3", Bucket: "data", Act: "listing"}, ErrorResponse{Status: 403, Code: "AccessDenied"})
	if !strings.Contains(err.Error(), "no credentials were given") || !strings.Contains(err.Error(), "fs.s3.accessKeySecret") {
		t.Errorf("got %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"-5":                            0,
		"120":                           2 * time.Minute,
		"99999999":                      time.Hour,
		"Thu, 01 Jan 2026 00:00:30 GMT": 30 * time.Second,
		"Thu, 01 Jan 2020 00:00:30 GMT": 0,
		"soon":                          0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}
