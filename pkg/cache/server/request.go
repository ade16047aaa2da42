package server

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
)

// objectsPath is what the paths of objects start with.
const objectsPath = "/v1/objects/"

// Headers of the byte API beside those of HTTP.
const (
	headerSize      = "Jindo-Size"
	headerRing      = "Jindo-Ring-Epoch"
	headerMount     = "Jindo-Mount-Epoch"
	headerView      = "Jindo-View-Index"
	headerCached    = "Jindo-Only-If-Cached"
	headerSource    = "Jindo-Source"
	maxHeaderLength = 64 << 10
)

// objectRequest is one GET, understood.
type objectRequest struct {
	key blockstore.Key
	// first and last byte of the range, last cut at the end of the object.
	first, last int64
	onlyCached  bool
}

func (r objectRequest) length() int64 { return r.last - r.first + 1 }

// parseObject reads a GET. What it answers is within the object, and its key
// is one that a store of blocks takes.
func parseObject(path string, header http.Header) (objectRequest, *failure) {
	mount, key, ok := parsePath(path)
	if !ok {
		return objectRequest{}, invalid("the path must be " + objectsPath + "{mount id}/{key}, each segment escaped")
	}
	etag, ok := parseETag(header.Get("If-Match"))
	if !ok {
		return objectRequest{}, invalid(`If-Match must hold one strong tag in quotes: the version to read`)
	}
	size, ok := parseNumber(header.Get(headerSize))
	if !ok {
		return objectRequest{}, invalid(headerSize + " must be the size of the object in bytes")
	}
	request := objectRequest{key: blockstore.Key{Mount: mount, Key: key, ETag: etag, Size: size}}
	if err := request.key.Validate(); err != nil {
		return objectRequest{}, invalid(err.Error())
	}
	first, last, ok := parseRange(header.Get("Range"))
	if !ok {
		return objectRequest{}, invalid("Range must be a single bytes=first-last")
	}
	if first >= size {
		return objectRequest{}, &failure{
			http.StatusRequestedRangeNotSatisfiable, codeInvalidRange,
			"the range starts at " + strconv.FormatInt(first, 10) + " of " + strconv.FormatInt(size, 10) + " bytes",
		}
	}
	request.first, request.last = first, min(last, size-1)
	switch header.Get(headerCached) {
	case "", "0":
	case "1":
		request.onlyCached = true
	default:
		return objectRequest{}, invalid(headerCached + " must be 1 or absent")
	}
	return request, nil
}

// parsePath splits an escaped path into mount and key. Segments may be empty:
// keys are no file names.
func parsePath(path string) (mount, key string, ok bool) {
	rest, ok := strings.CutPrefix(path, objectsPath)
	if !ok {
		return "", "", false
	}
	segments := strings.Split(rest, "/")
	if len(segments) < 2 {
		return "", "", false
	}
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return "", "", false
		}
		segments[i] = plain
	}
	key = strings.Join(segments[1:], "/")
	return segments[0], key, segments[0] != "" && key != ""
}

// objectPath is what parsePath reads.
func objectPath(mount, key string) string {
	segments := strings.Split(key, "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return objectsPath + url.PathEscape(mount) + "/" + strings.Join(segments, "/")
}

// parseETag takes one strong tag and answers it without its quotes.
func parseETag(s string) (string, bool) {
	if len(s) < 3 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	tag := s[1 : len(s)-1]
	return tag, !strings.ContainsAny(tag, "\"\r\n\x00")
}

// parseNumber takes digits only.
func parseNumber(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// parseRange takes "bytes=first-last" with both numbers.
func parseRange(s string) (first, last int64, ok bool) {
	spec, ok := strings.CutPrefix(s, "bytes=")
	if !ok {
		return 0, 0, false
	}
	from, to, ok := strings.Cut(spec, "-")
	if !ok {
		return 0, 0, false
	}
	first, ok = parseNumber(from)
	if !ok {
		return 0, 0, false
	}
	last, ok = parseNumber(to)
	return first, last, ok && first <= last
}

// parseContentRange takes "bytes first-last/size".
func parseContentRange(s string) (first, last, size int64, ok bool) {
	spec, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, 0, false
	}
	span, total, ok := strings.Cut(spec, "/")
	if !ok {
		return 0, 0, 0, false
	}
	first, last, ok = parseRange("bytes=" + span)
	if !ok {
		return 0, 0, 0, false
	}
	size, ok = parseNumber(total)
	return first, last, size, ok && last < size
}
