package ossserver

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const metaHeader = "X-Oss-Meta-"

// maxMeta is OSS's limit of the user metadata of an object, in bytes.
const maxMeta = 8 << 10

func quote(etag string) string { return `"` + etag + `"` }

// userMeta returns the user metadata of headers, with keys in lower case.
func userMeta(header http.Header) (map[string]string, error) {
	meta := map[string]string{}
	size := 0
	for name, values := range header {
		if key, is := strings.CutPrefix(name, metaHeader); is && key != "" {
			meta[strings.ToLower(key)] = strings.Join(values, ",")
			size += len(key) + len(values[0])
		}
	}
	if size > maxMeta {
		return nil, fail(http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.")
	}
	return meta, nil
}

// headers sets the headers of an object.
func (b *bucket) headers(header http.Header, o *object) {
	header.Set("ETag", quote(o.etag))
	header.Set("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Accept-Ranges", "bytes")
	header.Set("x-oss-object-type", "Normal")
	header.Set("x-oss-storage-class", "Standard")
	if o.hasCRC {
		header.Set("x-oss-hash-crc64ecma", strconv.FormatUint(o.crc, 10))
	}
	for key, value := range o.meta {
		header.Set(metaHeader+key, value)
	}
	b.versioned(header, o)
}

// get handles GetObject and HeadObject.
func (b *bucket) get(w *response, r *http.Request, c call) error {
	o, err := b.open(r.Context(), c.key)
	if err != nil {
		return err
	}
	defer o.close()
	if err := conditions(r.Header, "If-Match", "If-None-Match", o); err != nil {
		return notModified(w, err)
	}
	b.headers(w.Header(), o)
	if w.fault.WeakTags {
		w.Header().Set("ETag", "W/"+quote(o.etag))
	}
	begin, length, status := int64(0), o.size, http.StatusOK
	if r.Method == http.MethodGet {
		standard := r.Header.Get("x-oss-range-behavior") == "standard"
		if begin, length, status, err = span(r.Header.Get("Range"), o.size, standard); err != nil {
			return err
		}
		if status == http.StatusPartialContent {
			begin = min(begin+w.fault.Shift, o.size-1)
			length = min(length, o.size-begin)
		}
	}
	if status == http.StatusPartialContent {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", begin, begin+length-1, o.size))
	}
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	if length == 0 {
		return nil
	}
	if _, err := o.content.Seek(begin, io.SeekStart); err != nil {
		return err
	}
	buffer := make([]byte, min(length, 256<<10))
	n, err := io.CopyBuffer(w, io.LimitReader(o.content, length), buffer)
	if err == nil && n < length {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// span parses a Range header as OSS does: one that is malformed or not within the
// object is ignored and the whole object returned, unless the standard behaviour
// was requested.
func span(header string, size int64, standard bool) (begin, length int64, status int, err error) {
	whole := func() (int64, int64, int, error) { return 0, size, http.StatusOK, nil }
	spec, is := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !is || !dash {
		return whole()
	}
	end := size - 1
	if first == "" { // the last bytes
		n, perr := strconv.ParseInt(last, 10, 64)
		if perr != nil || n <= 0 {
			return whole()
		}
		begin = max(0, size-n)
	} else {
		var perr error
		if begin, perr = strconv.ParseInt(first, 10, 64); perr != nil || begin < 0 {
			return whole()
		}
		if last != "" {
			if end, perr = strconv.ParseInt(last, 10, 64); perr != nil || end < begin {
				return whole()
			}
		}
	}
	if begin >= size || end >= size {
		if !standard {
			return whole()
		}
		end = size - 1
	}
	if begin >= size {
		return 0, 0, 0, &failure{status: http.StatusRequestedRangeNotSatisfiable, code: "InvalidRange", message: "The requested range cannot be satisfied."}
	}
	return begin, end - begin + 1, http.StatusPartialContent, nil
}

// conditions checks tags against the named headers of a get, or of a copy's source.
func conditions(header http.Header, match, noneMatch string, o *object) error {
	if want := header.Get(match); want != "" && strings.Trim(want, `"`) != o.etag {
		return &failure{status: http.StatusPreconditionFailed, code: "PreconditionFailed", message: "At least one of the pre-conditions you specified did not hold."}
	}
	if not := header.Get(noneMatch); not != "" && strings.Trim(not, `"`) == o.etag {
		return &failure{status: http.StatusNotModified, code: "NotModified"}
	}
	return nil
}

// notModified sends a 304 without a body.
func notModified(w *response, err error) error {
	if f, is := err.(*failure); is && f.status == http.StatusNotModified { //nolint:errorlint // made above
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return err
}

// put handles PutObject.
func (b *bucket) put(w *response, r *http.Request, c call) error {
	if r.ContentLength < 0 {
		return fail(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	meta, err := userMeta(r.Header)
	if err != nil {
		return err
	}
	body := &countedReader{from: r.Body, counts: w.counts, kind: c.kind}
	o, err := b.contents.put(r.Context(), c.key, body, r.ContentLength, meta, b.forbids(r))
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("ETag", quote(o.etag))
	if o.hasCRC {
		header.Set("x-oss-hash-crc64ecma", strconv.FormatUint(o.crc, 10))
	}
	b.versioned(header, o)
	header.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

// remove handles DeleteObject, which has no conditions.
func (b *bucket) remove(w *response, c call) error {
	if err := b.contents.remove(w.ctx, c.key); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type xmlCopy struct {
	XMLName      xml.Name `xml:"CopyObjectResult"`
	ETag         string   `xml:"ETag"`
	LastModified string   `xml:"LastModified"`
}

// copy handles CopyObject.
func (s *Server) copy(w *response, r *http.Request, to *bucket, c call) error {
	source, err := url.PathUnescape(strings.TrimPrefix(r.Header.Get("x-oss-copy-source"), "/"))
	name, key, found := strings.Cut(source, "/")
	if err != nil || !found || key == "" {
		return fail(http.StatusBadRequest, "InvalidArgument", "Copy source must mention the source bucket and key: /sourcebucket/sourcekey.")
	}
	from, err := s.bucket(name)
	if err != nil {
		return err
	}
	o, err := from.open(r.Context(), key)
	if err != nil {
		return err
	}
	defer o.close()
	if err := conditions(r.Header, "x-oss-copy-source-if-match", "x-oss-copy-source-if-none-match", o); err != nil {
		return notModified(w, err)
	}
	meta := o.meta
	if strings.EqualFold(r.Header.Get("x-oss-metadata-directive"), "REPLACE") {
		if meta, err = userMeta(r.Header); err != nil {
			return err
		}
	}
	made, err := to.contents.put(r.Context(), c.key, o.content, o.size, meta, to.forbids(r))
	if err != nil {
		return err
	}
	to.versioned(w.Header(), made)
	return writeXML(w, xmlCopy{ETag: quote(made.etag), LastModified: xmlTime(made.modified)})
}

// Object describes an object to tests.
type Object struct {
	Key          string
	Size         int64
	ETag         string
	LastModified time.Time
	Metadata     map[string]string
}

func public(o *object) Object {
	return Object{Key: o.key, Size: o.size, ETag: o.etag, LastModified: o.modified, Metadata: o.meta}
}
