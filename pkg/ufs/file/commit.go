package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// staged is a temporary file that will become an object.
type staged struct {
	dir  *os.Root
	file *os.File
	name string
}

// stage makes a temporary file beside the target. It creates a parent again that
// a concurrent Delete removes.
func stage(root *tree, t target) (*staged, error) {
	const tries = 16
	var err error
	for range tries {
		var s *staged
		if s, err = stageOnce(root, t); !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
	}
	return nil, err
}

func stageOnce(root *tree, t target) (*staged, error) {
	dir, err := makeParents(root, t.parent())
	if err != nil {
		return nil, shadowed(err, t)
	}
	name := temporary + rand.Text()
	f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return &staged{dir: dir, file: f, name: name}, nil
}

// shadowed explains "not a directory" in terms of keys.
func shadowed(err error, t target) error {
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EISDIR) || errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("key %q conflicts with a file or directory of the same name: %w", t.key, ufs.ErrInvalid)
	}
	return err
}

// discard removes the temporary file unless it became the object.
func (g *staged) discard() {
	_ = g.file.Close()
	if g.name != "" {
		_ = g.dir.Remove(g.name)
	}
	_ = g.dir.Close()
}

// commit makes the temporary file the object, if the conditions hold.
func (s *Store) commit(ctx context.Context, root *tree, g *staged, t target, c ufs.Conditions) (ufs.Object, error) {
	// The kernel's times advance in ticks. Two puts in one tick could have one
	// tag, if the second file gets the inode of one before the first.
	now := time.Now()
	_ = g.dir.Chtimes(g.name, now, now) // without the right, the kernel's time remains
	if err := g.file.Sync(); err != nil {
		return ufs.Object{}, err
	}
	err := s.locked(ctx, root, func() error {
		if err := check(root, t, c); err != nil {
			return err
		}
		return g.dir.Rename(g.name, t.base())
	})
	if err != nil {
		return ufs.Object{}, shadowed(err, t)
	}
	g.name = ""
	if err := syncDir(g.dir, "."); err != nil {
		return ufs.Object{}, err
	}
	info, err := g.file.Stat()
	if err != nil {
		return ufs.Object{}, err
	}
	return root.versions.describe(t.key, info), nil
}

// check returns ErrPrecondition if a condition does not hold. The caller holds
// the lock.
func check(root *tree, t target, c ufs.Conditions) error {
	if c == (ufs.Conditions{}) {
		return nil
	}
	f, object, err := openObject(root, t)
	if err == nil {
		_ = f.Close()
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ufs.ErrNotFound) {
		return err
	}
	switch {
	case c.IfNoneMatch && err == nil:
		return fmt.Errorf("the object exists: %w", ufs.ErrPrecondition)
	case c.IfMatch != "" && err != nil:
		return fmt.Errorf("the object does not exist: %w", ufs.ErrPrecondition)
	case c.IfMatch != "" && object.ETag != c.IfMatch:
		return replaced(c.IfMatch, object.ETag)
	}
	return nil
}

// locked runs the last step of a mutation exclusively among all clients of this
// driver on the host.
func (s *Store) locked(ctx context.Context, root *tree, do func() error) error {
	s.commits.Lock()
	defer s.commits.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	lock, err := root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return do()
}
