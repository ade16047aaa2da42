package oss

import (
	"context"
	"io"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// Stat returns the attributes of an object.
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

// Get reads a range.
func (s *Store) Get(ctx context.Context, key string, r ufs.Range, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	if err := ufs.CheckKey(s.location.Prefix, key); err != nil {
		return nil, ufs.Object{}, err
	}
	getter := wire.Getter{Caller: s.caller, Limits: s.limits, Right: "oss:GetObject", Key: s.key, Stat: s.Stat, Send: s.get}
	return getter.Get(ctx, key, r, ifMatch)
}

func (s *Store) get(ctx context.Context, key, rangeHeader, ifMatch string) (*wire.Response, error) {
	request := &sdk.GetObjectRequest{Bucket: s.bucket, Key: sdk.Ptr(s.key(key)), Range: optional(rangeHeader)}
	if rangeHeader != "" {
		// Otherwise OSS returns the whole object for a range that ends past it.
		request.RangeBehavior = sdk.Ptr("standard")
	}
	if ifMatch != "" {
		request.IfMatch = sdk.Ptr(`"` + ifMatch + `"`)
	}
	result, err := s.client.GetObject(ctx, request)
	if err != nil {
		return nil, err
	}
	return &wire.Response{
		Status: result.StatusCode, ContentLength: result.ContentLength, ContentRange: sdk.ToString(result.ContentRange), Body: result.Body,
		Object: ufs.Object{Key: key, ETag: unquote(result.ETag), LastModified: moment(result.LastModified), Metadata: result.Metadata},
	}, nil
}
