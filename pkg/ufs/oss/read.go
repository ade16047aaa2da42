package oss

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// Stat describes an object.
func (s *Store) Stat(ctx context.Context, key string) (ufs.Object, error) {
	if err := ufs.CheckKey(s.location.Prefix, key); err != nil {
		return ufs.Object{}, err
	}
	request := &sdk.HeadObjectRequest{Bucket: s.bucket, Key: sdk.Ptr(s.key(key))}
	var result *sdk.HeadObjectResult
	about := wire.Request{Act: "describing", Key: s.key(key), Right: "oss:GetObject"}
	err := s.caller.DoWithin(ctx, about, s.limits.Headers, func(ctx context.Context) error {
		var err error
		result, err = s.client.HeadObject(ctx, request)
		return err
	})
	if err != nil {
		return ufs.Object{}, err
	}
	return ufs.Object{
		Key: key, Size: result.ContentLength, ETag: unquote(result.ETag),
		LastModified: moment(result.LastModified), Metadata: orEmpty(result.Metadata),
	}, nil
}

func orEmpty(metadata map[string]string) map[string]string {
	if metadata == nil {
		return map[string]string{}
	}
	return metadata
}

// Get reads a range of the version that the first answer has, whatever the
// object becomes meanwhile.
func (s *Store) Get(ctx context.Context, key string, r ufs.Range, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	if err := ufs.CheckKey(s.location.Prefix, key); err != nil {
		return nil, ufs.Object{}, err
	}
	if r.Offset < 0 || r.Length < -1 {
		return nil, ufs.Object{}, fmt.Errorf("range of %d bytes at %d: %w", r.Length, r.Offset, ufs.ErrInvalid)
	}
	if r.Length == 0 { // no Range header says that
		return s.nothing(ctx, key, ifMatch)
	}
	first, object, length, err := s.open(ctx, key, r, ifMatch)
	if errors.Is(err, ufs.ErrInvalidRange) && r.Offset == 0 { // an empty object has no range at all
		body, object, serr := s.nothing(ctx, key, ifMatch)
		if serr == nil && object.Size > 0 {
			_ = body.Close()
			return nil, ufs.Object{}, err
		}
		return body, object, serr
	}
	if err != nil {
		return nil, ufs.Object{}, err
	}
	again := func(ctx context.Context, offset int64) (*wire.Stream, error) {
		rest := ufs.Range{Offset: r.Offset + offset, Length: length - offset}
		stream, _, _, err := s.open(ctx, key, rest, object.ETag)
		return stream, err
	}
	return wire.NewDownload(ctx, first, length, again, s.caller.Retrier.Spend, s.limits.Stall), object, nil
}

// nothing answers no byte of an object that is there.
func (s *Store) nothing(ctx context.Context, key, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	object, err := s.Stat(ctx, key)
	if err != nil {
		return nil, ufs.Object{}, err
	}
	if ifMatch != "" && ifMatch != object.ETag {
		return nil, ufs.Object{}, fmt.Errorf("reading %s%s: its tag is %s, not %s: %w", s, key, object.ETag, ifMatch, ufs.ErrPrecondition)
	}
	return io.NopCloser(bytes.NewReader(nil)), object, nil
}

// open starts one GET and checks that it answers what was asked.
func (s *Store) open(ctx context.Context, key string, r ufs.Range, ifMatch string) (*wire.Stream, ufs.Object, int64, error) {
	request := &sdk.GetObjectRequest{Bucket: s.bucket, Key: sdk.Ptr(s.key(key)), Range: optional(wire.RangeHeader(r))}
	if request.Range != nil {
		// Otherwise OSS answers the whole object to a range that ends behind it.
		request.RangeBehavior = sdk.Ptr("standard")
	}
	if ifMatch != "" {
		request.IfMatch = sdk.Ptr(`"` + ifMatch + `"`)
	}
	var stream *wire.Stream
	var object ufs.Object
	var length int64
	about := wire.Request{Act: "reading", Key: s.key(key), Right: "oss:GetObject"}
	err := s.caller.Do(ctx, about, func(ctx context.Context) error {
		attempt, watch := wire.NewWatch(ctx, s.limits.Headers)
		result, err := s.client.GetObject(attempt, request)
		if err != nil {
			err = wire.Stalled(attempt, err)
			watch.Release()
			return err
		}
		watch.Rest()
		stream = &wire.Stream{Body: result.Body, Watch: watch, Attempt: attempt}
		object, length, err = checked(key, r, ifMatch, result)
		if err != nil {
			_ = stream.Close()
		}
		return err
	})
	return stream, object, length, err
}

// checked refuses an answer that is not what was asked.
func checked(key string, r ufs.Range, ifMatch string, result *sdk.GetObjectResult) (ufs.Object, int64, error) {
	span, err := wire.CheckSpan(r, result.StatusCode, result.ContentLength, sdk.ToString(result.ContentRange))
	if err != nil {
		return ufs.Object{}, 0, err
	}
	object := ufs.Object{
		Key: key, Size: span.Size, ETag: unquote(result.ETag),
		LastModified: moment(result.LastModified), Metadata: orEmpty(result.Metadata),
	}
	if ifMatch != "" && object.ETag != ifMatch {
		return object, 0, fmt.Errorf("its tag is %s, not %s: %w", object.ETag, ifMatch, ufs.ErrPrecondition)
	}
	return object, span.Length, nil
}
