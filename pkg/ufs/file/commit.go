package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/jindo-io/jindo/pkg/ufs"
	"golang.org/x/sys/unix"
)

// staged is a temporary file that is about to become an object.
type staged struct {
	dir  *os.Root
	file *os.File
	name string
}

// stage makes a temporary file beside the target. A parent that a Delete
// removes at the same time is made again.
func stage(root *os.Root, t target) (*staged, error) {
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

func stageOnce(root *os.Root, t target) (*staged, error) {
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

// shadowed turns "not a directory" into what it means for keys.
func shadowed(err error, t target) error {
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EISDIR) || errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("a directory cannot hold key %q beside a key that is a file or directory of the same name: %w", t.key, ufs.ErrInvalid)
	}
	return err
}

// discard removes what was staged unless it became the object.
func (g *staged) discard() {
	_ = g.file.Close()
	if g.name != "" {
		_ = g.dir.Remove(g.name)
	}
	_ = g.dir.Close()
}

// commit makes the staged file the object, if the conditions hold.
func (s *Store) commit(ctx context.Context, root *os.Root, g *staged, t target, c ufs.Conditions) (ufs.Object, error) {
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
	return describe(t.key, info), nil
}

// check is called under the lock.
func check(root *os.Root, t target, c ufs.Conditions) error {
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
		return fmt.Errorf("it is there already: %w", ufs.ErrPrecondition)
	case c.IfMatch != "" && err != nil:
		return fmt.Errorf("it is not there: %w", ufs.ErrPrecondition)
	case c.IfMatch != "" && object.ETag != c.IfMatch:
		return replaced(c.IfMatch, object.ETag)
	}
	return nil
}

// locked runs the last step of a mutation alone among all clients of this
// driver on the host.
func (s *Store) locked(ctx context.Context, root *os.Root, do func() error) error {
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
