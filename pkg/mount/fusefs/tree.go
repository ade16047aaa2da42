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

// tree is the name space: mounts at their paths, the directories above them
// made up. It is immutable; a change of the mounts makes another.
type tree struct {
	// mounts, longest path first.
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

// below says whether p is dir or lies in it; both are absolute and clean.
func below(p, dir string) bool {
	return dir == "/" || p == dir || strings.HasPrefix(p, dir) && p[len(dir)] == '/'
}

// resolve finds the mount that a path lies in, and the path within it.
func (t *tree) resolve(p string) (m reader.Mount, rel string, ok bool) {
	for _, m := range t.mounts {
		if below(p, m.Path) {
			return m, strings.TrimPrefix(strings.TrimPrefix(p, m.Path), "/"), true
		}
	}
	return reader.Mount{}, "", false
}

// isMountPath says whether a path is a mount's root or lies above one, which makes it
// a directory whatever a store says.
func (t *tree) isMountPath(p string) bool {
	for _, m := range t.mounts {
		if below(m.Path, p) {
			return true
		}
	}
	return false
}

// mountNames lists the names in a directory that are there because of mounts
// below it, sorted.
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

// errUnmounted is about a name where nothing is mounted.
var errUnmounted = fmt.Errorf("nothing is mounted there: %w", reader.ErrNotExist)

// lookup answers what a name in a directory is.
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

// list answers names of the store after one; those that mounts shadow are left
// out.
func (t *tree) list(ctx context.Context, source Source, dir, after string) ([]reader.Entry, bool, error) {
	m, rel, ok := t.resolve(dir)
	if !ok {
		return nil, false, nil
	}
	return source.List(ctx, m.ID, rel, after)
}

func join(dir, name string) string {
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}

// split undoes join.
func split(p string) (dir, name string) {
	i := strings.LastIndexByte(p, '/')
	if i <= 0 {
		return "/", p[i+1:]
	}
	return p[:i], p[i+1:]
}
