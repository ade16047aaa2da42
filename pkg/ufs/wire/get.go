package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Getter reads objects and their attributes for a driver.
type Getter struct {
	Caller *Caller
	Limits Limits
	// Right that reading requires.
	Right string
	// Prefix of the store.
	Prefix string
	// MetadataPrefix of the headers of user metadata.
	MetadataPrefix string
	// SendHead sends one HEAD for a key with the store's prefix. The result of the SDK
	// is not used.
	SendHead func(ctx context.Context, key string) error
	// SendGet sends one GET and returns the body. Nil rangeHeader and ifMatch are
	// omitted.
	SendGet func(ctx context.Context, key string, rangeHeader, ifMatch *string) (io.ReadCloser, error)
}

// Get reads a range of the version that the first response has, even if the
// object is replaced meanwhile.
func (g *Getter) Get(ctx context.Context, key string, r ufs.Range, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	if r.Offset < 0 || r.Length < -1 {
		return nil, ufs.Object{}, fmt.Errorf("range of %d bytes at %d: %w", r.Length, r.Offset, ufs.ErrInvalid)
	}
	if err := ufs.CheckKey(g.Prefix, key); err != nil {
		return nil, ufs.Object{}, err
	}
	if r.Length == 0 { // no Range header can express it
		return g.nothing(ctx, key, ifMatch)
	}
	first, err := g.open(ctx, key, r, ifMatch)
	if errors.Is(err, ufs.ErrInvalidRange) {
		return g.beyond(ctx, key, r, ifMatch, err)
	}
	if err != nil {
		return nil, ufs.Object{}, err
	}
	again := func(ctx context.Context, offset int64) (*Stream, error) {
		rest := ufs.Range{Offset: r.Offset + offset, Length: first.length - offset}
		next, err := g.open(ctx, key, rest, first.object.ETag)
		return next.stream, err
	}
	return NewDownload(ctx, first.stream, first.length, again, g.Caller.Retrier.Spend, g.Limits.Stall), first.object, nil
}

// beyond explains a range that the store found invalid: the object is empty, has
// another version, or is shorter, or the store contradicts itself.
func (g *Getter) beyond(ctx context.Context, key string, r ufs.Range, ifMatch string, refused error) (io.ReadCloser, ufs.Object, error) {
	body, object, err := g.nothing(ctx, key, ifMatch)
	if err != nil {
		return nil, ufs.Object{}, err
	}
	if r.Offset == 0 && object.Size == 0 {
		return body, object, nil
	}
	_ = body.Close()
	if r.Offset < object.Size {
		return nil, ufs.Object{}, fmt.Errorf("reading %q: %w", key, unreadable("offset %d of %d is past the end", r.Offset, object.Size))
	}
	return nil, ufs.Object{}, refused
}

// nothing returns no bytes of an existing object.
func (g *Getter) nothing(ctx context.Context, key, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	object, err := g.Stat(ctx, key)
	if err != nil {
		return nil, ufs.Object{}, err
	}
	if ifMatch != "" && !SameVersion(ifMatch, object.ETag) {
		return nil, ufs.Object{}, fmt.Errorf("reading %q: %w", key, Replaced(ifMatch, object.ETag))
	}
	return io.NopCloser(bytes.NewReader(nil)), object, nil
}

// Replaced returns the error for a version that has been replaced.
func Replaced(want, have string) error {
	return fmt.Errorf("its tag is %.100q, not %.100q: %w", have, want, ufs.ErrPrecondition)
}

// opened is a GET whose response matches the request.
type opened struct {
	stream *Stream
	object ufs.Object
	length int64
}

func (g *Getter) open(ctx context.Context, key string, r ufs.Range, ifMatch string) (opened, error) {
	var o opened
	about := Request{Act: "reading", Key: g.Prefix + key, Right: g.Right}
	err := g.Caller.Do(ctx, about, func(ctx context.Context) error {
		attempt, watch := NewWatch(ctx, g.Limits.Headers)
		x := exchangeOf(ctx)
		x.stream = true
		body, err := g.SendGet(attempt, g.Prefix+key, optional(RangeHeader(r)), Condition(ifMatch))
		if err != nil {
			err = Stalled(attempt, err)
			watch.Release()
			return err
		}
		watch.Rest()
		o.stream = &Stream{Body: body, Watch: watch, Attempt: attempt}
		if o.object, o.length, err = g.check(x, key, r, ifMatch); err != nil {
			_ = o.stream.Close()
		}
		return err
	})
	return o, invalidKey(key, err)
}

func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// check returns an error if the response does not match the request: other bytes,
// or bytes of another version, must never be taken for those requested. It returns
// the object and the number of bytes to read.
func (g *Getter) check(x *exchange, key string, r ufs.Range, ifMatch string) (ufs.Object, int64, error) {
	span, err := CheckSpan(r, x.status, x.length, x.header.Get("Content-Range"))
	if err != nil {
		return ufs.Object{}, 0, err
	}
	object, err := g.object(x, key, span.Size)
	if err != nil {
		return ufs.Object{}, 0, err
	}
	if isWeak(object.ETag) && x.encoded() {
		// Such a tag is equal for the stored bytes and for compressed ones.
		return ufs.Object{}, 0, unreadable("the bytes have the Content-Encoding %.50q and a weak tag, so they may not be those stored", x.header.Get("Content-Encoding"))
	}
	if ifMatch != "" {
		if !SameVersion(ifMatch, object.ETag) {
			return ufs.Object{}, 0, Replaced(ifMatch, object.ETag)
		}
		object.ETag = ifMatch
	}
	return object, span.Length, nil
}

// object returns the object that the header of a response describes.
func (g *Getter) object(x *exchange, key string, size int64) (ufs.Object, error) {
	o := ufs.Object{Key: key, Size: size, Metadata: x.metadata(g.MetadataPrefix)}
	var err error
	if text := x.header.Get("Last-Modified"); text != "" {
		if o.LastModified, err = parseTime(text); err != nil {
			return ufs.Object{}, unreadable("the time %.50q", text)
		}
	}
	o.ETag, err = Tag(x.header.Get("ETag"), size, o.LastModified)
	return o, err
}

func parseTime(text string) (time.Time, error) {
	when, err := http.ParseTime(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("parse a time: %w", err)
	}
	return when.UTC(), nil
}
