//go:build linux

package fusefs

import (
	"context"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// Source provides names and bytes. Its errors wrap those of package reader; an
// application gets EIO for any other error. Its methods must be safe for
// concurrent use.
type Source interface {
	// Mounts returns the current mounts.
	Mounts() []reader.Mount
	// Changes returns a channel that receives a token when Mounts, epochs
	// included, has changed.
	Changes() <-chan struct{}
	// Current updates Mounts to the state at the time of the call, or returns
	// the reason why Mounts may be older. It must not block for long.
	Current(ctx context.Context) error
	// Lookup returns the entry of a name in a directory of a mount. dir has no
	// leading or trailing slash; "" is the mount's root.
	Lookup(ctx context.Context, mountID, dir, name string) (reader.Entry, error)
	// List returns the names of a directory that follow after, in a stable order.
	List(ctx context.Context, mountID, dir, after string) (reader.Page, error)
	// Open returns a File for the bytes of one version.
	Open(ctx context.Context, v reader.Version) (File, error)
	// Forget drops a version that does not exist any more, so that the next
	// Lookup queries the store.
	Forget(ctx context.Context, v reader.Version)
}

// File reads the bytes of one version. ReadAt must be safe for concurrent use.
type File interface {
	// ReadAt fills p with the bytes at off, or returns an error. It may return
	// fewer bytes with io.EOF, only at the end of the file.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	// Close releases the File. No read may be in progress.
	Close() error
}

// MemoryFile is a File that needs memory only for bytes that have arrived.
type MemoryFile interface {
	File
	// ReadTo is like ReadAt for the n bytes at off, n > 0. It calls memory at most
	// once, when the first byte has arrived, and fills the n bytes that it returns.
	// An error of memory ends the read.
	ReadTo(ctx context.Context, n int, off int64, memory func(context.Context) ([]byte, error)) (int, error)
}

// InstantFile is a File that can read without waiting.
type InstantFile interface {
	File
	// ReadNow returns len(p) bytes at off, which are within the file, if it has them
	// in memory, and reports whether it does. They are in p, or in memory of the File,
	// until they are released. It must not wait for a disk or another process.
	ReadNow(p []byte, off int64) (reader.Lent, bool)
	// ClosesNow reports whether Close would not wait for them either.
	ClosesNow() bool
}

// InstantSource is a Source that opens Files without waiting, so that an open needs
// no File before the first read, and that has some names in memory. Its methods must
// not wait for a disk or another process.
type InstantSource interface {
	Source
	// OpenNow is like Open. It must not fail because the version does not exist any
	// more: reads do.
	OpenNow(v reader.Version) (File, error)
	// LookupNow returns the entry of a name if it has it, and reports whether it does.
	LookupNow(mountID, dir, name string) (reader.Entry, bool)
}
