package oss

import (
	"context"
	"io"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

func (s *Store) getter() *wire.Getter {
	return &wire.Getter{
		Caller: s.caller, Limits: s.limits, Right: "oss:GetObject", Prefix: s.location.Prefix, MetadataPrefix: "X-Oss-Meta-",
		SendHead: s.sendHead, SendGet: s.sendGet,
	}
}

// Stat returns the attributes of an object.
func (s *Store) Stat(ctx context.Context, key string) (ufs.Object, error) {
	return s.getter().Stat(ctx, key)
}

// Get reads a range.
func (s *Store) Get(ctx context.Context, key string, r ufs.Range, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	return s.getter().Get(ctx, key, r, ifMatch)
}

func (s *Store) sendHead(ctx context.Context, key string) error {
	_, err := s.client.HeadObject(ctx, &sdk.HeadObjectRequest{Bucket: s.bucket, Key: &key})
	return err
}

func (s *Store) sendGet(ctx context.Context, key string, rangeHeader, ifMatch *string) (io.ReadCloser, error) {
	request := &sdk.GetObjectRequest{Bucket: s.bucket, Key: &key, Range: rangeHeader, IfMatch: ifMatch}
	if rangeHeader != nil {
		// Otherwise OSS returns the whole object for a range that ends past it.
		request.RangeBehavior = sdk.Ptr("standard")
	}
	result, err := s.client.GetObject(ctx, request)
	if err != nil {
		return nil, err
	}
	return result.Body, nil
}
