package server

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/drivers"
)

// StoresWith opens stores with the credentials below a directory: one folder a
// secret reference with one file an option, or one flat file an option named by
// [ufs.CredentialKey].
func StoresWith(credentialsDir string) StoreOpener {
	return func(ctx context.Context, mount *commonv1.Mount) (ufs.Store, error) {
		var credentials ufs.CredentialsSource
		if ref := mount.GetSecretRef(); ref != "" {
			switch {
			case credentialsDir == "":
				return nil, fmt.Errorf("it needs the secret %q, and this worker has no credentials directory: %w", ref, ufs.ErrPermission)
			case !filepath.IsLocal(ref) || filepath.Base(ref) != ref:
				return nil, fmt.Errorf("secret reference %q is no name of a folder: %w", ref, ufs.ErrInvalid)
			}
			credentials = drivers.FileCredentials(filepath.Join(credentialsDir, ref), mount.GetUri())
		}
		return drivers.Open(ctx, mount.GetUri(), mount.GetOptions(), credentials)
	}
}
