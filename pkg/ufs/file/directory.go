package file

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// makeParents creates the directories on the path to a key, and marks those it
// created. It returns the last of them, opened as a root.
func makeParents(root *tree, dir string) (*os.Root, error) {
	if dir == "." {
		return root.OpenRoot(".")
	}
	made := "."
	for element := range strings.SplitSeq(dir, "/") {
		next := path.Join(made, element)
		if err := makeImplied(root, made, next); err != nil {
			return nil, err
		}
		made = next
	}
	return root.OpenRoot(dir)
}

func makeImplied(root *tree, parent, dir string) error {
	err := root.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return mustBeDir(root, dir)
	}
	if err != nil {
		return err
	}
	if err := withDir(root, dir, func(f *os.File) error { return setDirectoryKind(f, impliedKind) }); err != nil {
		return err
	}
	return syncDir(root, parent)
}

// mustBeDir is needed because OpenRoot of a file fails with an unspecific error.
func mustBeDir(root *tree, name string) error {
	info, err := root.Stat(name)
	if err == nil && !info.IsDir() {
		return &os.PathError{Op: "open", Path: name, Err: unix.ENOTDIR}
	}
	return err
}

// pruneImplied removes the marked directories above a path that hold nothing
// else. It ignores a lost race against a Put: then the directory is not empty, or
// the Put creates it again.
func pruneImplied(root *tree, dir string) {
	for ; dir != "."; dir = path.Dir(dir) {
		implied := false
		err := withDir(root, dir, func(f *os.File) error {
			kind, err := directoryKind(f)
			implied = kind == impliedKind
			return err
		})
		if err != nil || !implied {
			return
		}
		if err := removeDir(root, dir); err != nil {
			return
		}
	}
}

func withDir(root opener, dir string, do func(*os.File) error) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return do(f)
}

// removeDir removes an empty directory and no other kind of file.
func removeDir(root opener, dir string) error {
	return withDir(root, path.Dir(dir), func(f *os.File) error {
		return unix.Unlinkat(int(f.Fd()), path.Base(dir), unix.AT_REMOVEDIR)
	})
}

// removeFile removes a name that is not a directory.
func removeFile(root opener, name string) error {
	return withDir(root, path.Dir(name), func(f *os.File) error {
		return unix.Unlinkat(int(f.Fd()), path.Base(name), 0)
	})
}

func syncDir(root opener, dir string) error {
	return withDir(root, dir, func(f *os.File) error { return f.Sync() })
}

// emptyDir reports whether a directory could be read and is empty.
func emptyDir(root opener, dir string) bool {
	empty := false
	_ = withDir(root, dir, func(f *os.File) error {
		_, err := f.Readdirnames(1)
		empty = errors.Is(err, io.EOF)
		return nil
	})
	return empty
}
