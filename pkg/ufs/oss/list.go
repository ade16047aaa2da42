package oss

import (
	"context"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// List returns one page.
func (s *Store) List(ctx context.Context, options ufs.ListOptions) (ufs.Page, error) {
	lister := wire.Lister{Caller: s.caller, Limits: s.limits, Right: "oss:ListObjects", Prefix: s.location.Prefix, Send: s.sendList}
	return lister.List(ctx, options)
}

// sendList requests a page. The SDK always requests names that are encoded for
// URLs.
func (s *Store) sendList(ctx context.Context, q wire.ListQuery) error {
	request := &sdk.ListObjectsV2Request{
		Bucket:            s.bucket,
		Prefix:            optional(q.Prefix),
		Delimiter:         optional(q.Delimiter),
		ContinuationToken: optional(q.Token),
		StartAfter:        optional(q.StartAfter),
		MaxKeys:           q.MaxKeys,
	}
	_, err := s.client.ListObjectsV2(ctx, request)
	return err
}

func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}
