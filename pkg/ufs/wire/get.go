package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Getter reads ranges for a driver.
type Getter struct {
	Caller *Caller
	Limits Limits
	// Right that a GET requires.
	Right string
	// Key returns a key with the store's prefix.
	Key func(key string) string
	// Stat of the driver.
	Stat func(ctx context.Context, key string) (ufs.Object, error)
	// Send sends one GET. Empty rangeHeader and ifMatch are omitted.
	Send func(ctx context.Context, key, rangeHeader, ifMatch string) (*Response, error)
}

// Response is the response to a GET, not yet checked.
type Response struct {
	Status        int
	ContentLength int64
	ContentRange  string
	// Object, without its size.
	Object ufs.Object
	Body   io.ReadCloser
}

// Get reads a range of the version that the first response has, even if the
// object is replaced meanwhile.
func (g *Getter) Get(ctx context.Context, key string, r ufs.Range, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	if r.Offset < 0 || r.Length < -1 {
		return nil, ufs.Object{}, fmt.Errorf("range of %d bytes at %d: %w", r.Length, r.Offset, ufs.ErrInvalid)
	}
	if r.Length == 0 { // no Range header can express it
		return g.nothing(ctx, key, ifMatch)
	}
	first, err := g.open(ctx, key, r, ifMatch)
	if errors.Is(err, ufs.ErrInvalidRange) && r.Offset == 0 {
		return g.empty(ctx, key, ifMatch, err)
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

// empty returns an object without bytes, for which every range is invalid.
func (g *Getter) empty(ctx context.Context, key, ifMatch string, refused error) (io.ReadCloser, ufs.Object, error) {
	body, object, err := g.nothing(ctx, key, ifMatch)
	if err == nil && object.Size > 0 {
		_ = body.Close()
		return nil, ufs.Object{}, refused
	}
	return body, object, err
}

// nothing returns no bytes of an existing object.
func (g *Getter) nothing(ctx context.Context, key, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	object, err := g.Stat(ctx, key)
	if err != nil {
		return nil, ufs.Object{}, err
	}
	if ifMatch != "" && ifMatch != object.ETag {
		return nil, ufs.Object{}, fmt.Errorf("reading %s: %w", key, Replaced(ifMatch, object.ETag))
	}
	return io.NopCloser(bytes.NewReader(nil)), object, nil
}

// Replaced returns the error for a version that has been replaced.
func Replaced(want, have string) error {
	return fmt.Errorf("its tag is %s, not %s: %w", have, want, ufs.ErrPrecondition)
}

// opened is a GET whose response matches the request.
type opened struct {
	stream *Stream
	object ufs.Object
	length int64
}

func (g *Getter) open(ctx context.Context, key string, r ufs.Range, ifMatch string) (opened, error) {
	var o opened
	about := Request{Act: "reading", Key: g.Key(key), Right: g.Right}
	err := g.Caller.Do(ctx, about, func(ctx context.Context) error {
		attempt, watch := NewWatch(ctx, g.Limits.Headers)
		answer, err := g.Send(attempt, key, RangeHeader(r), ifMatch)
		if err != nil {
			err = Stalled(attempt, err)
			watch.Release()
			return err
		}
		watch.Rest()
		o.stream = &Stream{Body: answer.Body, Watch: watch, Attempt: attempt}
		if err := o.check(answer, r, ifMatch); err != nil {
			_ = o.stream.Close()
			return err
		}
		return nil
	})
	return o, err
}

// check returns an error if the response does not match the request.
func (o *opened) check(a *Response, r ufs.Range, ifMatch string) error {
	span, err := CheckSpan(r, a.Status, a.ContentLength, a.ContentRange)
	if err != nil {
		return err
	}
	o.object, o.length = a.Object, span.Length
	o.object.Size = span.Size
	if o.object.Metadata == nil {
		o.object.Metadata = map[string]string{}
	}
	if ifMatch != "" && o.object.ETag != ifMatch {
		return Replaced(ifMatch, o.object.ETag)
	}
	return nil
}
