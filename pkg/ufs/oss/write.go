package oss

import (
	"context"
	"errors"
	"fmt"
	"io"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// forbid returns the header for the conditions that OSS can check.
func (s *Store) forbid(ctx context.Context, c ufs.Conditions) (*string, error) {
	if c.IfMatch != "" {
		return nil, fmt.Errorf("%s: OSS cannot replace or delete only a certain version: %w", s, ufs.ErrUnsupported)
	}
	if !c.IfNoneMatch {
		return nil, nil
	}
	can, err := s.Capabilities(ctx)
	if err != nil {
		return nil, err
	}
	if !can.ConditionalCreate {
		return nil, fmt.Errorf("%s: OSS overwrites objects of versioned buckets, and the bucket is versioned or the right oss:GetBucketInfo is missing: %w", s, ufs.ErrUnsupported)
	}
	return sdk.Ptr("true"), nil
}

// Put stores an object.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64, metadata map[string]string, c ufs.Conditions) (ufs.Object, error) {
	if err := ufs.CheckKey(s.location.Prefix, key); err != nil {
		return ufs.Object{}, err
	}
	forbid, err := s.forbid(ctx, c)
	if err != nil {
		return ufs.Object{}, err
	}
	request := &sdk.PutObjectRequest{
		Bucket: s.bucket, Key: sdk.Ptr(s.key(key)), ContentLength: &size, Metadata: metadata, ForbidOverwrite: forbid,
	}
	var result *sdk.PutObjectResult
	about := wire.Request{Act: "writing", Key: s.key(key), Right: "oss:PutObject", Ambiguous: []error{ufs.ErrPrecondition}}
	err = s.caller.Send(ctx, about, body, size, s.limits.Stall, func(ctx context.Context, body io.Reader) error {
		attempt := *request
		attempt.Body = body
		var err error
		result, err = s.client.PutObject(ctx, &attempt)
		return err
	})
	if err != nil {
		return ufs.Object{}, err
	}
	object, err := s.getter().Written(ctx, key, size, result.ETag)
	object.Metadata = metadata
	return object, err
}

// Delete removes an object.
func (s *Store) Delete(ctx context.Context, key string, c ufs.Conditions) error {
	if err := ufs.CheckKey(s.location.Prefix, key); err != nil {
		return err
	}
	if c != (ufs.Conditions{}) {
		return fmt.Errorf("%s: OSS has no conditional delete: %w", s, ufs.ErrUnsupported)
	}
	request := &sdk.DeleteObjectRequest{Bucket: s.bucket, Key: sdk.Ptr(s.key(key))}
	about := wire.Request{Act: "deleting", Key: s.key(key), Right: "oss:DeleteObject"}
	err := s.caller.DoWithin(ctx, about, s.limits.Headers, func(ctx context.Context) error {
		_, err := s.client.DeleteObject(ctx, request)
		return err
	})
	if errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket) {
		return nil
	}
	return err
}

// Copy copies within the bucket. It reads the attributes of the source first and
// copies that version, since the response to a copy has no size.
func (s *Store) Copy(ctx context.Context, src, ifMatch, dst string, metadata map[string]string, c ufs.Conditions) (ufs.Object, error) {
	if err := ufs.CheckKey(s.location.Prefix, dst); err != nil {
		return ufs.Object{}, err
	}
	forbid, err := s.forbid(ctx, c)
	if err != nil {
		return ufs.Object{}, err
	}
	const tries = 4 // the source may be replaced after Stat
	for try := 1; ; try++ {
		source, err := s.Stat(ctx, src)
		if err != nil {
			return ufs.Object{}, err
		}
		if err := wire.CheckSource(ifMatch, source.ETag); err != nil {
			return ufs.Object{}, fmt.Errorf("copying %s%s: %w", s, src, err)
		}
		object, err := s.copyVersion(ctx, source, dst, metadata, forbid)
		retry := ifMatch == "" && forbid == nil && errors.Is(err, ufs.ErrPrecondition) && try < tries
		if !retry {
			return object, err
		}
	}
}

func (s *Store) copyVersion(ctx context.Context, source ufs.Object, dst string, metadata map[string]string, forbid *string) (ufs.Object, error) {
	request := &sdk.CopyObjectRequest{
		Bucket: s.bucket, Key: sdk.Ptr(s.key(dst)),
		SourceBucket: s.bucket, SourceKey: sdk.Ptr(s.key(source.Key)),
		IfMatch: wire.Condition(source.ETag), ForbidOverwrite: forbid,
		MetadataDirective: sdk.Ptr("COPY"),
	}
	if metadata != nil {
		request.MetadataDirective = sdk.Ptr("REPLACE")
		request.Metadata = metadata
	} else {
		metadata = source.Metadata
	}
	var result *sdk.CopyObjectResult
	about := wire.Request{Act: "copying to", Key: s.key(dst), Right: "oss:PutObject and oss:GetObject", Ambiguous: []error{ufs.ErrPrecondition}}
	err := s.caller.DoWithin(ctx, about, s.limits.Work, func(ctx context.Context) error {
		var err error
		result, err = s.client.CopyObject(ctx, request)
		return err
	})
	if err != nil {
		return ufs.Object{}, err
	}
	if request.IfMatch == nil { // the source may have been replaced
		return s.Stat(ctx, dst)
	}
	object, err := s.getter().Written(ctx, dst, source.Size, result.ETag)
	object.LastModified, object.Metadata = sdk.ToTime(result.LastModified), metadata
	return object, err
}
