package s3

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// CreateMultipart starts an upload.
func (s *Store) CreateMultipart(ctx context.Context, key string, metadata map[string]string) (string, error) {
	if err := ufs.CheckKey(s.location.Prefix, key); err != nil {
		return "", err
	}
	request := &sdk.CreateMultipartUploadInput{Bucket: s.bucket, Key: aws.String(s.key(key)), Metadata: metadata}
	var result *sdk.CreateMultipartUploadOutput
	about := wire.Request{Act: "starting an upload of", Key: s.key(key), Right: "s3:PutObject"}
	err := s.caller.DoWithin(ctx, about, s.limits.Headers, func(ctx context.Context) error {
		var err error
		result, err = s.client.CreateMultipartUpload(ctx, request, signed(ctx))
		return err
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(result.UploadId), nil
}

// UploadPart stores a part.
func (s *Store) UploadPart(ctx context.Context, key, upload string, n int, body io.ReadSeeker, size int64) (ufs.Part, error) {
	if err := wire.CheckPart(n); err != nil {
		return ufs.Part{}, err
	}
	request := &sdk.UploadPartInput{
		Bucket: s.bucket, Key: aws.String(s.key(key)), UploadId: &upload,
		PartNumber: aws.Int32(int32(n)), ContentLength: &size,
	}
	var result *sdk.UploadPartOutput
	about := wire.Request{Act: fmt.Sprintf("storing part %d of", n), Key: s.key(key), Right: "s3:PutObject"}
	err := s.caller.Send(ctx, about, body, size, s.limits.Stall, func(ctx context.Context, body io.Reader) error {
		attempt := *request
		attempt.Body = body
		var err error
		result, err = s.client.UploadPart(ctx, &attempt, signed(ctx), unsignedPayload)
		return err
	})
	if err != nil {
		return ufs.Part{}, err
	}
	tag, err := wire.PartTag(aws.ToString(result.ETag))
	return ufs.Part{Number: n, ETag: tag, Size: size}, err
}

// CompleteMultipart joins the parts.
func (s *Store) CompleteMultipart(ctx context.Context, key, upload string, parts []ufs.Part, c ufs.Conditions) (ufs.Object, error) {
	size, err := wire.CheckParts(parts)
	if err != nil {
		return ufs.Object{}, err
	}
	guard, err := s.guard(ctx, c)
	if err != nil {
		return ufs.Object{}, err
	}
	list := &types.CompletedMultipartUpload{}
	for _, part := range parts {
		list.Parts = append(list.Parts, types.CompletedPart{PartNumber: aws.Int32(int32(part.Number)), ETag: aws.String(wire.QuotePart(part.ETag))})
	}
	request := &sdk.CompleteMultipartUploadInput{
		Bucket: s.bucket, Key: aws.String(s.key(key)), UploadId: &upload, MultipartUpload: list,
		IfMatch: guard.ifMatch, IfNoneMatch: guard.ifNoneMatch,
	}
	var result *sdk.CompleteMultipartUploadOutput
	about := wire.Request{Act: "completing the upload of", Key: s.key(key), Right: "s3:PutObject", Ambiguous: doubtful(c)}
	err = s.caller.DoWithin(ctx, about, s.limits.Work, func(ctx context.Context) error {
		var err error
		result, err = s.client.CompleteMultipartUpload(ctx, request, signed(ctx))
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
	request := &sdk.AbortMultipartUploadInput{Bucket: s.bucket, Key: aws.String(s.key(key)), UploadId: &upload}
	about := wire.Request{Act: "aborting the upload of", Key: s.key(key), Right: "s3:AbortMultipartUpload"}
	err := s.caller.DoWithin(ctx, about, s.limits.Headers, func(ctx context.Context) error {
		_, err := s.client.AbortMultipartUpload(ctx, request, signed(ctx))
		return err
	})
	if errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket) {
		return nil
	}
	return err
}
