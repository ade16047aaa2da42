package ufstest

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hostileStore speaks what S3 and OSS have in common, in path style and without
// checking signatures. Without a change it is a good store with one object; each
// behaviour replaces a part of that.
type hostileStore struct {
	url string
	// tag is sent as it is, in headers and listings.
	tag      string
	modified time.Time
	// header changes the header of a success that describes an object.
	header func(h http.Header)
	// respond handles a request and reports whether it did.
	respond func(w http.ResponseWriter, r *http.Request) bool
	// list returns the page for a request, of all pages; nil is one page with the
	// object.
	list func(q url.Values) page
	// rewrite changes the document of a listing.
	rewrite func(document string) string

	// sent counts the bytes of bodies, elsewhere the requests to another host.
	sent, elsewhere atomic.Int64
	// other is the URL of that host.
	other string

	mu      sync.Mutex
	ifMatch []string
}

// page is one page of a listing, as it is sent.
type page struct {
	objects   []listed
	prefixes  []string
	truncated bool
	token     string
	// plain keys are not encoded.
	plain bool
	// prefix is the prefix in the document.
	prefix string
}

// listed is an object with the text of its elements. An element of "-" is left out.
type listed struct{ key, size, tag, modified string }

func newHostileStore(t testing.TB) *hostileStore {
	s := &hostileStore{tag: hostileTag, modified: time.Unix(1700000000, 0).UTC()}
	s.url = serve(t, s)
	s.other = serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.elsewhere.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	return s
}

// conditions returns the If-Match headers that were received.
func (s *hostileStore) conditions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ifMatch)
}

// counted counts the bytes of bodies.
type counted struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

func (c *counted) Flush() { c.ResponseWriter.(http.Flusher).Flush() }

// Unwrap lets http.ResponseController hijack the connection.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (s *hostileStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w = &counted{w, &s.sent}
	w.Header().Set("x-amz-request-id", "request-1")
	w.Header().Set("x-oss-request-id", "request-1")
	if values, has := r.Header["If-Match"]; has {
		s.mu.Lock()
		s.ifMatch = append(s.ifMatch, values...)
		s.mu.Unlock()
	}
	if s.respond != nil && s.respond(w, r) {
		return
	}
	key := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/data"), "/")
	switch {
	case key == "" && r.URL.Query().Has("list-type"):
		s.serveList(w, r)
	case key == "p/"+hostileKey && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		s.serveObject(w, r)
	default:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	}
}

func (s *hostileStore) serveObject(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if s.tag != "" {
		h["ETag"] = []string{s.tag}
	}
	if sent := r.Header.Get("If-Match"); sent != "" && strings.Trim(sent, `"`) != strings.Trim(s.tag, `"`) {
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	h.Set("Last-Modified", s.modified.Format(http.TimeFormat))
	h.Set("Content-Type", "application/octet-stream")
	from, to, status := 0, len(hostileBody), http.StatusOK
	if text, ranged := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ranged {
		first, last, _ := strings.Cut(text, "-")
		from, _ = strconv.Atoi(first)
		if n, err := strconv.Atoi(last); err == nil {
			to = min(to, n+1)
		}
		if from >= len(hostileBody) {
			refuse(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
			return
		}
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(hostileBody)))
	}
	h.Set("Content-Length", strconv.Itoa(to-from))
	if s.header != nil {
		s.header(h)
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(hostileBody[from:to]))
	}
}

func (s *hostileStore) serveList(w http.ResponseWriter, r *http.Request) {
	p := page{objects: []listed{{key: "p/" + hostileKey}}}
	if s.list != nil {
		p = s.list(r.URL.Query())
	}
	document := s.document(p)
	if s.rewrite != nil {
		document = s.rewrite(document)
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write([]byte(document))
}

// document returns the document of a page.
func (s *hostileStore) document(p page) string {
	var b strings.Builder
	element := func(name, text string) {
		if text == "-" {
			return
		}
		b.WriteString("<" + name + ">")
		_ = xml.EscapeText(&b, []byte(text))
		b.WriteString("</" + name + ">")
	}
	key := func(text string) string {
		if p.plain {
			return text
		}
		return url.QueryEscape(text)
	}
	b.WriteString(xml.Header + "<ListBucketResult>")
	if !p.plain {
		element("EncodingType", "url")
	}
	if p.prefix != "" {
		element("Prefix", p.prefix)
	}
	element("IsTruncated", strconv.FormatBool(p.truncated))
	if p.token != "" {
		element("NextContinuationToken", p.token)
	}
	for _, o := range p.objects {
		b.WriteString("<Contents>")
		if o.key == "-" {
			element("Key", "")
		} else {
			element("Key", key(o.key))
		}
		element("Size", defaultText(o.size, strconv.Itoa(len(hostileBody))))
		element("ETag", defaultText(o.tag, strings.ToValidUTF8(s.tag, "?")))
		element("LastModified", defaultText(o.modified, s.modified.Format(time.RFC3339)))
		b.WriteString("<StorageClass>Standard</StorageClass><Owner><ID>1</ID></Owner></Contents>")
	}
	for _, prefix := range p.prefixes {
		b.WriteString("<CommonPrefixes>")
		element("Prefix", key(prefix))
		b.WriteString("</CommonPrefixes>")
	}
	b.WriteString("</ListBucketResult>")
	return b.String()
}

func defaultText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// refuse writes an error of S3 and OSS.
func refuse(w http.ResponseWriter, status int, code string) {
	for _, name := range []string{"Content-Length", "Content-Range", "ETag", "Last-Modified"} {
		delete(w.Header(), name)
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%s<Error><Code>%s</Code><Message>refused</Message><RequestId>request-1</RequestId></Error>", xml.Header, code)
}
