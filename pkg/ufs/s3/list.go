package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// List returns one page.
func (s *Store) List(ctx context.Context, options ufs.ListOptions) (ufs.Page, error) {
	lister := wire.Lister{Caller: s.caller, Limits: s.limits, Right: "s3:ListBucket", Prefix: s.location.Prefix, Send: s.sendList}
	return lister.List(ctx, options)
}

func (s *Store) sendList(ctx context.Context, q wire.ListQuery) error {
	request := &sdk.ListObjectsV2Input{
		Bucket:            s.bucket,
		Prefix:            optional(q.Prefix),
		Delimiter:         optional(q.Delimiter),
		ContinuationToken: optional(q.Token),
		StartAfter:        optional(q.StartAfter),
		MaxKeys:           aws.Int32(q.MaxKeys),
		// Names may contain characters that XML does not allow.
		EncodingType: types.EncodingTypeUrl,
	}
	_, err := s.client.ListObjectsV2(ctx, request, signed(ctx))
	return err
}

func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}
