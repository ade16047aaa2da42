// Package file is the under-storage driver for directories: file:///abs/dir/
// and local:///abs/dir, a directory that exists on the host of every worker (a
// local disk, NFS, a mounted volume).
//
// Keys are relative paths below the directory. The directory is an [os.Root]:
// neither ".." nor a symbolic link can leave it. Links to files and directories
// inside are followed.
//
// # Versions
//
// A file system has no entity tags, so a tag is made of device, inode, size,
// modification and change time in nanoseconds. It changes with every write,
// rename, link or chmod of the file, with one exception: a second write in place,
// of the same size and within one tick of the kernel's clock (4 ms before Linux
// 6.13), is not detected. The exception does not apply to what this driver
// writes, because it never writes in place: a Put makes a temporary file beside
// the target, syncs it, renames it and syncs the directory. A Get checks the tag
// after every read, so that it never returns bytes of a file that was written
// meanwhile.
//
// # Conditions
//
// They are checked under a lock of the directory (flock of .jindo-lock), which
// serialises all clients of this driver on the host, in any process. Other
// programs that write the directory do not use the lock.
//
// # Directories
//
// A directory is the object "dir/" if Put made it under that key, or if it is
// empty and another program made it. Directories that a Put made on the path to
// its key are marked in an extended attribute and removed with the last key in
// them. Elements that start with ".jindo-" are reserved for the driver: they are
// neither listed nor accepted.
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
	// first is the identity of the directory when it was opened. It shows
	// whether an empty directory is an unmounted one.
	first atomic.Pointer[identity]
	names nameCache
}

var _ ufs.Store = (*Store)(nil)

// Open opens an existing directory.
func Open(location ufs.Location) (*Store, error) {
	if location.Dir == "" {
		return nil, fmt.Errorf("%s is not a directory: %w", location, ufs.ErrInvalid)
	}
	s := &Store{location: location}
	root, err := s.root()
	if err != nil {
		return nil, err
	}
	return s, root.Close()
}

// String returns the URI of the store: "file:///data/".
func (s *Store) String() string { return s.location.String() }

// Close makes later requests fail.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.names.clear()
	return nil
}

// Capabilities returns the abilities of the directory. Metadata requires extended
// attributes of the file system.
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

// root opens the directory by its path, so that one that was replaced or mounted
// again is used. An empty directory on another device than before is reported as
// unmounted, and not as a store without objects.
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
		return nil, fmt.Errorf("%s is empty and on another device than before, so its file system seems to be unmounted: %w", s, ufs.ErrUnavailable)
	}
	if was == nil || *was != now {
		s.first.Store(&now)
	}
	return root, nil
}

func (s *Store) rootFailed(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return rootError{fmt.Sprintf("directory %s does not exist on this host; check spec.mounts[].mountPoint", s.location.Dir), ufs.ErrNoBucket}
	case isFile(s.location.Dir):
		return rootError{s.location.Dir + " is not a directory; check spec.mounts[].mountPoint", ufs.ErrInvalid}
	}
	return s.failed("opening", "", err)
}

// rootError is an error of the directory of the whole Store, of a kind that its
// text explains already.
type rootError struct {
	text string
	kind error
}

func (e rootError) Error() string { return e.text }

func (e rootError) Unwrap() error { return e.kind }

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}
