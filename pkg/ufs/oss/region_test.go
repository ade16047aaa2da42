package oss_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// TestBucketOfAnotherRegion checks the most common mistake: OSS returns
// AccessDenied with the endpoint of the bucket, which the error must name.
func TestBucketOfAnotherRegion(t *testing.T) {
	address := listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.</Message>
<RequestId>5C3D</RequestId><HostId>x</HostId><Bucket>test-bucket</Bucket><Endpoint>oss-cn-shanghai.aliyuncs.com</Endpoint></Error>`)
	}))
	_, err := open(t, quick(configure("http://"+address, "oss://test-bucket/"))).List(t.Context(), ufs.ListOptions{})
	if !errors.Is(err, ufs.ErrInvalid) || !strings.Contains(err.Error(), "oss-cn-shanghai.aliyuncs.com") || !strings.Contains(err.Error(), "fs.oss.endpoint") {
		t.Errorf("got %v", err)
	}
}
