package s3

import (
	"context"
	"io"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

func (s *Store) getter() *wire.Getter {
	return &wire.Getter{
		Caller: s.caller, Limits: s.limits, Right: "s3:GetObject", Prefix: s.location.Prefix, MetadataPrefix: "X-Amz-Meta-",
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
	_, err := s.client.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: s.bucket, Key: &key}, signed(ctx))
	return err
}

func (s *Store) sendGet(ctx context.Context, key string, rangeHeader, ifMatch *string) (io.ReadCloser, error) {
	request := &sdk.GetObjectInput{Bucket: s.bucket, Key: &key, Range: rangeHeader, IfMatch: ifMatch}
	result, err := s.client.GetObject(ctx, request, signed(ctx))
	if err != nil {
		return nil, err
	}
	return result.Body, nil
}
