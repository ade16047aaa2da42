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

// getNow returns the File of version v, and opens it if that needs no waiting, which
// it does not if source is not nil. It returns nil if there is none.
func (o *openFile) getNow(source InstantSource, v reader.Version) File {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil && !o.closed && source != nil {
		if file, err := source.OpenNow(v); err == nil {
			o.file = file
		}
	}
	return o.file
}

// set sets the File of a new handle.
func (o *openFile) set(file File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.file = file
}

// opened returns the File, or nil if it is not open.
func (o *openFile) opened() File {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.file
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
	if f.immutable {
		return fuse.ENOSYS
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
	h, err := f.openNode(ctx, in, n)
	if err != nil {
		return f.failed("open", n.path, err)
	}
	out.Fh = h.id
	out.OpenFlags = fuse.FOPEN_NOFLUSH
	if h.passthrough {
		out.OpenFlags |= fuse.FOPEN_PASSTHROUGH
		out.BackingID = int32(h.backing)
	}
	switch {
	case h.direct:
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO
	case !h.passthrough:
		// A nodeid identifies one version, so that cached pages are valid.
		out.OpenFlags |= fuse.FOPEN_KEEP_CACHE
	}
	return fuse.OK
}

// openNode opens the version of a node. It fails with reader.ErrStale if that version
// does not exist any more, except if the kernel cannot look up the name again: then it
// opens the current version.
func (f *fileSystem) openNode(ctx context.Context, in *fuse.OpenIn, n node) (*handle, error) {
	if !n.stale {
		how := openInMode
		if in.Flags&syscall.O_DIRECT != 0 {
			how = openUnaligned
		}
		h, err := f.openHandle(ctx, in, n, n.version, how)
		if !errors.Is(err, reader.ErrStale) {
			return h, err
		}
	}
	refused := f.table.refuse(n.id)
	if f.renewals.refuse(ctx, n, refused) {
		f.notifier.entry(n.path)
		return nil, fmt.Errorf("open a version that was replaced: %w", reader.ErrStale)
	}
	dir, name := split(n.path)
	entry, err := f.tree.Load().lookup(ctx, f.source, dir, name)
	if err == nil && entry.Dir {
		err = reader.ErrStale
	}
	if err != nil {
		return nil, err
	}
	return f.openHandle(ctx, in, n, entry.Version, openDirect)
}

// openHandle opens a handle in the mode of its node.
func (f *fileSystem) openHandle(ctx context.Context, in *fuse.OpenIn, n node, version reader.Version, how opening) (*handle, error) {
	if how == openInMode && n.backing != 0 {
		// The kernel reads the file itself.
		h := f.table.openFile(in.Unique, n, version, how, 0)
		if h.passthrough {
			f.passthrough.opened(h.backing)
		}
		// If the last handle was released meanwhile, the mode is cached, and the File
		// is opened when it is read.
		return h, nil
	}
	file, err := f.source.Open(ctx, version)
	if errors.Is(err, reader.ErrStale) {
		f.dropVersion(ctx, n.id, n.path, version)
	}
	if err != nil {
		return nil, err
	}
	backing := uint32(0)
	if how == openInMode {
		backing = f.passthrough.prepare(ctx, n)
	}
	h := f.table.openFile(in.Unique, n, version, how, backing)
	if h == nil {
		_ = file.Close()
		return nil, fmt.Errorf("open a new version beside files that the kernel reads: %w", reader.ErrStale)
	}
	if backing != 0 && h.backing != backing {
		f.passthrough.end(backing)
	}
	if h.passthrough && !h.direct {
		f.passthrough.opened(h.backing)
		// The kernel reads the backing.
		_ = file.Close()
		return h, nil
	}
	h.open.set(file)
	return h, nil
}

// dropVersion invalidates a version that does not exist any more, in the table,
// the kernel and the source.
func (f *fileSystem) dropVersion(ctx context.Context, id uint64, path string, v reader.Version) {
	f.table.markStale(id)
	f.source.Forget(ctx, v)
	f.invalidate(ctx, path, v)
}

// read reads all requested bytes of the handle's version up to the end of the file
// into the memory of the service, and returns their number, or an error.
func (f *fileSystem) read(in readRequest, v *service) (int, fuse.Status) {
	h, code := f.beginRead(in)
	if code != fuse.OK {
		return 0, code
	}
	read := 0
	defer func() { f.endRead(h, read) }()
	if h.spoils(in) {
		return 0, fuse.EIO
	}
	if in.size == 0 || in.offset >= uint64(max(h.version.Size, 0)) {
		return 0, fuse.OK
	}
	offset := int64(in.offset)
	n := int(min(int64(in.size), h.version.Size-offset))
	if err := h.open.failures.take(time.Now(), offset); err != nil {
		return 0, f.failed("read", h.path, err)
	}
	ctx, done := f.requests.begin(in.unique, in.thread)
	defer done()
	file, err := h.open.get(ctx, f.source, h.version)
	if err == nil {
		err = readAttempts(ctx, file, n, offset, v)
	}
	if err == nil {
		read = n
		return n, fuse.OK
	}
	if errors.Is(err, reader.ErrStale) {
		f.dropVersion(ctx, h.node, h.path, h.version)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(cause, err)
	} else {
		h.open.failures.add(time.Now(), offset, int64(n), err)
	}
	return 0, f.failed("read", h.path, err)
}

// readAttempts reads n bytes into the memory of the service, again after an attempt
// that had to give back its memory.
func readAttempts(ctx context.Context, file File, n int, offset int64, v *service) error {
	for {
		attempt, memory := v.attempt(ctx, n)
		err := readOnce(attempt, file, n, offset, memory)
		if err == nil || !errors.Is(context.Cause(attempt), errParked) {
			return err
		}
		v.free()
	}
}

// readOnce reads n bytes. Memory is requested when the first byte has arrived, if
// the File can wait without.
func readOnce(ctx context.Context, file File, n int, offset int64, memory func(context.Context) ([]byte, error)) error {
	if file, ok := file.(MemoryFile); ok {
		got, err := file.ReadTo(ctx, n, offset, memory)
		return checkFull(n, got, offset, err)
	}
	p, err := memory(ctx)
	if err != nil {
		return err
	}
	got, err := file.ReadAt(ctx, p, offset)
	return checkFull(n, got, offset, err)
}

// checkFull returns an error unless all n bytes were read. A shorter read must
// fail, because the kernel would fill the rest of the page with zeros.
func checkFull(n, got int, offset int64, err error) error {
	if got == n && (err == nil || errors.Is(err, io.EOF)) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("read %d bytes at %d: got %d bytes: %w", n, offset, got, io.ErrUnexpectedEOF)
	}
	return err
}

// Release closes a handle. The kernel does not wait for it.
func (f *fileSystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	h, ended := f.table.release(in.Unique, in.Fh)
	if h == nil {
		return
	}
	if ended != 0 {
		f.passthrough.end(ended)
	}
	f.closeHandle(h)
}

// closeHandle closes the File of a handle that was released.
func (f *fileSystem) closeHandle(h *handle) {
	if err := h.open.close(); err != nil {
		f.log.Debug("close file failed", "path", h.path, "error", err)
	}
}

// Flush does nothing: the tree is read-only.
func (f *fileSystem) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status {
	if f.immutable {
		return fuse.ENOSYS
	}
	return fuse.OK
}

// Fsync does nothing: the tree is read-only.
func (f *fileSystem) Fsync(<-chan struct{}, *fuse.FsyncIn) fuse.Status { return fuse.OK }
