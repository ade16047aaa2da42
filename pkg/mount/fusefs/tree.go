//go:build linux

package fusefs

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// tree is the namespace: the mounts at their paths, and synthetic directories
// above them. It is immutable; a change of the mounts creates a new tree.
type tree struct {
	// mounts are sorted by the length of their path, longest first.
	mounts []reader.Mount
}

func newTree(mounts []reader.Mount) *tree {
	t := &tree{mounts: slices.Clone(mounts)}
	for i := range t.mounts {
		t.mounts[i].Path = path.Clean("/" + t.mounts[i].Path)
	}
	slices.SortStableFunc(t.mounts, func(a, b reader.Mount) int { return len(b.Path) - len(a.Path) })
	return t
}

// below reports whether p is dir or a path below it. Both must be absolute and
// clean.
func below(p, dir string) bool {
	return dir == "/" || p == dir || strings.HasPrefix(p, dir) && p[len(dir)] == '/'
}

// resolve returns the mount that contains a path, and the path within the mount.
func (t *tree) resolve(p string) (m reader.Mount, rel string, ok bool) {
	for _, m := range t.mounts {
		if below(p, m.Path) {
			return m, strings.TrimPrefix(strings.TrimPrefix(p, m.Path), "/"), true
		}
	}
	return reader.Mount{}, "", false
}

// isMountPath reports whether a path is the root of a mount or a directory above
// one. Such a path is a directory, even if a store has a file with its name.
func (t *tree) isMountPath(p string) bool {
	for _, m := range t.mounts {
		if below(m.Path, p) {
			return true
		}
	}
	return false
}

// mountNames returns the sorted names in a directory that exist because of mounts
// below it.
func (t *tree) mountNames(dir string) []string {
	var names []string
	for _, m := range t.mounts {
		if m.Path != dir && below(m.Path, dir) {
			name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(m.Path, dir), "/"), "/")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// isListed reports whether all names of a directory come from the store.
func (t *tree) isListed(dir string) bool {
	_, _, ok := t.resolve(dir)
	return ok && len(t.mountNames(dir)) == 0
}

// errUnmounted is the error for a name outside every mount.
var errUnmounted = fmt.Errorf("the path is outside every mount: %w", reader.ErrNotExist)

// lookup returns the entry of a name in a directory.
func (t *tree) lookup(ctx context.Context, source Source, dir, name string) (reader.Entry, error) {
	if t.isMountPath(join(dir, name)) {
		return reader.Entry{Name: name, Dir: true}, nil
	}
	m, rel, ok := t.resolve(dir)
	if !ok {
		return reader.Entry{}, errUnmounted
	}
	return source.Lookup(ctx, m.ID, rel, name)
}

// lookupNow returns the entry of a name in a directory if that needs no waiting, and
// reports whether it does.
func (t *tree) lookupNow(source InstantSource, dir, name string) (reader.Entry, bool) {
	if t.isMountPath(join(dir, name)) {
		return reader.Entry{}, false
	}
	m, rel, ok := t.resolve(dir)
	if !ok {
		return reader.Entry{}, false
	}
	return source.LookupNow(m.ID, rel, name)
}

// list returns the store's names of a directory that follow after. Names that are
// shadowed by mounts are included.
func (t *tree) list(ctx context.Context, source Source, dir, after string) (reader.Page, error) {
	m, rel, ok := t.resolve(dir)
	if !ok {
		return reader.Page{}, nil
	}
	return source.List(ctx, m.ID, rel, after)
}

func join(dir, name string) string {
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}

// split is the inverse of join.
func split(p string) (dir, name string) {
	i := strings.LastIndexByte(p, '/')
	if i <= 0 {
		return "/", p[i+1:]
	}
	return p[:i], p[i+1:]
}
