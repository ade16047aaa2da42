package wire

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// hostile are names and tags that break encodings, logs or file systems. Each is
// a valid name.
func hostile() []string {
	return []string{
		"\xff", "latin-\xf6", "\xed\xa0\x80", "\xc0\xaf", "\xf8\x88\x80\x80\x80", // not UTF-8, a surrogate, overlong encodings
		"line\nfeed", "carriage\rreturn", "crlf\r\nX-Injected: 1", "tab\t", "\x01\x1b[31m\x7f", // control characters
		" ", " lead", "trail ", "%", "%2e%2e", "%zz", "a%00b", "+", "?q=1", "#f", `"`, `W/"abc"`[3:], `\`, "...", "~", "*", // syntax
		"\u00e4", "a\u0308", "\u202e", "\ufeff", "\ufffd", // the same letter composed and decomposed; direction; a byte order mark
		strings.Repeat("\xff", MaxName), strings.Repeat("%", MaxName),
	}
}

// received returns a request as a server receives it over a connection.
func received(t *testing.T, r Request) (Request, *Failure) {
	t.Helper()
	request, err := NewHTTPRequest(t.Context(), "worker-0:18005", r)
	if err != nil {
		t.Fatalf("%#v: %v", r, err)
	}
	var sent bytes.Buffer
	if err := request.Write(&sent); err != nil {
		t.Fatalf("%#v: %v", r, err)
	}
	arrived, err := http.ReadRequest(bufio.NewReader(&sent))
	if err != nil {
		t.Fatalf("%#v: %v", r, err)
	}
	return ParseRequest(arrived.URL.EscapedPath(), arrived.Header)
}

func TestHostileNamesCrossTheWire(t *testing.T) {
	tags := append(hostile(), `W/"abc"`, `"`, "\x00", `a"b`, strings.Repeat("\xff", MaxETag))
	for _, name := range hostile() {
		if !IsName(name) {
			t.Errorf("%q is not a name", name)
		}
		for _, key := range []string{name, "dir/" + name, name + "/" + name} {
			for _, tag := range tags {
				want := Request{Mount: "m1", Key: key, ETag: tag, Size: 10, First: 1, Last: 4}
				if got, failure := received(t, want); failure != nil || got != want {
					t.Errorf("received %#v, %+v, want %#v", got, failure, want)
				}
				h := http.Header{}
				Content{ETag: tag, First: 1, Last: 4, Size: 10, Source: SourceStore}.SetHeader(h)
				if c, err := ParseContent(h); err != nil || c.ETag != tag {
					t.Errorf("tag %q: decoded %#v, %v", tag, c, err)
				}
			}
		}
	}
}

func TestIsPath(t *testing.T) {
	for path, want := range map[string]bool{
		"": true, "a": true, "a/b": true, "\xff/\n": true,
		"/a": false, "a/": false, "a//b": false, ".": false, "a/../b": false, "a/./b": false, "a\x00": false,
		strings.Repeat("n", MaxName): true, strings.Repeat("n", MaxName+1): false,
		strings.TrimSuffix(strings.Repeat("n/", MaxKey/2), "/"): true, strings.Repeat("n/", MaxKey/2) + "nn": false,
	} {
		if got := IsPath(path); got != want {
			t.Errorf("IsPath of %.40q (%d bytes) is %v", path, len(path), got)
		}
		if got := IsKey(path); got != (want && path != "") {
			t.Errorf("IsKey of %.40q (%d bytes) is %v", path, len(path), got)
		}
	}
}

// A request that no worker can serve is not sent.
func TestNewHTTPRequestRejects(t *testing.T) {
	valid := Request{Mount: "m1", Key: "a", ETag: "e", Size: 10, First: 1, Last: 4}
	for name, change := range map[string]func(*Request){
		"no mount":         func(r *Request) { r.Mount = "" },
		"a long mount":     func(r *Request) { r.Mount = strings.Repeat("m", MaxMount+1) },
		"no key":           func(r *Request) { r.Key = "" },
		"a long key":       func(r *Request) { r.Key = strings.Repeat("k", MaxKey+1) },
		"no tag":           func(r *Request) { r.ETag = "" },
		"a long tag":       func(r *Request) { r.ETag = strings.Repeat("e", MaxETag+1) },
		"a negative range": func(r *Request) { r.First = -1 },
		"a reversed range": func(r *Request) { r.First = 5 },
	} {
		r := valid
		change(&r)
		if _, err := NewHTTPRequest(t.Context(), "worker-0:18005", r); err == nil {
			t.Errorf("%s: a request was made", name)
		}
	}
	if _, err := NewHTTPRequest(t.Context(), "worker-0:18005", valid); err != nil {
		t.Error(err)
	}
}

// Every name and tag, of any bytes, arrives as it was sent, and the longest fit
// the limit of headers.
func FuzzRequestOnTheWire(f *testing.F) {
	for _, name := range hostile() {
		f.Add(name, `W/"`+name+`"`)
	}
	f.Add(strings.Repeat("\xff/", MaxKey/2), strings.Repeat("\n", MaxETag))
	f.Fuzz(func(t *testing.T, key, tag string) {
		want := Request{Mount: "m1", Key: key, ETag: tag, Size: 10, First: 1, Last: 4}
		request, err := NewHTTPRequest(t.Context(), "worker-0:18005", want)
		if err != nil {
			return
		}
		if n := len(request.URL.EscapedPath()) + len(request.Header.Get("If-Match")); n > MaxHeaderBytes/2 {
			t.Errorf("%d bytes of headers", n)
		}
		if got, failure := received(t, want); failure != nil || got != want {
			t.Errorf("received %#v, %+v, want %#v", got, failure, want)
		}
	})
}
