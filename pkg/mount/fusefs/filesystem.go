//go:build linux

package fusefs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// nameMax is the maximum length of a name, in bytes.
const nameMax = 255

// fileSystem processes the requests that go-fuse has decoded. Operations that it
// does not define return ENOSYS, which the kernel remembers. Its methods are safe
// for concurrent use.
type fileSystem struct {
	fuse.RawFileSystem

	config Config
	source Source
	// instant is the source if it is an InstantSource, nil otherwise.
	instant InstantSource
	table   *table
	tree    atomic.Pointer[tree]
	// refreshMu is held while the tree is replaced.
	refreshMu sync.Mutex
	requests  *requests
	notifier  *notifier
	// listings are the names that the kernel keeps.
	listings *listings
	// passthrough lets the kernel read sealed files itself.
	passthrough *passthrough
	// renewals holds the names whose node was stale until recently.
	renewals *renewals
	// immutable is set if the mount has the immutable profile, and nodes holds the
	// files that the kernel reads without a handle.
	immutable bool
	nodes     *nodeFiles
	usage     usage
	log       *slog.Logger
	// created is the time at which the mount was created.
	created time.Time
}

var _ fuse.RawFileSystem = (*fileSystem)(nil)

// String returns the name of the file system.
func (f *fileSystem) String() string { return "jindo" }

// Lookup finds a name in a directory. The kernel may cache for NegativeTTL that a
// name does not exist.
func (f *fileSystem) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	parent, ok := f.table.node(header.NodeId)
	if !ok {
		return estale
	}
	if !parent.dir {
		return fuse.ENOTDIR
	}
	if len(name) > nameMax {
		return fuse.Status(syscall.ENAMETOOLONG)
	}
	ctx, done := f.requests.begin(header.Unique, header.Pid)
	defer done()
	path := join(parent.path, name)
	f.renewals.looked(path)
	entry, err := f.tree.Load().lookup(ctx, f.source, parent.path, name)
	if errors.Is(err, errUnmounted) {
		f.update(ctx)
		entry, err = f.tree.Load().lookup(ctx, f.source, parent.path, name)
	}
	if errors.Is(err, reader.ErrNotExist) {
		if id, known := f.table.markDeleted(path); known {
			f.log.Debug("a file was deleted", "path", path, "nodeid", id)
			f.listings.drop(header.NodeId)
		}
		// Outside every mount the kernel must not cache the absence of a name:
		// a mount may be added there at any time.
		if f.config.NegativeTTL <= 0 || errors.Is(err, errUnmounted) {
			return fuse.ENOENT
		}
		out.SetEntryTimeout(f.config.NegativeTTL)
		return fuse.OK
	}
	if err != nil {
		return f.failed("lookup", path, err)
	}
	n := f.table.recordLookups(header.Unique, []lookup{{path: path, entry: entry}}, nil)[0]
	f.entryOfAge(n, ageOf(entry), out)
	return fuse.OK
}

// GetAttr returns the attributes of a nodeid.
func (f *fileSystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, ok := f.table.node(in.NodeId)
	if !ok {
		return estale
	}
	out.SetTimeout(f.config.AttrTTL)
	f.attributes(n, &out.Attr)
	return fuse.OK
}

// Access checks permissions. The kernel calls it only on a mount without
// default_permissions.
func (f *fileSystem) Access(_ <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	n, ok := f.table.node(in.NodeId)
	switch {
	case !ok:
		return estale
	case in.Mask&unix.W_OK != 0:
		return fuse.EROFS
	case in.Mask&unix.X_OK != 0 && !n.dir:
		return fuse.EACCES
	}
	return fuse.OK
}

// failed logs an error, of which the application gets only the errno, and returns
// that errno.
func (f *fileSystem) failed(operation, path string, err error) fuse.Status {
	code := status(err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, errDisconnected), code == fuse.EINTR, code == estale:
		f.log.Debug("request failed", "operation", operation, "path", path, "error", err)
	default:
		f.log.Warn("request failed", "operation", operation, "path", path, "error", err)
	}
	return code
}
