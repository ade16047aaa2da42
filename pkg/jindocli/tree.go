package jindocli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// Files is a tree of files to read. Safe for concurrent use.
type Files interface {
	Mounts() []reader.Mount
	Lookup(ctx context.Context, mount, dir, name string) (reader.Entry, error)
	List(ctx context.Context, mount, dir, after string) (reader.Page, error)
	Open(ctx context.Context, version reader.Version) (File, error)
}

// File is one version of a file, opened.
type File interface {
	ReadAt(ctx context.Context, p []byte, offset int64) (int, error)
	Close() error
}

// node is a file or directory of a mount, or a directory that exists only because
// a mount is below it.
type node struct {
	// path is the path in the tree, absolute and clean.
	path  string
	entry reader.Entry
	// mount that the node belongs to, and its path in it; mount is nil for a
	// directory above all mounts.
	mount *reader.Mount
	rel   string
}

// tree walks the mounts.
type tree struct {
	files Files
}

// parsePath returns the path in jindo:///path, jfs://name/path or /path.
func parsePath(text string) (string, error) {
	for _, scheme := range []string{"jindo://", "jfs://"} {
		rest, ok := strings.CutPrefix(text, scheme)
		if !ok {
			continue
		}
		_, below, _ := strings.Cut(rest, "/")
		return path.Clean("/" + below), nil
	}
	if !strings.HasPrefix(text, "/") {
		return "", usagef("invalid path %q: must be jindo:///path or /path", text)
	}
	return path.Clean(text), nil
}

// find returns the node at a path, and fs.ErrNotExist if there is none.
func (t *tree) find(ctx context.Context, name string) (node, error) {
	mount, rel := t.mountOf(name)
	if mount == nil {
		if name == "/" || t.above(name) {
			return node{path: name, entry: reader.Entry{Name: path.Base(name), Dir: true}}, nil
		}
		return node{}, fs.ErrNotExist
	}
	if rel == "" {
		return node{path: name, mount: mount, entry: reader.Entry{Name: path.Base(name), Dir: true}}, nil
	}
	dir, base := split(rel)
	entry, err := t.files.Lookup(ctx, mount.ID, dir, base)
	if errors.Is(err, reader.ErrNotExist) {
		if t.above(name) {
			return node{path: name, entry: reader.Entry{Name: base, Dir: true}}, nil
		}
		return node{}, fs.ErrNotExist
	}
	if err != nil {
		return node{}, err
	}
	return node{path: name, mount: mount, rel: rel, entry: entry}, nil
}

// mountOf returns the innermost mount that contains a path, and the path in it.
func (t *tree) mountOf(name string) (*reader.Mount, string) {
	var best *reader.Mount
	for _, m := range t.files.Mounts() {
		if within(m.Path, name) && (best == nil || len(m.Path) > len(best.Path)) {
			best = &m
		}
	}
	if best == nil {
		return nil, ""
	}
	return best, strings.TrimPrefix(strings.TrimPrefix(name, best.Path), "/")
}

func within(dir, name string) bool {
	return dir == "/" || name == dir || strings.HasPrefix(name, dir+"/")
}

// above reports whether a mount is below the path.
func (t *tree) above(name string) bool {
	return slices.ContainsFunc(t.files.Mounts(), func(m reader.Mount) bool { return m.Path != name && within(name, m.Path) })
}

func split(rel string) (dir, base string) {
	dir, base = path.Split(rel)
	return strings.TrimSuffix(dir, "/"), base
}

// children calls visit for every child of a directory, in the order of names.
// A mount hides an entry of its parent with the same name.
func (t *tree) children(ctx context.Context, parent node, visit func(node) error) error {
	mounts := t.mountsBelow(parent.path)
	if parent.mount != nil {
		after := ""
		for more := true; more; {
			page, err := t.files.List(ctx, parent.mount.ID, parent.rel, after)
			if err != nil {
				return err
			}
			for _, e := range page.Entries {
				after = e.Name
				for len(mounts) > 0 && mounts[0] < e.Name {
					if err := t.visitMount(ctx, parent, mounts[0], visit); err != nil {
						return err
					}
					mounts = mounts[1:]
				}
				if len(mounts) > 0 && mounts[0] == e.Name {
					continue
				}
				child := node{path: path.Join(parent.path, e.Name), entry: e, mount: parent.mount, rel: path.Join(parent.rel, e.Name)}
				if err := visit(child); err != nil {
					return err
				}
			}
			more = page.More && len(page.Entries) > 0
		}
	}
	for _, name := range mounts {
		if err := t.visitMount(ctx, parent, name, visit); err != nil {
			return err
		}
	}
	return nil
}

// mountsBelow returns the children of a directory that are mounts or are above
// one, in the order of names.
func (t *tree) mountsBelow(dir string) []string {
	var names []string
	for _, m := range t.files.Mounts() {
		if m.Path == dir || !within(dir, m.Path) {
			continue
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(m.Path, dir), "/")
		name, _, _ := strings.Cut(rest, "/")
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (t *tree) visitMount(ctx context.Context, parent node, name string, visit func(node) error) error {
	child, err := t.find(ctx, path.Join(parent.path, name))
	if err != nil {
		return err
	}
	child.entry.Name = name
	return visit(child)
}

// walk visits a node and everything below it.
func (t *tree) walk(ctx context.Context, n node, visit func(node) error) error {
	if err := visit(n); err != nil || !n.entry.Dir {
		return err
	}
	return t.children(ctx, n, func(child node) error { return t.walk(ctx, child, visit) })
}

// copyTo writes the bytes of a file to w.
func (t *tree) copyTo(ctx context.Context, w io.Writer, n node) error {
	const piece = 1 << 20
	version := n.entry.Version
	file, err := t.files.Open(ctx, version)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	buffer := make([]byte, piece)
	for offset := int64(0); offset < version.Size; {
		want := min(int64(len(buffer)), version.Size-offset)
		got, err := file.ReadAt(ctx, buffer[:want], offset)
		if got > 0 {
			if _, err := w.Write(buffer[:got]); err != nil {
				return fmt.Errorf("writing: %w", err)
			}
			offset += int64(got)
			continue
		}
		if err == nil || errors.Is(err, io.EOF) {
			return fmt.Errorf("reading %s: it ends after %d of %d bytes: %w", n.path, offset, version.Size, io.ErrUnexpectedEOF)
		}
		return err
	}
	return nil
}
