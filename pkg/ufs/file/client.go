// Package file is the under-storage driver for directories: file:///abs/dir/
// and local:///abs/dir, a directory that exists on the host of every worker (a
// local disk, NFS, a mounted volume).
//
// Keys are relative paths below the directory. The directory is an [os.Root]:
// neither ".." nor a symbolic link can leave it. Links to files and directories
// inside are followed, also absolute ones whose target begins with the path of
// the directory. A link that leaves the directory, even to return, or that leads
// to nothing is not listed; opening one that leaves is ErrPermission.
//
// Keys are the bytes of the names, in any encoding.
//
// # Versions
//
// A file system has no entity tags, so a tag is made of inode, size and
// modification time in nanoseconds: what is the same on all hosts that share the
// directory. NFS, CephFS and Lustre show one inode number everywhere. FUSE, SMB
// and 9P need not, so the tag leaves it out there. The device is left out because
// each host, and each new mount, numbers devices by itself; the change time,
// because a hard link, chmod or chown changes it and no bytes.
//
// Equal tags mean equal bytes for files that are replaced by rename (a new inode),
// and for files that are written in place by programs that let the kernel set the
// modification time. A write within the clock's tick of the previous one would not
// change that time, so a Get waits until the tick of a file's modification time
// has passed (20 ms; 1 s where times are whole seconds) before it reads. A Get
// checks the tag after every read too, so that it never returns bytes of a file that was
// written meanwhile.
//
// Not detected is what hides from those fields: a write in place of the same
// size whose time is set back afterwards (touch -r, cp -p onto an existing
// file); on FUSE, SMB and 9P also a replacement of the same size and time; and,
// if the clock of a file server is ahead of this host's, a second write in the
// same tick. Copies of a directory on several hosts are not one store: their inodes
// differ.
//
// This driver never writes in place: a Put makes a temporary file beside the
// target, syncs it, renames it and syncs the directory.
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
	// volume is the mounted volume that contains the directory; "" for any
	// directory of the host.
	volume string
	closed atomic.Bool
	// commits serialises the last step of every mutation in this process;
	// flock does so between processes.
	commits sync.Mutex
	// first is the directory when it was opened. It shows whether an empty
	// directory is an unmounted one.
	first atomic.Pointer[opened]
	names nameCache
	// reading are the operations of List, Stat and Get.
	reading operations
}

var _ ufs.Store = (*Store)(nil)

// Open opens an existing directory.
func Open(location ufs.Location) (*Store, error) { return OpenBelow(location, "") }

// OpenBelow opens an existing directory that is the mounted volume, or below it in the
// same file system. No part of its path may be a symbolic link, at any time.
func OpenBelow(location ufs.Location, volume string) (*Store, error) {
	if location.Dir == "" {
		return nil, fmt.Errorf("%s is not a directory: %w", location, ufs.ErrInvalid)
	}
	s := &Store{location: location, volume: volume, reading: make(operations, maxOperations)}
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
func (s *Store) root() (*tree, error) {
	if s.closed.Load() {
		return nil, fmt.Errorf("%s is closed: %w", s, ufs.ErrUnavailable)
	}
	root, err := s.openTree()
	if err != nil {
		return nil, s.rootFailed(err)
	}
	info, err := root.Stat(".")
	if err != nil {
		_ = root.Close()
		return nil, s.failed("opening", "", err)
	}
	was, now := s.first.Load(), opened{identity: identityOf(info)}
	switch {
	case was != nil && was.device == now.device:
		now.versions = was.versions
	case was != nil && emptyDir(root, "."):
		_ = root.Close()
		return nil, fmt.Errorf("%s is empty and on another device than before, so its file system seems to be unmounted: %w", s, ufs.ErrUnavailable)
	default:
		if now.versions, err = versionsOf(root); err != nil {
			_ = root.Close()
			return nil, s.failed("opening", "", err)
		}
	}
	if was == nil || *was != now {
		s.first.Store(&now)
	}
	root.versions = now.versions
	return root, nil
}

func (s *Store) openTree() (*tree, error) {
	if s.volume != "" {
		return openTreeBelow(s.volume, s.location.Dir)
	}
	return openTree(s.location.Dir)
}

// opened is a directory as it was opened.
type opened struct {
	identity
	versions versions
}

func (s *Store) rootFailed(err error) error {
	var outside outsideError
	switch {
	case errors.As(err, &outside):
		return rootError{fmt.Sprintf("directory %s is not served: %s; check spec.mounts[].mountPoint and spec.worker.volumeMounts", s.location.Dir, outside), ufs.ErrPermission}
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
