// Package drivers selects the under-storage driver of a mount point.
package drivers

import (
	"context"
	"fmt"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/file"
	"github.com/jindo-io/jindo/pkg/ufs/oss"
	"github.com/jindo-io/jindo/pkg/ufs/s3"
)

// Open opens the Store of a mount point. Object stores are not contacted, so an
// unreachable one fails with the first request; a directory must exist. options
// are those of the mount ("fs.oss.endpoint"); options of other drivers are
// ignored. Nil credentials are taken from the options; without any, requests are
// anonymous.
func Open(ctx context.Context, uri string, options map[string]string, credentials ufs.CredentialsSource) (ufs.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	location, err := ufs.ParseLocation(uri)
	if err != nil {
		return nil, err
	}
	switch location.Scheme {
	case "file", "local":
		return file.Open(location)
	case "oss":
		return oss.Open(oss.Config{Location: location, Options: options, Credentials: credentials})
	case "s3":
		return s3.Open(s3.Config{Location: location, Options: options, Credentials: credentials})
	}
	return nil, fmt.Errorf("mount point %s: scheme %s:// is not supported, use oss://, s3://, file:// or local://: %w", uri, location.Scheme, ufs.ErrUnsupported)
}

// OpenBelow opens the directory of a mount point (file:// or local://) that is the
// mounted volume or below it. Neither the path nor a link in the directory leaves the
// volume.
func OpenBelow(ctx context.Context, uri, volume string) (ufs.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	location, err := ufs.ParseLocation(uri)
	if err != nil {
		return nil, err
	}
	return file.OpenBelow(location, volume)
}
