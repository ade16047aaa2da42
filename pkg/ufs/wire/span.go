package wire

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// RangeHeader returns the Range header of a range of at least one byte, "" for
// the whole object.
func RangeHeader(r ufs.Range) string {
	switch {
	case r == ufs.Whole:
		return ""
	case r.Length < 0:
		return fmt.Sprintf("bytes=%d-", r.Offset)
	}
	return fmt.Sprintf("bytes=%d-%d", r.Offset, r.Offset+r.Length-1)
}

// Span is the range that a response to a GET contains.
type Span struct {
	// Length of the body to use, and Size of the whole object, in bytes.
	Length, Size int64
}

// CheckSpan compares the headers of a response with the requested range, so that
// other bytes are never used in their place.
func CheckSpan(r ufs.Range, status int, contentLength int64, contentRange string) (Span, error) {
	wrong := func(why string) (Span, error) {
		return Span{}, fmt.Errorf("the store responded with status %d, Content-Length %d and Content-Range %q to %q, %s: %w",
			status, contentLength, contentRange, RangeHeader(r), why, ufs.ErrUnavailable)
	}
	if contentLength < 0 {
		return wrong("and its length cannot be checked")
	}
	if status == http.StatusOK {
		if r.Offset != 0 {
			return wrong("so it ignored the range")
		}
		span := Span{Length: contentLength, Size: contentLength}
		if r.Length >= 0 {
			span.Length = min(r.Length, contentLength)
		}
		return span, nil
	}
	first, last, size, ok := parseContentRange(contentRange)
	switch {
	case status != http.StatusPartialContent || !ok:
		return wrong("which does not fit the request")
	case first != r.Offset:
		return wrong("which starts elsewhere")
	case last-first+1 != contentLength:
		return wrong("which contradict each other")
	}
	want, err := ufs.ClampRange(r, size)
	if err != nil || want != contentLength {
		return wrong("which is another range")
	}
	return Span{Length: contentLength, Size: size}, nil
}

// parseContentRange parses "bytes FIRST-LAST/SIZE".
func parseContentRange(header string) (first, last, size int64, ok bool) {
	rest, isBytes := strings.CutPrefix(header, "bytes ")
	span, total, hasTotal := strings.Cut(rest, "/")
	from, to, hasTo := strings.Cut(span, "-")
	if !isBytes || !hasTotal || !hasTo {
		return 0, 0, 0, false
	}
	numbers := [3]int64{}
	for i, text := range []string{from, to, total} {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return 0, 0, 0, false
		}
		numbers[i] = n
	}
	first, last, size = numbers[0], numbers[1], numbers[2]
	return first, last, size, first <= last && last < size
}

// SizeOf returns the object's size in a Content-Range, or -1.
func SizeOf(contentRange string) int64 {
	_, _, size, ok := parseContentRange(contentRange)
	if !ok {
		return -1
	}
	return size
}
