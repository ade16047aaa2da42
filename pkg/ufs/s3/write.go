package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// conditions are the headers of a conditional request.
type conditions struct{ ifMatch, ifNoneMatch *string }

// guard returns the headers for the conditions that the store can check.
func (s *Store) guard(ctx context.Context, c ufs.Conditions) (conditions, error) {
	if c == (ufs.Conditions{}) {
		return conditions{}, nil
	}
	can, err := s.Capabilities(ctx)
	if err != nil {
		return conditions{}, err
	}
	if c.IfNoneMatch && !can.ConditionalCreate || c.IfMatch != "" && !can.ConditionalReplace {
		return conditions{}, fmt.Errorf("%s: the store does not check this condition on writing: %w", s, ufs.ErrUnsupported)
	}
	headers := conditions{ifMatch: wire.Condition(c.IfMatch)}
	if c.IfMatch != "" && headers.ifMatch == nil {
		return conditions{}, fmt.Errorf("%s: %w", s, wire.Uncomparable(c.IfMatch))
	}
	if c.IfNoneMatch {
		headers.ifNoneMatch = aws.String("*")
	}
	return headers, nil
}

// Put stores an object.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64, metadata map[string]string, c ufs.Conditions) (ufs.Object, error) {
	if err := ufs.CheckKey(s.location.Prefix, key); err != nil {
		return ufs.Object{}, err
	}
	guard, err := s.guard(ctx, c)
	if err != nil {
		return ufs.Object{}, err
	}
	return s.put(ctx, key, body, size, metadata, guard)
}

func (s *Store) put(ctx context.Context, key string, body io.Reader, size int64, metadata map[string]string, guard conditions) (ufs.Object, error) {
	request := &sdk.PutObjectInput{
		Bucket: s.bucket, Key: aws.String(s.key(key)), ContentLength: &size, Metadata: metadata,
		IfMatch: guard.ifMatch, IfNoneMatch: guard.ifNoneMatch,
	}
	var result *sdk.PutObjectOutput
	about := wire.Request{Act: "writing", Key: s.key(key), Right: "s3:PutObject", Ambiguous: []error{ufs.ErrPrecondition}}
	err := s.caller.Send(ctx, about, body, size, s.limits.Stall, func(ctx context.Context, body io.Reader) error {
		attempt := *request
		attempt.Body = body
		var err error
		result, err = s.client.PutObject(ctx, &attempt, signed(ctx), unsignedPayload)
		return err
	})
	if err != nil {
		return ufs.Object{}, absent(guard, err)
	}
	object, err := s.getter().Written(ctx, key, size, result.ETag)
	object.Metadata = metadata
	return object, err
}

// absent converts the error for replacing an object that does not exist, which is
// a 404 in some stores and a 412 in others.
func absent(guard conditions, err error) error {
	if guard.ifMatch != nil && errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket) {
		return fmt.Errorf("%v: %w", err, ufs.ErrPrecondition) //nolint:errorlint // not that kind any more
	}
	return err
}

// Delete removes an object.
func (s *Store) Delete(ctx context.Context, key string, c ufs.Conditions) error {
	if err := ufs.CheckKey(s.location.Prefix, key); err != nil {
		return err
	}
	if c.IfNoneMatch {
		return fmt.Errorf("%s: IfNoneMatch is not a condition for deleting: %w", s, ufs.ErrInvalid)
	}
	condition := wire.Condition(c.IfMatch)
	if c.IfMatch != "" {
		can, err := s.Capabilities(ctx)
		if err != nil {
			return err
		}
		if !can.ConditionalDelete {
			return fmt.Errorf("%s: the store checks no conditions on deleting: %w", s, ufs.ErrUnsupported)
		}
		if condition == nil {
			return fmt.Errorf("%s: %w", s, wire.Uncomparable(c.IfMatch))
		}
	}
	return s.remove(ctx, key, condition)
}

func (s *Store) remove(ctx context.Context, key string, ifMatch *string) error {
	request := &sdk.DeleteObjectInput{Bucket: s.bucket, Key: aws.String(s.key(key)), IfMatch: ifMatch}
	about := wire.Request{Act: "deleting", Key: s.key(key), Right: "s3:DeleteObject"}
	if ifMatch != nil {
		about.Ambiguous = []error{ufs.ErrPrecondition, ufs.ErrNotFound}
	}
	err := s.caller.DoWithin(ctx, about, s.limits.Headers, func(ctx context.Context) error {
		_, err := s.client.DeleteObject(ctx, request, signed(ctx))
		return err
	})
	if errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket) {
		if ifMatch != nil {
			return absent(conditions{ifMatch: ifMatch}, err)
		}
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
	if c != (ufs.Conditions{}) && !s.target.amazon && s.target.conditions != "all" {
		return ufs.Object{}, fmt.Errorf("%s: conditions on the target of a copy are not supported: %w", s, ufs.ErrUnsupported)
	}
	guard, err := s.guard(ctx, c)
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
		object, err := s.copyVersion(ctx, source, dst, metadata, guard)
		again := ifMatch == "" && guard == (conditions{}) && errors.Is(err, ufs.ErrPrecondition) && try < tries
		if !again {
			return object, err
		}
	}
}

func (s *Store) copyVersion(ctx context.Context, source ufs.Object, dst string, metadata map[string]string, guard conditions) (ufs.Object, error) {
	request := &sdk.CopyObjectInput{
		Bucket: s.bucket, Key: aws.String(s.key(dst)),
		CopySource:        aws.String(escape(s.location.Bucket + "/" + s.key(source.Key))),
		CopySourceIfMatch: wire.Condition(source.ETag),
		MetadataDirective: types.MetadataDirectiveCopy,
		IfMatch:           guard.ifMatch, IfNoneMatch: guard.ifNoneMatch,
	}
	if metadata != nil {
		request.MetadataDirective = types.MetadataDirectiveReplace
		request.Metadata = metadata
	} else {
		metadata = source.Metadata
	}
	var result *sdk.CopyObjectOutput
	about := wire.Request{Act: "copying to", Key: s.key(dst), Right: "s3:PutObject and s3:GetObject", Ambiguous: []error{ufs.ErrPrecondition}}
	err := s.caller.DoWithin(ctx, about, s.limits.Work, func(ctx context.Context) error {
		var err error
		if result, err = s.client.CopyObject(ctx, request, signed(ctx)); err == nil && result.CopyObjectResult == nil {
			err = fmt.Errorf("the response has no result: %w", ufs.ErrUnavailable)
		}
		return err
	})
	if err != nil {
		return ufs.Object{}, err
	}
	if request.CopySourceIfMatch == nil { // the source may have been replaced
		return s.Stat(ctx, dst)
	}
	object, err := s.getter().Written(ctx, dst, source.Size, result.CopyObjectResult.ETag)
	object.LastModified, object.Metadata = aws.ToTime(result.CopyObjectResult.LastModified), metadata
	return object, err
}

// escape escapes a path by RFC 3986, except for slashes.
func escape(path string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(path) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}
