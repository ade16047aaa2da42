package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// minPartSize is the minimum part size of S3, in bytes.
const minPartSize = 5 << 20

// probePrefix starts the names of the objects that the probe writes.
const probePrefix = ".jindo-probe-"

// Capabilities probes the store once and caches the result.
func (s *Store) Capabilities(ctx context.Context) (ufs.Capabilities, error) {
	s.mu.Lock()
	known := s.capabilities
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	c := ufs.Capabilities{Metadata: true, MinPartSize: minPartSize}
	var err error
	if c.Versioned, err = s.versioned(ctx); err != nil {
		return ufs.Capabilities{}, err
	}
	switch {
	case s.target.conditions == "all" || s.target.conditions == "auto" && s.target.amazon:
		c.ConditionalCreate, c.ConditionalReplace, c.ConditionalDelete = true, true, true
	case s.target.conditions == "auto":
		if err := s.probe(ctx, &c); err != nil {
			return ufs.Capabilities{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capabilities = &c
	return c, nil
}

// versioned reports whether versions are kept. It is false if the credentials
// lack the right to read the setting, or if the store has no versions.
func (s *Store) versioned(ctx context.Context) (bool, error) {
	status := ""
	about := wire.Request{Act: "reading the settings of", Right: "s3:GetBucketVersioning"}
	err := s.caller.DoWithin(ctx, about, s.limits.Headers, func(ctx context.Context) error {
		result, err := s.client.GetBucketVersioning(ctx, &sdk.GetBucketVersioningInput{Bucket: s.bucket}, signed(ctx))
		if err == nil {
			status = string(result.Status)
		}
		return err
	})
	unknown := errors.Is(err, ufs.ErrPermission) || errors.Is(err, ufs.ErrUnsupported) || errors.Is(err, ufs.ErrInvalid) ||
		errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket)
	if unknown {
		return false, nil
	}
	return status != "", err
}

// probe finds the conditions that the store checks, by requests that must be
// refused. Without the right to write, no condition is claimed.
func (s *Store) probe(ctx context.Context, c *ufs.Capabilities) error {
	key := probePrefix + rand.Text()
	create := conditions{ifNoneMatch: aws.String("*")}
	wrong := conditions{ifMatch: aws.String(`"00000000000000000000000000000000"`)}
	put := func(c conditions) error {
		_, err := s.put(ctx, key, strings.NewReader(""), 0, nil, c)
		return err
	}
	err := put(create)
	if errors.Is(err, ufs.ErrUnsupported) || errors.Is(err, ufs.ErrInvalid) {
		err = put(conditions{})
	}
	if errors.Is(err, ufs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = s.remove(ctx, key, nil) }()
	for _, one := range []struct {
		has *bool
		try func() error
	}{
		{&c.ConditionalCreate, func() error { return put(create) }},
		{&c.ConditionalReplace, func() error { return put(wrong) }},
		{&c.ConditionalDelete, func() error { return s.remove(ctx, key, wrong.ifMatch) }},
	} {
		err := one.try()
		*one.has = errors.Is(err, ufs.ErrPrecondition)
		if errors.Is(err, ufs.ErrUnavailable) || errors.Is(err, ufs.ErrThrottled) {
			return err
		}
	}
	return nil
}
