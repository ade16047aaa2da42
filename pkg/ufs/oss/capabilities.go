package oss

import (
	"context"
	"errors"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// minPartSize of OSS, in bytes.
const minPartSize = 100 << 10

// Capabilities asks the bucket once whether it keeps versions.
func (s *Store) Capabilities(ctx context.Context) (ufs.Capabilities, error) {
	s.mu.Lock()
	known := s.capabilities
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	versioned, told, err := s.versioning(ctx)
	if err != nil {
		return ufs.Capabilities{}, err
	}
	c := ufs.Capabilities{
		ConditionalCreate: told && !versioned,
		Metadata:          true,
		Versioned:         versioned,
		MinPartSize:       minPartSize,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capabilities = &c
	return c, nil
}

// versioning says whether versions are, or were, kept; told is false when the
// credentials lack the right to ask.
func (s *Store) versioning(ctx context.Context) (versioned, told bool, err error) {
	var status string
	about := wire.Request{Act: "asking about bucket", Right: "oss:GetBucketInfo"}
	err = s.caller.DoWithin(ctx, about, s.limits.Headers, func(ctx context.Context) error {
		result, err := s.client.GetBucketInfo(ctx, &sdk.GetBucketInfoRequest{Bucket: s.bucket})
		if err == nil {
			status = sdk.ToString(result.BucketInfo.Versioning)
		}
		return err
	})
	if errors.Is(err, ufs.ErrPermission) {
		return false, false, nil
	}
	return status != "", err == nil, err
}
