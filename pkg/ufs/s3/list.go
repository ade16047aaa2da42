package s3

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// maxKeys is the largest page of S3.
const maxKeys = 1000

// List returns one page.
func (s *Store) List(ctx context.Context, options ufs.ListOptions) (ufs.Page, error) {
	if err := ufs.CheckDelimiter(options.Delimiter); err != nil {
		return ufs.Page{}, err
	}
	request := &sdk.ListObjectsV2Input{
		Bucket:    s.bucket,
		Prefix:    optional(s.key(options.Prefix)),
		Delimiter: optional(options.Delimiter),
		MaxKeys:   aws.Int32(maxKeys),
		// Names may contain characters that XML does not allow.
		EncodingType: types.EncodingTypeUrl,
	}
	if options.MaxKeys > 0 {
		request.MaxKeys = aws.Int32(int32(min(options.MaxKeys, maxKeys)))
	}
	switch {
	case options.Continuation != "":
		request.ContinuationToken = &options.Continuation
	case options.StartAfter != "":
		request.StartAfter = aws.String(s.key(options.StartAfter))
	}
	var page ufs.Page
	about := wire.Request{Act: "listing", Key: s.key(options.Prefix), Right: "s3:ListBucket"}
	err := s.caller.DoWithin(ctx, about, s.limits.List, func(ctx context.Context) error {
		result, err := s.client.ListObjectsV2(ctx, request, signed(ctx))
		if err != nil {
			return err
		}
		page, err = s.page(result)
		return err
	})
	return page, err
}

func (s *Store) page(result *sdk.ListObjectsV2Output) (ufs.Page, error) {
	var page ufs.Page
	encoded := result.EncodingType == types.EncodingTypeUrl
	for _, o := range result.Contents {
		key, err := s.relative(aws.ToString(o.Key), encoded)
		if err != nil {
			return ufs.Page{}, err
		}
		if key == "" {
			continue // the marker of the prefix itself
		}
		page.Objects = append(page.Objects, ufs.Object{
			Key: key, Size: aws.ToInt64(o.Size), ETag: tag(o.ETag, aws.ToInt64(o.Size), o.LastModified), LastModified: aws.ToTime(o.LastModified),
		})
	}
	for _, p := range result.CommonPrefixes {
		prefix, err := s.relative(aws.ToString(p.Prefix), encoded)
		if err != nil {
			return ufs.Page{}, err
		}
		page.Prefixes = append(page.Prefixes, prefix)
	}
	if aws.ToBool(result.IsTruncated) {
		page.Next = aws.ToString(result.NextContinuationToken)
	}
	return page, nil
}

// relative decodes a name of a listing and removes the store's prefix.
func (s *Store) relative(name string, encoded bool) (string, error) {
	if encoded {
		var err error
		if name, err = url.QueryUnescape(name); err != nil {
			return "", fmt.Errorf("the listing contains a name with an invalid encoding: %w: %w", err, ufs.ErrUnavailable)
		}
	}
	rest, inside := strings.CutPrefix(name, s.location.Prefix)
	if !inside {
		return "", fmt.Errorf("the listing contains %q, which is not below %q: %w", name, s.location.Prefix, ufs.ErrUnavailable)
	}
	return rest, nil
}
