//go:build linux

package fusefs

import (
	"context"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// Source is where names and bytes come from. Its errors are those of package
// reader; everything else is an I/O error to the application. It is safe for
// concurrent use.
type Source interface {
	// Mounts as of now.
	Mounts() []reader.Mount
	// Changes says that Mounts answers something new, epochs included.
	Changes() <-chan struct{}
	// Current brings Mounts up to what is mounted at the time of the call, or
	// answers why they may be older. It must not take long.
	Current(ctx context.Context) error
	// Lookup finds a name in a directory of a mount; dir has no slash at
	// either end, and is empty for the mount's root.
	Lookup(ctx context.Context, mountID, dir, name string) (reader.Entry, error)
	// List answers names after the given one, in an order that stays, and
	// whether there are more.
	List(ctx context.Context, mountID, dir, after string) (entries []reader.Entry, more bool, err error)
	// Open answers the bytes of one version.
	Open(ctx context.Context, v reader.Version) (File, error)
	// Forget drops a version that turned out to be gone, so that the next
	// Lookup asks anew.
	Forget(ctx context.Context, v reader.Version)
}

// File is one version's bytes, safe for concurrent use.
type File interface {
	// ReadAt fills p, or says why it could not; it ends early only at the end
	// of the file.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Close() error
}
