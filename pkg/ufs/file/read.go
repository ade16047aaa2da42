package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Stat returns the attributes of the file or directory of a key.
func (s *Store) Stat(ctx context.Context, key string) (ufs.Object, error) {
	object, err := run(ctx, s.reading, func() (ufs.Object, error) { return s.stat(ctx, key) }, func(ufs.Object) {})
	return object, s.failed("describing", key, err)
}

func (s *Store) stat(ctx context.Context, key string) (ufs.Object, error) {
	f, object, _, err := s.open(ctx, key)
	if err != nil {
		return ufs.Object{}, err
	}
	defer func() { _ = f.Close() }()
	if object.Metadata, err = readMetadata(f); err != nil {
		return ufs.Object{}, err
	}
	return object, nil
}

// Get reads a range of a file while it is the version that was opened.
func (s *Store) Get(ctx context.Context, key string, r ufs.Range, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	b, err := run(ctx, s.reading, func() (*body, error) { return s.get(ctx, key, r, ifMatch) }, func(b *body) { _ = b.Close() })
	if err != nil {
		return nil, ufs.Object{}, s.failed("reading", key, err)
	}
	return b, b.object, nil
}

func (s *Store) get(ctx context.Context, key string, r ufs.Range, ifMatch string) (*body, error) {
	f, object, v, err := s.openBytes(ctx, key)
	if err != nil {
		return nil, err
	}
	if ifMatch != "" && ifMatch != object.ETag {
		_ = f.Close()
		return nil, replaced(ifMatch, object.ETag)
	}
	length, err := ufs.ClampRange(r, object.Size)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &body{ctx: ctx, store: s, versions: v, file: f, object: object, begin: r.Offset, offset: r.Offset, end: r.Offset + length}, nil
}

func replaced(want, have string) error {
	return fmt.Errorf("the object has tag %s, not %s: %w", have, want, ufs.ErrPrecondition)
}

// open opens the file or directory of a key if it is an object.
func (s *Store) open(ctx context.Context, key string) (*os.File, ufs.Object, versions, error) {
	if err := ctx.Err(); err != nil {
		return nil, ufs.Object{}, versions{}, err
	}
	t, err := parse(key)
	if err != nil {
		return nil, ufs.Object{}, versions{}, err
	}
	root, err := s.root()
	if err != nil {
		return nil, ufs.Object{}, versions{}, err
	}
	defer func() { _ = root.Close() }()
	f, object, err := openObject(root, t)
	return f, object, root.versions, err
}

// openBytes is like open, and settles the file, so that it may be read.
func (s *Store) openBytes(ctx context.Context, key string) (*os.File, ufs.Object, versions, error) {
	f, object, v, err := s.open(ctx, key)
	if err != nil {
		return nil, ufs.Object{}, versions{}, err
	}
	info, err := f.Stat()
	if err == nil {
		info, err = settle(ctx, f, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, ufs.Object{}, versions{}, err
	}
	return f, v.describe(object.Key, info), v, nil
}

func openObject(root *tree, t target) (*os.File, ufs.Object, error) {
	// Opening a FIFO would block until it has a writer.
	f, err := root.OpenFile(t.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) { // a socket
		return nil, ufs.Object{}, noObject(t, "it is not a regular file")
	}
	if err != nil {
		return nil, ufs.Object{}, err
	}
	info, err := f.Stat()
	if err == nil {
		err = isObject(f, info, t)
	}
	if err != nil {
		_ = f.Close()
		return nil, ufs.Object{}, err
	}
	return f, root.versions.describe(t.key, info), nil
}

// isObject distinguishes a directory from a file by the trailing slash of the
// key.
func isObject(f *os.File, info fs.FileInfo, t target) error {
	switch {
	case info.IsDir() && !t.dir:
		return noObject(t, "it is a directory")
	case !info.IsDir() && t.dir:
		return noObject(t, "it is a file")
	case !info.IsDir() && !info.Mode().IsRegular():
		return noObject(t, "it is not a regular file")
	case info.IsDir():
		return isMarker(f, t)
	}
	return nil
}

func isMarker(dir *os.File, t target) error {
	kind, err := directoryKind(dir)
	if err != nil || kind == markerKind {
		return err
	}
	if kind == "" {
		if _, err := dir.Readdirnames(1); errors.Is(err, io.EOF) {
			return nil
		}
	}
	return noObject(t, "the directory was not stored as an object")
}

func noObject(t target, why string) error {
	return fmt.Errorf("%q is not an object, %s: %w", t.key, why, ufs.ErrNotFound)
}

// body reads one range and checks the version of the file after every read.
type body struct {
	ctx      context.Context
	store    *Store
	versions versions
	file     *os.File
	object   ufs.Object
	// The range is [begin, end); offset is the next byte to read.
	begin, offset, end int64
}

var _ io.ReadSeekCloser = (*body)(nil)

// Seek moves within the range.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		offset += b.begin
	case io.SeekCurrent:
		offset += b.offset
	case io.SeekEnd:
		offset += b.end
	}
	if offset < b.begin || offset > b.end {
		return 0, fmt.Errorf("seeking to %d of %d to %d: %w", offset, b.begin, b.end, ufs.ErrInvalid)
	}
	b.offset = offset
	return offset - b.begin, nil
}

// Read never returns bytes of another version than the one opened.
func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	left := b.end - b.offset
	if left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > left {
		p = p[:left]
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.file.ReadAt(p, b.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, b.store.failed("reading", b.object.Key, err)
	}
	if err := b.unchanged(); err != nil {
		return 0, b.store.failed("reading", b.object.Key, err)
	}
	if n == 0 {
		return 0, b.store.failed("reading", b.object.Key, fmt.Errorf("the file ends %d bytes early: %w", left, ufs.ErrUnavailable))
	}
	b.offset += int64(n)
	return n, nil
}

// unchanged returns an error if the file was written since it was opened. One that
// was unlinked or replaced by rename keeps its bytes.
func (b *body) unchanged() error {
	info, err := b.file.Stat()
	if err != nil {
		return err
	}
	if b.versions.tag(info) == b.object.ETag {
		return nil
	}
	return fmt.Errorf("the file was written in place while it was read: %w", ufs.ErrPrecondition)
}

// Close closes the file.
func (b *body) Close() error { return b.file.Close() }
