package wire

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestContentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 1<<46).Draw(t, "size")
		r := Request{ETag: drawTag(t), Size: size, First: rapid.Int64Range(0, size-1).Draw(t, "first")}
		r.Last = rapid.Int64Range(r.First, size-1).Draw(t, "last")
		want := Content{ETag: r.ETag, First: r.First, Last: r.Last, Size: size, Source: rapid.SampledFrom([]string{SourceCache, SourceStore}).Draw(t, "source")}
		epochs := Epochs{rapid.Uint64().Draw(t, "ring"), rapid.Uint64().Draw(t, "mount"), rapid.Uint64().Draw(t, "view")}
		h := http.Header{}
		want.SetHeader(h)
		epochs.SetHeader(h)
		got, err := ContentFor(&http.Response{StatusCode: http.StatusPartialContent, Header: h, ContentLength: r.Length()}, r)
		if err != nil || got != want {
			t.Fatalf("decoded %+v, %v, want %+v", got, err, want)
		}
		if got := EpochsOf(h); got != epochs {
			t.Fatalf("epochs are %+v, want %+v", got, epochs)
		}
	})
}

func TestContentForRejectsOtherBytes(t *testing.T) {
	request := Request{ETag: "e", Size: 10, First: 1, Last: 4}
	for name, change := range map[string]func(*http.Response){
		"status 200":       func(r *http.Response) { r.StatusCode = http.StatusOK },
		"no range":         func(r *http.Response) { r.Header.Del("Content-Range") },
		"another range":    func(r *http.Response) { r.Header.Set("Content-Range", "bytes 0-3/10") },
		"another size":     func(r *http.Response) { r.Header.Set("Content-Range", "bytes 1-4/11") },
		"unknown size":     func(r *http.Response) { r.Header.Set("Content-Range", "bytes 1-4/*") },
		"another length":   func(r *http.Response) { r.ContentLength = 5 },
		"unknown length":   func(r *http.Response) { r.ContentLength = -1 },
		"no version":       func(r *http.Response) { r.Header.Del("ETag") },
		"another version":  func(r *http.Response) { r.Header.Set("ETag", `"f"`) },
		"an unquoted etag": func(r *http.Response) { r.Header.Set("ETag", "e") },
	} {
		response := &http.Response{StatusCode: http.StatusPartialContent, Header: http.Header{}, ContentLength: 4}
		Content{ETag: "e", First: 1, Last: 4, Size: 10}.SetHeader(response.Header)
		if _, err := ContentFor(response, request); err != nil {
			t.Fatalf("the unchanged response is rejected: %v", err)
		}
		change(response)
		if c, err := ContentFor(response, request); err == nil {
			t.Errorf("%s: accepted as %+v", name, c)
		}
	}
}

func FuzzParseContent(f *testing.F) {
	f.Add("bytes 0-9/10", `"e"`)
	f.Add("bytes */10", `W/"e"`)
	f.Add("bytes 5-4/3", `"`)
	f.Add("bytes 0-9223372036854775807/9223372036854775807", "\"\x00\"")
	f.Fuzz(func(t *testing.T, contentRange, etag string) {
		h := http.Header{"Content-Range": {contentRange}, "Etag": {etag}}
		c, err := ParseContent(h)
		if err == nil && (c.First < 0 || c.First > c.Last || c.Last >= c.Size || c.ETag == "") {
			t.Errorf("accepted %+v", c)
		}
	})
}

func TestFailureRoundTrip(t *testing.T) {
	for _, want := range []Failure{
		{Status: 412, Code: CodeStale, Message: "version \"e\" is\nstale"},
		{Status: 404, Code: CodeNotFound},
		{Status: 404, Code: CodeNotCached, Message: "ä"},
		{Status: 404, Code: CodeUnknownMount, Message: "no"},
		{Status: 403, Code: CodePermission, Message: "missing oss:GetObject"},
		{Status: 503, Code: CodeThrottled, Message: "busy", RetryAfter: 3 * time.Second},
		{Status: 502, Code: CodeUnavailable, Message: "refused"},
		{Status: 502, Code: CodeNoBucket, Message: "no such bucket"},
		{Status: 502, Code: CodeStoreRefused, Message: "port closed"},
		{Status: 416, Code: CodeInvalidRange, Message: "range"},
		*Invalid("path"),
	} {
		recorder := httptest.NewRecorder()
		want.Write(recorder)
		got, err := ReadFailure(recorder.Result())
		if err != nil || got != want {
			t.Errorf("decoded %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestReadFailureRejectsOtherResponses(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"a page of a proxy":              {404, "<html>not found</html>"},
		"an empty body":                  {404, ""},
		"no code":                        {404, `{"message":"no"}`},
		"stale with another status":      {404, `{"code":"stale"}`},
		"not_found with another status":  {410, `{"code":"not_found"}`},
		"not_cached with another status": {503, `{"code":"not_cached"}`},
		"a success":                      {200, `{"code":"unavailable"}`},
		"a body that is too long":        {404, `{"code":"not_found","message":"` + strings.Repeat("x", maxFailureBytes) + `"}`},
	} {
		response := &http.Response{
			StatusCode: c.status, Header: http.Header{"Retry-After": {"99999999"}}, Body: io.NopCloser(strings.NewReader(c.body)),
		}
		f, err := ReadFailure(response)
		if err == nil {
			t.Errorf("%s: accepted as %+v", name, f)
		}
		if f.Status != c.status || f.Code != "" || f.RetryAfter != maxRetryAfter {
			t.Errorf("%s: returned %+v", name, f)
		}
	}
}

func FuzzReadFailure(f *testing.F) {
	f.Add(404, `{"code":"not_found","message":"m"}`, "1")
	f.Add(412, `{"code":"stale"`, "-1")
	f.Add(200, `{"code":"stale"}`, "soon")
	f.Add(503, `[]`, "9223372036854775807")
	f.Fuzz(func(t *testing.T, status int, body, after string) {
		response := &http.Response{
			StatusCode: status, Header: http.Header{"Retry-After": {after}}, Body: io.NopCloser(strings.NewReader(body)),
		}
		failure, err := ReadFailure(response)
		if failure.RetryAfter < 0 || failure.RetryAfter > maxRetryAfter {
			t.Errorf("RetryAfter is %s", failure.RetryAfter)
		}
		if err == nil && (failure.Code == "" || !failure.Code.fits(status)) {
			t.Errorf("accepted %+v with status %d", failure, status)
		}
	})
}
