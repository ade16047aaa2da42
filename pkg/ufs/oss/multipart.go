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

// CreateMultipart starts an upload.
func (s *Store) CreateMultipart(ctx context.Context, key string, metadata map[string]string) (string, error) {
	if err := ufs.CheckKey(s.location.Prefix, key); err != nil {
		return "", err
	}
	request := &sdk.InitiateMultipartUploadRequest{Bucket: s.bucket, Key: sdk.Ptr(s.key(key)), Metadata: metadata}
	var result *sdk.InitiateMultipartUploadResult
	about := wire.Request{Act: "starting an upload of", Key: s.key(key), Right: "oss:PutObject"}
	err := s.caller.DoWithin(ctx, about, s.limits.Headers, func(ctx context.Context) error {
		var err error
		result, err = s.client.InitiateMultipartUpload(ctx, request)
		return err
	})
	if err != nil {
		return "", err
	}
	return sdk.ToString(result.UploadId), nil
}

// UploadPart stores a part.
func (s *Store) UploadPart(ctx context.Context, key, upload string, n int, body io.ReadSeeker, size int64) (ufs.Part, error) {
	if err := wire.CheckPart(n); err != nil {
		return ufs.Part{}, err
	}
	request := &sdk.UploadPartRequest{
		Bucket: s.bucket, Key: sdk.Ptr(s.key(key)), UploadId: &upload,
		PartNumber: int32(n), ContentLength: &size,
	}
	var result *sdk.UploadPartResult
	about := wire.Request{Act: fmt.Sprintf("storing part %d of", n), Key: s.key(key), Right: "oss:PutObject"}
	err := s.caller.Send(ctx, about, body, size, s.limits.Stall, func(ctx context.Context, body io.Reader) error {
		attempt := *request
		attempt.Body = body
		var err error
		result, err = s.client.UploadPart(ctx, &attempt)
		return err
	})
	if err != nil {
		return ufs.Part{}, err
	}
	tag, err := wire.PartTag(sdk.ToString(result.ETag))
	return ufs.Part{Number: n, ETag: tag, Size: size}, err
}

// CompleteMultipart joins the parts.
func (s *Store) CompleteMultipart(ctx context.Context, key, upload string, parts []ufs.Part, c ufs.Conditions) (ufs.Object, error) {
	size, err := wire.CheckParts(parts)
	if err != nil {
		return ufs.Object{}, err
	}
	forbid, err := s.forbid(ctx, c)
	if err != nil {
		return ufs.Object{}, err
	}
	list := &sdk.CompleteMultipartUpload{}
	for _, part := range parts {
		list.Parts = append(list.Parts, sdk.UploadPart{PartNumber: int32(part.Number), ETag: sdk.Ptr(wire.QuotePart(part.ETag))})
	}
	request := &sdk.CompleteMultipartUploadRequest{
		Bucket: s.bucket, Key: sdk.Ptr(s.key(key)), UploadId: &upload,
		CompleteMultipartUpload: list, ForbidOverwrite: forbid,
	}
	var result *sdk.CompleteMultipartUploadResult
	about := wire.Request{Act: "completing the upload of", Key: s.key(key), Right: "oss:PutObject", Ambiguous: doubtful(c)}
	err = s.caller.DoWithin(ctx, about, s.limits.Work, func(ctx context.Context) error {
		var err error
		result, err = s.client.CompleteMultipartUpload(ctx, request)
		return err
	})
	if err != nil {
		return ufs.Object{}, err
	}
	return s.getter().Written(ctx, key, size, result.ETag)
}

// doubtful returns the kinds of errors that a completed upload causes if it is
// completed again: the upload no longer exists, and the object has another
// version.
func doubtful(c ufs.Conditions) []error {
	if c != (ufs.Conditions{}) {
		return []error{ufs.ErrPrecondition, ufs.ErrNotFound}
	}
	return []error{ufs.ErrNotFound}
}

// AbortMultipart discards an upload.
func (s *Store) AbortMultipart(ctx context.Context, key, upload string) error {
	request := &sdk.AbortMultipartUploadRequest{Bucket: s.bucket, Key: sdk.Ptr(s.key(key)), UploadId: &upload}
	about := wire.Request{Act: "aborting the upload of", Key: s.key(key), Right: "oss:AbortMultipartUpload"}
	err := s.caller.DoWithin(ctx, about, s.limits.Headers, func(ctx context.Context) error {
		_, err := s.client.AbortMultipartUpload(ctx, request)
		return err
	})
	if errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket) {
		return nil
	}
	return err
}
