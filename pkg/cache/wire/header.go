package wire

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Headers of the byte API besides those of HTTP, in canonical form.
const (
	// HeaderSize is the size of the object in bytes, in a request.
	HeaderSize = "Jindo-Size"
	// HeaderOnlyIfCached is "1" in a request that must not read the store.
	HeaderOnlyIfCached = "Jindo-Only-If-Cached"
	// HeaderKeep is "1" in the request of a worker that leaves: the owner of the range
	// caches it from that worker, and responds without a body.
	HeaderKeep = "Jindo-Keep"
	// HeaderRingEpoch is the ring epoch of the sender.
	HeaderRingEpoch = "Jindo-Ring-Epoch"
	// HeaderMountEpoch is the epoch of the mount in the worker's view.
	HeaderMountEpoch = "Jindo-Mount-Epoch"
	// HeaderViewIndex is the index of the worker's newest view.
	HeaderViewIndex = "Jindo-View-Index"
	// HeaderSource is where the bytes of a response come from.
	HeaderSource = "Jindo-Source"
)

// MaxHeaderBytes bounds the header of a request. It is above the longest key a
// block store accepts, escaped.
const MaxHeaderBytes = 64 << 10

// Epochs are the versions of a worker's state of the cluster. 0 means that it
// has none.
type Epochs struct {
	Ring, Mount, View uint64
}

// SetHeader writes the epochs to the header of a response.
func (e Epochs) SetHeader(h http.Header) {
	h.Set(HeaderRingEpoch, strconv.FormatUint(e.Ring, 10))
	h.Set(HeaderMountEpoch, strconv.FormatUint(e.Mount, 10))
	h.Set(HeaderViewIndex, strconv.FormatUint(e.View, 10))
}

// EpochsOf returns the epochs in the header of a response. An epoch that is
// missing or malformed is 0, because a response is valid without it.
func EpochsOf(h http.Header) Epochs {
	return Epochs{
		Ring:  parseEpoch(h.Get(HeaderRingEpoch)),
		Mount: parseEpoch(h.Get(HeaderMountEpoch)),
		View:  parseEpoch(h.Get(HeaderViewIndex)),
	}
}

func parseEpoch(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// formatETag returns a strong entity tag. Stores choose their tags, which may
// hold any byte: quotes, as in the weak tag W/"x", line breaks, or bytes that are
// not UTF-8. The tag is therefore escaped like a segment of a path.
func formatETag(etag string) string { return `"` + url.PathEscape(etag) + `"` }

// parseETag decodes one strong entity tag.
func parseETag(s string) (etag string, ok bool) {
	if len(s) < 3 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	escaped := s[1 : len(s)-1]
	if strings.ContainsAny(escaped, "\"\r\n\x00") {
		return "", false
	}
	etag, err := url.PathUnescape(escaped)
	return etag, err == nil && IsETag(etag)
}

// parseNumber parses a number that consists of decimal digits only.
func parseNumber(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func formatSpan(first, last int64) string {
	return strconv.FormatInt(first, 10) + "-" + strconv.FormatInt(last, 10)
}

// parseSpan parses "first-last" with first ≤ last, both required.
func parseSpan(s string) (first, last int64, ok bool) {
	from, to, ok := strings.Cut(s, "-")
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

func formatRange(first, last int64) string { return "bytes=" + formatSpan(first, last) }

func parseRange(s string) (first, last int64, ok bool) {
	span, ok := strings.CutPrefix(s, "bytes=")
	if !ok {
		return 0, 0, false
	}
	return parseSpan(span)
}

func formatContentRange(first, last, size int64) string {
	return "bytes " + formatSpan(first, last) + "/" + strconv.FormatInt(size, 10)
}

func parseContentRange(s string) (first, last, size int64, ok bool) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, 0, false
	}
	span, total, ok := strings.Cut(rest, "/")
	if !ok {
		return 0, 0, 0, false
	}
	first, last, ok = parseSpan(span)
	if !ok {
		return 0, 0, 0, false
	}
	size, ok = parseNumber(total)
	return first, last, size, ok && last < size
}
