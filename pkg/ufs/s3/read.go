package s3

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// Stat returns the attributes of an object.
func (s *Store) Stat(ctx context.Context, key string) (ufs.Object, error) {
	if err := ufs.CheckKey(s.location.Prefix, key); err != nil {
		return ufs.Object{}, err
	}
	request := &sdk.HeadObjectInput{Bucket: s.bucket, Key: aws.String(s.key(key))}
	var result *sdk.HeadObjectOutput
	about := wire.Request{Act: "describing", Key: s.key(key), Right: "s3:GetObject"}
	err := s.caller.DoWithin(ctx, about, s.limits.Headers, func(ctx context.Context) error {
		var err error
		result, err = s.client.HeadObject(ctx, request, signed(ctx))
		return err
	})
	if errors.Is(err, ufs.ErrNotFound) {
		return ufs.Object{}, s.confirm(ctx, key, err)
	}
	if err != nil {
		return ufs.Object{}, err
	}
	size := aws.ToInt64(result.ContentLength)
	return ufs.Object{
		Key: key, Size: size, ETag: tag(result.ETag, size, result.LastModified),
		LastModified: aws.ToTime(result.LastModified), Metadata: orEmpty(result.Metadata),
	}, nil
}

// confirm repeats the request in a form whose response has a body. A 404 to a
// HEAD does not show whether the object, the bucket or the access key is
// missing, and only the first is a deletion.
func (s *Store) confirm(ctx context.Context, key string, missing error) error {
	request := &sdk.GetObjectInput{Bucket: s.bucket, Key: aws.String(s.key(key)), Range: aws.String("bytes=0-0")}
	about := wire.Request{Act: "describing", Key: s.key(key), Right: "s3:GetObject"}
	err := s.caller.DoWithin(ctx, about, s.limits.Headers, func(ctx context.Context) error {
		result, err := s.client.GetObject(ctx, request, signed(ctx))
		if err == nil {
			_ = result.Body.Close()
		}
		return err
	})
	if err == nil || errors.Is(err, ufs.ErrInvalidRange) {
		return missing // it was created after the first request
	}
	return err
}

func orEmpty(metadata map[string]string) map[string]string {
	if metadata == nil {
		return map[string]string{}
	}
	return metadata
}

// Get reads a range.
func (s *Store) Get(ctx context.Context, key string, r ufs.Range, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	if err := ufs.CheckKey(s.location.Prefix, key); err != nil {
		return nil, ufs.Object{}, err
	}
	getter := wire.Getter{Caller: s.caller, Limits: s.limits, Right: "s3:GetObject", Key: s.key, Stat: s.Stat, Send: s.get}
	return getter.Get(ctx, key, r, ifMatch)
}

func (s *Store) get(ctx context.Context, key, rangeHeader, ifMatch string) (*wire.Response, error) {
	request := &sdk.GetObjectInput{
		Bucket: s.bucket, Key: aws.String(s.key(key)), Range: optional(rangeHeader), IfMatch: quoted(ifMatch),
	}
	result, err := s.client.GetObject(ctx, request, signed(ctx))
	if err != nil {
		return nil, err
	}
	answer := &wire.Response{
		Status: http.StatusOK, ContentLength: -1, ContentRange: aws.ToString(result.ContentRange), Body: result.Body,
		Object: ufs.Object{Key: key, LastModified: aws.ToTime(result.LastModified), Metadata: result.Metadata},
	}
	if result.ContentLength != nil {
		answer.ContentLength = *result.ContentLength
	}
	size := answer.ContentLength
	if answer.ContentRange != "" {
		answer.Status = http.StatusPartialContent
		size = wire.SizeOf(answer.ContentRange)
	}
	answer.Object.ETag = tag(result.ETag, size, result.LastModified)
	return answer, nil
}
