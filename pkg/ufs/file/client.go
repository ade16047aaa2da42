// Package file is the under-storage driver for directories: file:///abs/dir/
// and local:///abs/dir, which is a directory that every worker's host has (a
// local disk, NFS, a mounted volume).
//
// Keys are relative paths below the directory. The directory is a [os.Root]:
// neither ".." nor a symbolic link leads out of it. Links to files and
// directories inside are followed.
//
// # Versions
//
// A file system has no entity tags, so a tag is made of device, inode, size,
// modification and change time in nanoseconds. It changes whenever anybody
// writes, renames, links or chmods the file, with one gap: a second write in
// place, of the same size and within one tick of the kernel's clock (4 ms
// before Linux 6.13), is not seen. Nothing this driver writes has the gap,
// because it never writes in place: a Put makes a temporary file beside the
// target, syncs it, renames it and syncs the directory.
// A Get looks at the tag again after every read, so that it never hands out
// bytes of a file that was written meanwhile.
//
// # Conditions
//
// They are checked under a lock on the directory (flock of .jindo-lock), so
// that clients of this driver are safe against each other, in this process and
// in others on the host. Programs that write the directory past the driver are
// not held up by the lock.
//
// # Directories
//
// A directory is the object "dir/" when Put made it under that key, or when it
// is empty and somebody else made it. Directories that a Put made on the way
// to its key are marked as such in an extended attribute and removed with the
// last key in them. Elements that start with ".jindo-" are this driver's own:
// not listed, not accepted.
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Store is one directory.
type Store struct {
	location ufs.Location
	closed   atomic.Bool
	// commits serialises the last step of every mutation in this process;
	// flock does so between processes.
	commits sync.Mutex
	// first is the identity of the directory when it was opened, and guards
	// against mistaking an unmounted directory for an empty one.
	first atomic.Pointer[identity]
	names nameCache
}

var _ ufs.Store = (*Store)(nil)

// Open answers the Store of a directory that is there.
func Open(location ufs.Location) (*Store, error) {
	if location.Dir == "" {
		return nil, fmt.Errorf("%s is no directory: %w", location, ufs.ErrInvalid)
	}
	s := &Store{location: location}
	root, err := s.root()
	if err != nil {
		return nil, err
	}
	return s, root.Close()
}

// String names the store: "file:///data/".
func (s *Store) String() string { return s.location.String() }

// Close makes later requests fail.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.names.clear()
	return nil
}

// Capabilities of the directory. Whether it keeps metadata is the file
// system's to say.
func (s *Store) Capabilities(ctx context.Context) (ufs.Capabilities, error) {
	if err := ctx.Err(); err != nil {
		return ufs.Capabilities{}, err
	}
	root, err := s.root()
	if err != nil {
		return ufs.Capabilities{}, err
	}
	defer func() { _ = root.Close() }()
	metadata, err := keepsAttributes(root)
	if err != nil {
		return ufs.Capabilities{}, s.failed("probing", "", err)
	}
	return ufs.Capabilities{
		ConditionalCreate:  true,
		ConditionalReplace: true,
		ConditionalDelete:  true,
		Metadata:           metadata,
		Tree:               true,
		MinPartSize:        1,
	}, nil
}

// root opens the directory by its path, so that one that was replaced or
// mounted again is found. A directory that has changed its device and is empty
// looks unmounted, and that must not look like a store with nothing in it.
func (s *Store) root() (*os.Root, error) {
	if s.closed.Load() {
		return nil, fmt.Errorf("%s is closed: %w", s, ufs.ErrUnavailable)
	}
	root, err := os.OpenRoot(s.location.Dir)
	if err != nil {
		return nil, s.rootFailed(err)
	}
	info, err := root.Stat(".")
	if err != nil {
		_ = root.Close()
		return nil, s.failed("opening", "", err)
	}
	now := identityOf(info)
	was := s.first.Load()
	if was != nil && was.device != now.device && emptyDir(root, ".") {
		_ = root.Close()
		return nil, fmt.Errorf("%s has changed its device and is empty, so its file system looks unmounted: %w", s, ufs.ErrUnavailable)
	}
	if was == nil || *was != now {
		s.first.Store(&now)
	}
	return root, nil
}

func (s *Store) rootFailed(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("directory %s does not exist on this host; check spec.mounts[].mountPoint: %w", s.location.Dir, ufs.ErrNoBucket)
	case isFile(s.location.Dir):
		return fmt.Errorf("%s is not a directory; check spec.mounts[].mountPoint: %w", s.location.Dir, ufs.ErrInvalid)
	}
	return s.failed("opening", "", err)
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}
