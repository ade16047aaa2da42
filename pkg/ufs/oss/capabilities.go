package oss

import (
	"context"
	"errors"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// minPartSize is the minimum part size of OSS, in bytes.
const minPartSize = 100 << 10

// Capabilities requests the bucket's versioning once and caches the result.
func (s *Store) Capabilities(ctx context.Context) (ufs.Capabilities, error) {
	s.mu.Lock()
	cached := s.capabilities
	s.mu.Unlock()
	if cached != nil {
		return *cached, nil
	}
	versioned, known, err := s.versioning(ctx)
	if err != nil {
		return ufs.Capabilities{}, err
	}
	c := ufs.Capabilities{
		ConditionalCreate: known && !versioned,
		Metadata:          true,
		Versioned:         versioned,
		MinPartSize:       minPartSize,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capabilities = &c
	return c, nil
}

// versioning reports whether versions are or were kept; known is false if the
// credentials lack the right to read the setting.
func (s *Store) versioning(ctx context.Context) (versioned, known bool, err error) {
	var status string
	about := wire.Request{Act: "reading the settings of", Right: "oss:GetBucketInfo"}
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
