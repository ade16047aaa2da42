package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/ufs"
)

const maxKeys = 1000

// List walks the directory in the order of keys. A directory "d" is visited as
// the name "d/", so that the order of names at each level is the order of whole
// keys.
func (s *Store) List(ctx context.Context, options ufs.ListOptions) (ufs.Page, error) {
	page, err := run(ctx, s.reading, func() (ufs.Page, error) { return s.list(ctx, options) }, func(ufs.Page) {})
	return page, s.failed("listing", options.Prefix, err)
}

func (s *Store) list(ctx context.Context, options ufs.ListOptions) (ufs.Page, error) {
	if err := ufs.CheckDelimiter(options.Delimiter); err != nil {
		return ufs.Page{}, err
	}
	if err := ctx.Err(); err != nil {
		return ufs.Page{}, err
	}
	after, err := startOf(options)
	if err != nil {
		return ufs.Page{}, err
	}
	root, err := s.root()
	if err != nil {
		return ufs.Page{}, err
	}
	defer func() { _ = root.Close() }()
	limit := options.MaxKeys
	if limit <= 0 || limit > maxKeys {
		limit = maxKeys
	}
	w := &walk{ctx: ctx, store: s, root: root, prefix: options.Prefix, delimited: options.Delimiter != "", after: after, limit: limit}
	dir, ok := prefixDir(options.Prefix)
	if !ok {
		return ufs.Page{}, nil // no key has such a prefix
	}
	if err := w.start(dir); err != nil && !errors.Is(err, errFull) {
		return ufs.Page{}, err
	}
	return w.page, nil
}

// prefixDir returns the deepest directory that a prefix names.
func prefixDir(prefix string) (string, bool) {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return ".", true
	}
	t, err := parse(prefix[:i])
	return t.path, err == nil && !t.dir
}

// errFull ends a walk whose page is full.
var errFull = errors.New("page is full")

// walk collects one page.
type walk struct {
	ctx       context.Context
	store     *Store
	root      *tree
	prefix    string
	delimited bool
	after     position
	limit     int
	page      ufs.Page
	// last is the last key or prefix in the page.
	last position
	// above holds the directories above the current one, to detect loops.
	above []identity
}

func (w *walk) start(dir string) error {
	info, err := w.root.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() || isNotDir(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := w.climb(dir); err != nil {
		return err
	}
	base := ""
	if dir != "." {
		base = dir + "/"
		if base == w.prefix {
			// prefix is "dir/": the directory's own marker sorts before its entries.
			if err := w.marker(dir, base); err != nil {
				return err
			}
		}
	}
	return w.directory(dir, base, identityOf(info))
}

// climb records the directories above the first one.
func (w *walk) climb(dir string) error {
	for dir != "." {
		dir = path.Dir(dir)
		info, err := w.root.Stat(dir)
		if err != nil {
			return err
		}
		w.above = append(w.above, identityOf(info))
	}
	return nil
}

// loops reports whether a directory is one of those above it, which a symbolic
// link can cause.
func (w *walk) loops(id identity) bool { return slices.Contains(w.above, id) }

// directory visits the entries of dir; base is the prefix of their keys, "" or
// "dir/".
func (w *walk) directory(dir, base string, id identity) error {
	if w.loops(id) {
		return nil
	}
	w.above = append(w.above, id)
	defer func() { w.above = w.above[:len(w.above)-1] }()

	names, err := w.store.names.read(w.root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed since it was listed
	}
	if err != nil {
		return err
	}
	for _, name := range names[max(w.after.skip(names, base), skipTo(names, base, w.prefix)):] {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		key := base + name
		if !strings.HasPrefix(key, w.prefix) {
			return nil // past the last entry with the prefix
		}
		if err := w.visit(path.Join(dir, strings.TrimSuffix(name, "/")), key); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) visit(name, key string) error {
	info, err := w.root.Stat(name)
	if err != nil {
		return w.unseen(name, err)
	}
	if !info.IsDir() {
		if strings.HasSuffix(key, "/") || !info.Mode().IsRegular() || w.after.covers(key) {
			return nil
		}
		return w.add(position{key: key}, w.root.versions.describe(key, info))
	}
	key = strings.TrimSuffix(key, "/") + "/"
	if w.after.within(key) {
		return nil
	}
	if w.delimited {
		return w.rollUp(name, key, identityOf(info))
	}
	if err := w.marker(name, key); err != nil {
		return err
	}
	return w.directory(name, key, identityOf(info))
}

// unseen ignores names that were removed, and links that are dangling or point
// outside.
func (w *walk) unseen(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || isNotDir(err) {
		return nil
	}
	if info, lerr := w.root.Lstat(name); lerr == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	return err
}

// rollUp adds a directory as a prefix if it contains a key.
func (w *walk) rollUp(name, key string, id identity) error {
	if w.loops(id) {
		return nil
	}
	inhabited, err := inhabited(w.root, name)
	if err != nil || !inhabited {
		return err
	}
	if err := w.room(); err != nil {
		return err
	}
	w.page.Prefixes = append(w.page.Prefixes, key)
	w.last = position{key: key, prefix: true}
	return nil
}

// inhabited reports whether a directory contains a key. One that a Put created on
// the path to its key, and whose last key was lost in a crash, does not.
func inhabited(root *tree, dir string) (bool, error) {
	implied := false
	err := withDir(root, dir, func(f *os.File) error {
		kind, err := directoryKind(f)
		implied = kind == impliedKind
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !implied {
		return true, ignoreDenied(err)
	}
	return !emptyDir(root, dir), nil
}

// ignoreDenied keeps a directory that cannot be opened in the listing of its
// parent, as ls does.
func ignoreDenied(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// marker adds the directory itself if it is an object.
func (w *walk) marker(name, key string) error {
	if w.after.covers(key) {
		return nil
	}
	f, object, err := openObject(w.root, target{key: key, path: name, dir: true})
	if errors.Is(err, ufs.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_ = f.Close()
	return w.add(position{key: key}, object)
}

func (w *walk) add(at position, object ufs.Object) error {
	if err := w.room(); err != nil {
		return err
	}
	w.page.Objects = append(w.page.Objects, object)
	w.last = at
	return nil
}

// room returns errFull if the page is full, which means that another page follows.
func (w *walk) room() error {
	if len(w.page.Objects)+len(w.page.Prefixes) < w.limit {
		return nil
	}
	w.page.Next = w.last.token()
	return errFull
}
