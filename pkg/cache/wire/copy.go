package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// CopiesPath is the URL path to which a reader sends a version, as JSON, for which
// the worker on its host assembles a node copy. The status of the response is 200 if
// the worker has all of it, and 202 if it assembles it.
const CopiesPath = "/v1/copies"

// maxCopyBytes bounds the body of such a request.
const maxCopyBytes = 64 << 10

// NewCopyRequest encodes a request for a node copy.
func NewCopyRequest(ctx context.Context, address string, o BatchObject) (*http.Request, error) {
	if err := o.Request().check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode object: %w", err)
	}
	target := url.URL{Scheme: "https", Host: address, Path: CopiesPath}
	return http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
}

// ParseCopy decodes the body of a request for a node copy. The Failure, if not nil,
// is the response to send.
func ParseCopy(body io.Reader) (BatchObject, *Failure) {
	var o BatchObject
	if err := json.NewDecoder(io.LimitReader(body, maxCopyBytes)).Decode(&o); err != nil {
		return BatchObject{}, Invalid("the object is not valid JSON")
	}
	if err := o.Request().check(); err != nil {
		return BatchObject{}, Invalid(err.Error())
	}
	return o, nil
}
