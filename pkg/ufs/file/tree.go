package file

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks bounds the symbolic links of one path, as the kernel does.
const maxLinks = 40

// tree is the directory of a Store. Its methods follow symbolic links, also
// absolute ones whose target lies below the directory by its own name, which
// [os.Root] refuses; every link that leaves the directory is refused.
//
// A path is opened through os.Root in any case, also after its links were
// resolved here, so a link that is changed meanwhile cannot leave the directory.
type tree struct {
	*os.Root
	// dir is the absolute path of the directory as configured.
	dir string
	// versions of all files below the directory.
	versions versions
}

// opener is a tree, or a directory below one.
type opener interface {
	Open(name string) (*os.File, error)
}

func openTree(dir string) (*tree, error) {
	if isFile(dir) { // os.OpenRoot would wait for a writer of a FIFO.
		return nil, &os.PathError{Op: "open", Path: dir, Err: unix.ENOTDIR}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &tree{Root: root, dir: dir}, nil
}

// Open opens a file or directory for reading. It does not wait for a writer of a
// FIFO, with which another program may replace a directory at any time.
func (t *tree) Open(name string) (*os.File, error) {
	return t.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

// OpenFile is like that of os.Root.
func (t *tree) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return within(t, name, func(name string) (*os.File, error) { return t.Root.OpenFile(name, flag, perm) })
}

// Stat is like that of os.Root.
func (t *tree) Stat(name string) (fs.FileInfo, error) { return within(t, name, t.Root.Stat) }

// OpenRoot opens a directory below t, to change the names in it.
func (t *tree) OpenRoot(name string) (*os.Root, error) { return within(t, name, t.Root.OpenRoot) }

// within calls do with a path, and again with the path without its links if
// os.Root refused one of them.
func within[T any](t *tree, name string, do func(string) (T, error)) (T, error) {
	result, err := do(name)
	if !escapes(err) {
		return result, err
	}
	plain, failed := t.resolve(name)
	switch {
	case errors.Is(failed, errLeaves):
		return result, err
	case failed != nil:
		return result, failed
	}
	return do(plain)
}

// escapes reports whether os.Root refused a path because of a link. Its error
// is not exported.
func escapes(err error) bool {
	return err != nil && strings.Contains(err.Error(), "path escapes from parent")
}

// errLeaves means that a link leaves the directory.
var errLeaves = errors.New("leaves the directory")

// resolve returns a path without symbolic links.
func (t *tree) resolve(name string) (string, error) {
	rest := strings.Split(name, "/")
	done := "."
	for links := 0; len(rest) > 0; {
		element := rest[0]
		rest = rest[1:]
		switch element {
		case "", ".":
			continue
		case "..":
			if done == "." {
				return "", errLeaves
			}
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, element)
		target, err := t.Readlink(next)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, fs.ErrNotExist) {
			done = next // not a link, or absent, which the caller finds out
			continue
		}
		if err != nil {
			return "", err
		}
		if links++; links > maxLinks {
			return "", &os.PathError{Op: "open", Path: name, Err: unix.ELOOP}
		}
		if path.IsAbs(target) {
			if target, done = t.below(target), "."; target == "" {
				return "", errLeaves
			}
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, nil
}

// below returns an absolute path relative to the directory; "" if it begins
// neither with the directory's path as configured nor with that path without its
// own links.
func (t *tree) below(target string) string {
	names := []string{t.dir}
	if plain, err := filepath.EvalSymlinks(t.dir); err == nil {
		names = append(names, plain)
	}
	for _, dir := range names {
		if target == dir {
			return "."
		}
		if rest, ok := strings.CutPrefix(target, strings.TrimSuffix(dir, "/")+"/"); ok {
			return "./" + rest
		}
	}
	return ""
}
