package wire

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// Sources of the bytes of a response.
const (
	SourceCache = "cache"
	SourceStore = "store"
)

// Content describes the bytes of a response with status 206.
type Content struct {
	// ETag of the version, without quotes.
	ETag string
	// First and Last byte, both inclusive.
	First, Last int64
	// Size of the object, in bytes.
	Size int64
	// Source is SourceCache or SourceStore.
	Source string
}

// SetHeader writes the content to the header of a response, its length
// included.
func (c Content) SetHeader(h http.Header) {
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(c.Last-c.First+1, 10))
	h.Set("Content-Range", formatContentRange(c.First, c.Last, c.Size))
	h.Set("ETag", formatETag(c.ETag))
	h.Set("Accept-Ranges", "bytes")
	h.Set(HeaderSource, c.Source)
}

// ParseContent decodes the header of a response with status 206.
func ParseContent(h http.Header) (Content, error) {
	first, last, size, ok := parseContentRange(h.Get("Content-Range"))
	if !ok {
		return Content{}, fmt.Errorf("invalid Content-Range %.100q", h.Get("Content-Range"))
	}
	etag, ok := parseETag(h.Get("ETag"))
	if !ok {
		return Content{}, fmt.Errorf("invalid ETag %.100q", h.Get("ETag"))
	}
	return Content{ETag: etag, First: first, Last: last, Size: size, Source: h.Get(HeaderSource)}, nil
}

// ContentFor decodes the header of the response to a request, and returns an
// error unless the bytes that follow are exactly those requested.
func ContentFor(response *http.Response, r Request) (Content, error) {
	if response.StatusCode != http.StatusPartialContent {
		return Content{}, errors.New("status " + response.Status)
	}
	c, err := ParseContent(response.Header)
	if err != nil {
		return Content{}, err
	}
	if c.First != r.First || c.Last != r.Last || c.Size != r.Size {
		return Content{}, fmt.Errorf("Content-Range is %q, want %q",
			formatContentRange(c.First, c.Last, c.Size), formatContentRange(r.First, r.Last, r.Size))
	}
	if response.ContentLength != r.Length() {
		return Content{}, fmt.Errorf("Content-Length is %d, want %d", response.ContentLength, r.Length())
	}
	if c.ETag != r.ETag {
		return Content{}, fmt.Errorf("the bytes are of version %q, want %q", c.ETag, r.ETag)
	}
	return c, nil
}
