package server

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/drivers"
)

// StoresWith returns an opener that reads credentials from a directory. It
// holds one subdirectory per secret reference with one file per option, or one
// file per option named by [ufs.CredentialKey].
//
// Mounts of directories (file:// and local://) are served from the given directories
// only. They must be mounted volumes, and no part of a path below them may be a
// symbolic link. The directory "/" stands for every directory of this host; it is for
// processes whose user chose the mounts.
func StoresWith(credentialsDir string, directories ...string) StoreOpener {
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
		volume, err := volumeOf(mount.GetUri(), directories)
		if err != nil {
			return nil, err
		}
		if volume != "" {
			return drivers.OpenBelow(ctx, mount.GetUri(), volume)
		}
		return drivers.Open(ctx, mount.GetUri(), mount.GetOptions(), credentials)
	}
}

// maxRevision is the maximum size of the file with the revision, in bytes.
const maxRevision = 32

// RevisionOf returns a function that returns the revision of the credentials in a
// directory of [StoresWith], which may change; 0 if it has none.
func RevisionOf(credentialsDir string) func() uint64 {
	return func() uint64 {
		if credentialsDir == "" {
			return 0
		}
		file, err := os.Open(filepath.Join(credentialsDir, ufs.CredentialsRevision))
		if err != nil {
			return 0
		}
		defer file.Close()
		raw, err := io.ReadAll(io.LimitReader(file, maxRevision))
		if err != nil {
			return 0
		}
		revision, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 63)
		if err != nil {
			return 0
		}
		return revision
	}
}

// volumeOf returns the directory from which a mount of a directory is served, the
// innermost one if they are nested. It returns "" for other stores, and if every
// directory may be served.
func volumeOf(uri string, directories []string) (string, error) {
	location, err := ufs.ParseLocation(uri)
	if err != nil || location.Dir == "" || slices.Contains(directories, "/") {
		return "", err
	}
	volume := ""
	for _, d := range directories {
		if (location.Dir == d || strings.HasPrefix(location.Dir, d+"/")) && len(d) > len(volume) {
			volume = d
		}
	}
	if volume == "" {
		return "", fmt.Errorf("mount point %s is not in a volume that the runtime declares for its workers; mount a volume of spec.volumes at %s in spec.worker.volumeMounts: %w", uri, location.Dir, ufs.ErrPermission)
	}
	return volume, nil
}
