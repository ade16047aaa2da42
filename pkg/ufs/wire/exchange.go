package wire

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Limits of what is read of a response into memory, in bytes. A page of 1000 keys
// of 1024 bytes, each byte escaped, has less than 5 MB.
const (
	maxDocument = 8 << 20
	maxError    = 64 << 10
	maxHeader   = 256 << 10
)

// exchange is the response to an attempt as it was received. The drivers' SDKs
// only sign and send requests: what a response means is decided here, from its
// status, header and body, so that it is the same for every driver.
type exchange struct {
	// stream is set if the body of a success is an object's bytes. The guard does
	// not read it.
	stream bool
	// stub, unless empty, replaces the body of a success for the SDK, which would
	// decode it a second time.
	stub string

	method string
	status int // 0 if no response was received
	header http.Header
	// length is the Content-Length; -1 if unknown.
	length int64
	// body is the body unless it is a stream; of an error, its beginning.
	body []byte
}

type exchangeKey struct{}

// exchangeOf returns the exchange of an attempt.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}

// guard bounds and records the responses of a store. It reads every body that is
// not a stream to its end or its limit, so that no SDK reads without a limit or
// leaves a connection that cannot be used again.
type guard struct{ next http.RoundTripper }

// RoundTrip sends a request.
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := g.next.RoundTrip(prepare(r))
	if err != nil {
		return nil, err //nolint:wrapcheck // a RoundTripper like the one it wraps
	}
	x := exchangeOf(r.Context())
	x.method, x.status, x.header, x.length = r.Method, response.StatusCode, response.Header, response.ContentLength
	if x.stream && x.succeeded() {
		return response, nil
	}
	if x.body, err = readBody(response); err != nil {
		return nil, fmt.Errorf("read the response (%s): %w", response.Status, err)
	}
	sent := x.body
	if x.stub != "" && x.succeeded() {
		sent = []byte(x.stub)
	}
	response.Body = io.NopCloser(bytes.NewReader(sent))
	if r.Method != http.MethodHead {
		response.ContentLength = int64(len(sent))
	}
	return response, nil
}

// CloseIdleConnections closes those of the transport below.
func (g guard) CloseIdleConnections() { (&http.Client{Transport: g.next}).CloseIdleConnections() }

// prepare returns the request as it is sent. An empty body gets "Content-Length:
// 0": the drivers know the length, but net/http takes 0 for unknown if there is a
// body, and sends it chunked. Encodings are refused, because a store that
// compresses sends other bytes than those it stores.
func prepare(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	if r.ContentLength == 0 && r.Body != nil && r.Body != http.NoBody {
		_ = r.Body.Close()
		r.Body = http.NoBody
	}
	if r.Header.Get("Accept-Encoding") == "" {
		r.Header.Set("Accept-Encoding", "identity")
	}
	return r
}

// readBody reads a body and closes it. Of an error response it returns what it
// could read: the status is the error.
func readBody(response *http.Response) ([]byte, error) {
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusMultipleChoices {
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxError))
		return body, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err == nil && len(body) > maxDocument {
		err = fmt.Errorf("it is longer than %d bytes", maxDocument)
	}
	return body, err
}

func (x *exchange) succeeded() bool { return x.status >= 200 && x.status < http.StatusMultipleChoices }

// encoded reports whether the body is compressed or encoded otherwise.
func (x *exchange) encoded() bool {
	encoding := strings.ToLower(strings.TrimSpace(x.header.Get("Content-Encoding")))
	return encoding != "" && encoding != "identity" && encoding != "aws-chunked"
}

// metadata returns the user metadata in the header.
func (x *exchange) metadata(prefix string) map[string]string {
	metadata := map[string]string{}
	for name, values := range x.header {
		if len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			metadata[strings.ToLower(name[len(prefix):])] = strings.Join(values, ",")
		}
	}
	return metadata
}

// refusal returns the error response, if it is one. A success whose body is an
// error document is one too: stores send it when a request fails after its header
// was sent.
func (x *exchange) refusal() (ErrorResponse, bool) {
	if x.status == 0 || x.succeeded() && (x.stream || !isErrorDocument(x.body)) {
		return ErrorResponse{}, false
	}
	r := ErrorResponse{Status: x.status, Header: x.header, Head: x.method == http.MethodHead}
	body := x.body
	if len(body) == 0 { // OSS's response to a HEAD
		body, _ = base64.StdEncoding.DecodeString(x.header.Get("X-Oss-Err"))
	}
	r.parse(body)
	for _, name := range []string{"X-Amz-Request-Id", "X-Oss-Request-Id"} {
		if id := x.header.Get(name); r.RequestID == "" {
			r.RequestID = clean(id, maxCode)
		}
	}
	return r, true
}

// unreadable returns the error for a success that is not what a store sends.
func unreadable(format string, args ...any) error {
	return fmt.Errorf("the store's response is not valid: %w: %w", fmt.Errorf(format, args...), ufs.ErrUnavailable)
}
