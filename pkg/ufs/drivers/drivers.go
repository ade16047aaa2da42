// Package drivers picks the under-storage driver for a mount point.
package drivers

import (
	"context"
	"fmt"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/file"
	"github.com/jindo-io/jindo/pkg/ufs/oss"
	"github.com/jindo-io/jindo/pkg/ufs/s3"
)

// Supported says whether there is a driver for a scheme ("oss", not "oss://").
func Supported(scheme string) bool {
	switch scheme {
	case "file", "local", "oss", "s3":
		return true
	}
	return false
}

// Open answers the Store of a mount point. It opens no connection, so a store
// that cannot be reached shows at the first request; a directory must be
// there. options are a mount's ("fs.oss.endpoint"), those of other drivers are
// ignored. credentials may be nil: then they are taken from options, and with
// none there requests are anonymous.
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
	return nil, fmt.Errorf("mount point %s: there is no driver for %s://, only for oss://, s3://, file:// and local://: %w", uri, location.Scheme, ufs.ErrUnsupported)
}
