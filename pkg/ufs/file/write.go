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

// Put writes a temporary file and renames it over the key.
func (s *Store) Put(ctx context.Context, key string, source io.Reader, size int64, metadata map[string]string, c ufs.Conditions) (ufs.Object, error) {
	object, err := s.put(ctx, key, metadata, c, size, func(f *os.File) error { return fill(ctx, f, source, size) })
	return object, s.failed("writing", key, err)
}

// put makes an object of the bytes that write writes.
func (s *Store) put(ctx context.Context, key string, metadata map[string]string, c ufs.Conditions, size int64, write func(*os.File) error) (ufs.Object, error) {
	if err := ctx.Err(); err != nil {
		return ufs.Object{}, err
	}
	t, err := parse(key)
	if err != nil {
		return ufs.Object{}, err
	}
	root, err := s.root()
	if err != nil {
		return ufs.Object{}, err
	}
	defer func() { _ = root.Close() }()
	if t.dir {
		return s.putMarker(ctx, root, t, size, metadata, c)
	}
	g, err := stage(root, t)
	if err != nil {
		return ufs.Object{}, err
	}
	defer g.discard()
	if err := write(g.file); err != nil {
		return ufs.Object{}, err
	}
	if err := writeMetadata(g.file, metadata); err != nil {
		return ufs.Object{}, err
	}
	object, err := s.commit(ctx, root, g, t, c)
	object.Metadata = metadata
	return object, err
}

// fill copies exactly size bytes.
func fill(ctx context.Context, f *os.File, source io.Reader, size int64) error {
	if size < 0 {
		return fmt.Errorf("size %d: %w", size, ufs.ErrInvalid)
	}
	n, err := io.Copy(f, io.LimitReader(&cancellable{ctx: ctx, Reader: source}, size))
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("the body has %d bytes of %d: %w", n, size, ufs.ErrInvalid)
	}
	return nil
}

// cancellable is a reader that fails when its context ends.
type cancellable struct {
	ctx context.Context
	io.Reader
}

func (c *cancellable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}

// putMarker marks a directory as the object "dir/".
func (s *Store) putMarker(ctx context.Context, root *tree, t target, size int64, metadata map[string]string, c ufs.Conditions) (ufs.Object, error) {
	if size != 0 {
		return ufs.Object{}, fmt.Errorf("a key with a trailing slash is a directory and cannot contain bytes: %w", ufs.ErrInvalid)
	}
	parent, err := makeParents(root, t.parent())
	if err != nil {
		return ufs.Object{}, shadowed(err, t)
	}
	defer func() { _ = parent.Close() }()
	var object ufs.Object
	err = s.locked(ctx, root, func() error {
		if err := check(root, t, c); err != nil {
			return err
		}
		if err := parent.Mkdir(t.base(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		object, err = root.versions.mark(parent, t, metadata)
		return err
	})
	if err != nil {
		return ufs.Object{}, shadowed(err, t)
	}
	object.Metadata = metadata
	return object, syncDir(parent, ".")
}

func (v versions) mark(parent *os.Root, t target, metadata map[string]string) (ufs.Object, error) {
	dir, err := parent.OpenFile(t.base(), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return ufs.Object{}, err
	}
	defer func() { _ = dir.Close() }()
	if err := setDirectoryKind(dir, markerKind); err != nil {
		return ufs.Object{}, err
	}
	if err := writeMetadata(dir, metadata); err != nil {
		return ufs.Object{}, err
	}
	if err := dir.Sync(); err != nil {
		return ufs.Object{}, err
	}
	info, err := dir.Stat()
	if err != nil {
		return ufs.Object{}, err
	}
	return v.describe(t.key, info), nil
}

// Delete removes the file or marker of a key.
func (s *Store) Delete(ctx context.Context, key string, c ufs.Conditions) error {
	return s.failed("deleting", key, s.remove(ctx, key, c))
}

func (s *Store) remove(ctx context.Context, key string, c ufs.Conditions) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := parse(key)
	if err != nil {
		return err
	}
	root, err := s.root()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return s.locked(ctx, root, func() error {
		if err := check(root, t, c); err != nil {
			return err
		}
		if err := removeObject(root, t); err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, ufs.ErrNotFound) {
				return nil
			}
			return err
		}
		pruneImplied(root, t.parent())
		// If the directory itself was pruned, its parent was not synced: a
		// deleted key may exist again after a power cut, with its right
		// content.
		if err := syncDir(root, t.parent()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

func removeObject(root *tree, t target) error {
	f, _, err := openObject(root, t)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if !t.dir {
		return removeFile(root, t.path)
	}
	err = removeDir(root, t.path)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return setDirectoryKind(f, impliedKind) // other keys need it
	}
	return err
}

// Copy copies within the file system, sharing blocks if it can.
func (s *Store) Copy(ctx context.Context, src, ifMatch, dst string, metadata map[string]string, c ufs.Conditions) (ufs.Object, error) {
	source, object, v, err := s.openBytes(ctx, src)
	if err != nil {
		return ufs.Object{}, s.failed("copying", src, err)
	}
	defer func() { _ = source.Close() }()
	if ifMatch != "" && ifMatch != object.ETag {
		return ufs.Object{}, s.failed("copying", src, replaced(ifMatch, object.ETag))
	}
	if metadata == nil {
		if metadata, err = readMetadata(source); err != nil {
			return ufs.Object{}, s.failed("copying", src, err)
		}
	}
	made, err := s.put(ctx, dst, metadata, c, object.Size, func(f *os.File) error {
		return duplicate(ctx, f, &body{store: s, versions: v, file: source, object: object})
	})
	return made, s.failed("writing", dst, err)
}

// duplicate copies in pieces, so that it obeys the context, and fails if the
// source was written meanwhile.
func duplicate(ctx context.Context, to *os.File, from *body) error {
	const piece = 64 << 20
	for done, size := int64(0), from.object.Size; done < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(to, from.file, min(piece, size-done))
		if err != nil {
			return fmt.Errorf("the source ended after %d of %d bytes: %w: %w", done+n, size, err, ufs.ErrUnavailable)
		}
		done += n
	}
	return from.unchanged()
}
