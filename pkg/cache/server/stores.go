package server

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/drivers"
)

// StoresWith returns an opener that reads credentials from a directory. It
// holds one subdirectory per secret reference with one file per option, or one
// file per option named by [ufs.CredentialKey].
func StoresWith(credentialsDir string) StoreOpener {
	return func(ctx context.Context, mount *commonv1.Mount) (ufs.Store, error) {
		var credentials ufs.CredentialsSource
		if ref := mount.GetSecretRef(); ref != "" {
			switch {
			case credentialsDir == "":
				return nil, fmt.Errorf("the mount needs secret %q, and this worker has no credentials directory: %w", ref, ufs.ErrPermission)
			case !filepath.IsLocal(ref) || filepath.Base(ref) != ref:
				return nil, fmt.Errorf("invalid secret reference %q: must be the name of a directory: %w", ref, ufs.ErrInvalid)
			}
			credentials = drivers.FileCredentials(filepath.Join(credentialsDir, ref), mount.GetUri())
		}
		return drivers.Open(ctx, mount.GetUri(), mount.GetOptions(), credentials)
	}
}
