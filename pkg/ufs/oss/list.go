package oss

import (
	"context"
	"strings"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// maxKeys is the largest page of OSS.
const maxKeys = 1000

// List returns one page.
func (s *Store) List(ctx context.Context, options ufs.ListOptions) (ufs.Page, error) {
	if err := ufs.CheckDelimiter(options.Delimiter); err != nil {
		return ufs.Page{}, err
	}
	request := &sdk.ListObjectsV2Request{
		Bucket:    s.bucket,
		Prefix:    optional(s.key(options.Prefix)),
		Delimiter: optional(options.Delimiter),
		MaxKeys:   maxKeys,
	}
	if options.MaxKeys > 0 {
		request.MaxKeys = int32(min(options.MaxKeys, maxKeys))
	}
	switch {
	case options.Continuation != "":
		request.ContinuationToken = &options.Continuation
	case options.StartAfter != "":
		request.StartAfter = sdk.Ptr(s.key(options.StartAfter))
	}
	var result *sdk.ListObjectsV2Result
	about := wire.Request{Act: "listing", Key: s.key(options.Prefix), Right: "oss:ListObjects"}
	err := s.caller.DoWithin(ctx, about, s.limits.List, func(ctx context.Context) error {
		var err error
		result, err = s.client.ListObjectsV2(ctx, request)
		return err
	})
	if err != nil {
		return ufs.Page{}, err
	}
	return s.page(result), nil
}

func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

func (s *Store) page(result *sdk.ListObjectsV2Result) ufs.Page {
	var page ufs.Page
	for _, o := range result.Contents {
		key := strings.TrimPrefix(sdk.ToString(o.Key), s.location.Prefix)
		if key == "" {
			continue // the marker of the prefix itself
		}
		page.Objects = append(page.Objects, ufs.Object{
			Key: key, Size: o.Size, ETag: unquote(o.ETag), LastModified: moment(o.LastModified),
		})
	}
	for _, p := range result.CommonPrefixes {
		page.Prefixes = append(page.Prefixes, strings.TrimPrefix(sdk.ToString(p.Prefix), s.location.Prefix))
	}
	if result.IsTruncated {
		page.Next = sdk.ToString(result.NextContinuationToken)
	}
	return page
}

func unquote(etag *string) string { return strings.Trim(sdk.ToString(etag), `"`) }

func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
