//go:build linux

package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// openFile is the File of a handle. It is opened on first use, because a
// successor recovers handles without their Files. It is safe for concurrent use.
type openFile struct {
	// mu guards file and closed.
	mu     sync.Mutex
	file   File
	closed bool

	failures readErrors
}

// get returns the File of version v, and opens it if necessary.
func (o *openFile) get(ctx context.Context, source Source, v reader.Version) (File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, fmt.Errorf("the handle is closed")
	}
	if o.file == nil {
		file, err := source.Open(ctx, v)
		if err != nil {
			return nil, err
		}
		o.file = file
	}
	return o.file, nil
}

func (o *openFile) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.file == nil {
		return nil
	}
	file := o.file
	o.file = nil
	return file.Close()
}

// Open opens a handle that reads the version of the node for as long as it is
// open.
func (f *fileSystem) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return fuse.EROFS
	}
	n, ok := f.table.node(in.NodeId)
	if !ok {
		return estale
	}
	if n.dir {
		return fuse.EISDIR
	}
	ctx, done := f.requests.begin(in.Unique, in.Pid)
	defer done()
	version, direct := n.version, false
	if n.stale {
		if f.table.refuseOnce(n.id) {
			f.notifier.entry(n.path)
			return estale
		}
		// The caller cannot look up the name again, so that it gets the current
		// version.
		dir, name := split(n.path)
		entry, err := f.tree.Load().lookup(ctx, f.source, dir, name)
		if err == nil && entry.Dir {
			err = reader.ErrStale
		}
		if err != nil {
			return f.failed("open", n.path, err)
		}
		version, direct = entry.Version, true
	}
	file, err := f.source.Open(ctx, version)
	if errors.Is(err, reader.ErrStale) {
		f.dropVersion(ctx, n.id, n.path, version)
		f.table.refuseOnce(n.id)
	}
	if err != nil {
		return f.failed("open", n.path, err)
	}
	h := f.table.openHandle(in.Unique, n, version, direct)
	h.open.file = file
	out.Fh = h.id
	out.OpenFlags = fuse.FOPEN_NOFLUSH
	if direct {
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO
	} else {
		// A nodeid identifies one version, so that cached pages are valid.
		out.OpenFlags |= fuse.FOPEN_KEEP_CACHE
	}
	return fuse.OK
}

// dropVersion invalidates a version that does not exist any more, in the table,
// the kernel and the source.
func (f *fileSystem) dropVersion(ctx context.Context, id uint64, path string, v reader.Version) {
	f.table.markStale(id)
	f.notifier.entry(path)
	f.source.Forget(ctx, v)
}

// Read returns all requested bytes of the handle's version up to the end of the
// file, or an error.
func (f *fileSystem) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h, ok := f.table.handle(in.Fh)
	if !ok || h.dir {
		return nil, fuse.EBADF
	}
	if in.Offset >= uint64(max(h.version.Size, 0)) {
		return inPlace(nil), fuse.OK
	}
	offset := int64(in.Offset)
	p := buf[:min(int64(len(buf)), h.version.Size-offset)]
	if err := h.open.failures.take(time.Now(), offset); err != nil {
		return nil, f.failed("read", h.path, err)
	}
	ctx, done := f.requests.begin(in.Unique, in.Pid)
	defer done()
	file, err := h.open.get(ctx, f.source, h.version)
	if err == nil {
		err = readFull(ctx, file, p, offset)
	}
	if err == nil {
		return inPlace(p), fuse.OK
	}
	if errors.Is(err, reader.ErrStale) {
		f.dropVersion(ctx, h.node, h.path, h.version)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(cause, err)
	} else {
		h.open.failures.add(time.Now(), offset, int64(len(p)), err)
	}
	return nil, f.failed("read", h.path, err)
}

// readFull fills p or returns an error. A shorter read must fail, because the
// kernel would fill the rest of the page with zeros.
func readFull(ctx context.Context, file File, p []byte, offset int64) error {
	n, err := file.ReadAt(ctx, p, offset)
	if n == len(p) && (err == nil || errors.Is(err, io.EOF)) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("read %d bytes at %d: got %d bytes: %w", len(p), offset, n, io.ErrUnexpectedEOF)
	}
	return err
}

// inPlace is the result of a read whose bytes are already in the reply's buffer.
type inPlace []byte

// Bytes returns the bytes.
func (r inPlace) Bytes([]byte) ([]byte, fuse.Status) { return r, fuse.OK }

// Size returns the number of bytes.
func (r inPlace) Size() int { return len(r) }

// Done does nothing: there are no resources to release.
func (r inPlace) Done() {}

// Readv returns the number of bytes, which need no copying.
func (r inPlace) Readv([][]byte) (int, fuse.Status) { return len(r), fuse.OK }

// Release closes a handle. The kernel does not wait for it.
func (f *fileSystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	h := f.table.release(in.Unique, in.Fh)
	if h == nil {
		return
	}
	if err := h.open.close(); err != nil {
		f.log.Debug("close file failed", "path", h.path, "error", err)
	}
}

// Flush does nothing: the tree is read-only.
func (f *fileSystem) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

// Fsync does nothing: the tree is read-only.
func (f *fileSystem) Fsync(<-chan struct{}, *fuse.FsyncIn) fuse.Status { return fuse.OK }
