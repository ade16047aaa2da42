package wire

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
)

// Request is a GET of a range of one version of an object.
type Request struct {
	// Mount is the id of the mount.
	Mount string
	// Key of the object, relative to the mount's prefix.
	Key string
	// ETag of the version, without quotes.
	ETag string
	// Size of the object, in bytes.
	Size int64
	// First and Last byte of the range, both inclusive.
	First, Last int64
	// OnlyIfCached makes the worker return not_cached instead of reading the
	// store.
	OnlyIfCached bool
	// Keep makes the worker cache the range from the sender, a worker that leaves, and
	// respond without a body.
	Keep bool
	// RingEpoch of the client's ring; 0 for none.
	RingEpoch uint64
}

// Length returns the number of bytes in the range.
func (r Request) Length() int64 { return r.Last - r.First + 1 }

// check returns an error if the request names nothing that a worker could serve,
// so that it must not be sent.
func (r Request) check() error {
	switch {
	case r.Mount == "" || len(r.Mount) > MaxMount:
		return fmt.Errorf("invalid mount id of %d bytes: must have 1 to %d", len(r.Mount), MaxMount)
	case r.Key == "" || len(r.Key) > MaxKey:
		return fmt.Errorf("invalid key of %d bytes: must have 1 to %d", len(r.Key), MaxKey)
	case !IsETag(r.ETag):
		return fmt.Errorf("invalid entity tag of %d bytes: must have 1 to %d", len(r.ETag), MaxETag)
	case r.First < 0 || r.First > r.Last:
		return fmt.Errorf("invalid range %d-%d", r.First, r.Last)
	}
	return nil
}

// NewHTTPRequest encodes a Request to the worker at a host:port address.
func NewHTTPRequest(ctx context.Context, address string, r Request) (*http.Request, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address, nil)
	if err != nil {
		return nil, err
	}
	request.URL = objectURL(address, r.Mount, r.Key)
	h := request.Header
	h.Set("If-Match", formatETag(r.ETag))
	h.Set("Range", formatRange(r.First, r.Last))
	h.Set(HeaderSize, strconv.FormatInt(r.Size, 10))
	if r.RingEpoch != 0 {
		h.Set(HeaderRingEpoch, strconv.FormatUint(r.RingEpoch, 10))
	}
	if r.OnlyIfCached {
		h.Set(HeaderOnlyIfCached, "1")
	}
	if r.Keep {
		h.Set(HeaderKeep, "1")
	}
	return request, nil
}

// ParseRequest decodes the escaped path and the header of a GET. The range of
// the Request it returns is within the object: a range that reaches past the
// end is cut there. The Failure, if not nil, is the response to send.
func ParseRequest(path string, h http.Header) (Request, *Failure) {
	mount, key, ok := ParseObjectPath(path)
	if !ok {
		return Request{}, Invalid("the path must be " + ObjectsPath + "{mount id}/{key}, with each segment escaped")
	}
	etag, ok := parseETag(h.Get("If-Match"))
	if !ok {
		return Request{}, Invalid("If-Match must be one strong entity tag in quotes: the version to read")
	}
	size, ok := parseNumber(h.Get(HeaderSize))
	if !ok {
		return Request{}, Invalid(HeaderSize + " must be the size of the object in bytes")
	}
	first, last, ok := parseRange(h.Get("Range"))
	if !ok {
		return Request{}, Invalid("Range must be a single bytes=first-last")
	}
	if first >= size {
		return Request{}, &Failure{
			Status: http.StatusRequestedRangeNotSatisfiable, Code: CodeInvalidRange,
			Message: "the range starts at byte " + strconv.FormatInt(first, 10) + " of an object of " + strconv.FormatInt(size, 10) + " bytes",
		}
	}
	onlyIfCached, ok := parseFlag(h.Get(HeaderOnlyIfCached))
	if !ok {
		return Request{}, Invalid(HeaderOnlyIfCached + " must be 1 or absent")
	}
	keep, ok := parseFlag(h.Get(HeaderKeep))
	if !ok {
		return Request{}, Invalid(HeaderKeep + " must be 1 or absent")
	}
	return Request{
		Mount: mount, Key: key, ETag: etag, Size: size, First: first, Last: min(last, size-1),
		OnlyIfCached: onlyIfCached, Keep: keep, RingEpoch: parseEpoch(h.Get(HeaderRingEpoch)),
	}, nil
}

func parseFlag(s string) (set, ok bool) {
	switch s {
	case "", "0":
		return false, true
	case "1":
		return true, true
	}
	return false, false
}
