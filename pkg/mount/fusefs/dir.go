//go:build linux

package fusefs

import (
	"context"

	"github.com/cespare/xxhash/v2"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// OpenDir makes a handle for a reader of a directory. What the root holds is what
// is mounted when it is opened: whoever shows the mount to somebody new opens it
// before.
func (f *fileSystem) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, ok := f.table.node(in.NodeId)
	if !ok {
		return estale
	}
	if !n.dir {
		return fuse.ENOTDIR
	}
	if n.path == "/" {
		ctx, done := f.requests.begin(in.Unique, in.Pid)
		f.update(ctx)
		done()
	}
	out.Fh = f.table.openHandle(in.Unique, n, reader.Version{}, false).id
	return fuse.OK
}

// ReleaseDir closes the handle of a directory.
func (f *fileSystem) ReleaseDir(in *fuse.ReleaseIn) { f.table.release(in.Unique, in.Fh) }

// FsyncDir has nothing to write.
func (f *fileSystem) FsyncDir(<-chan struct{}, *fuse.FsyncIn) fuse.Status { return fuse.OK }

// ReadDir sends names without attributes.
func (f *fileSystem) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.readDir(in, func(_ *handle, batch []dirItem) (int, []lookup) {
		for i, it := range batch {
			if !out.AddDirEntry(it.dirEntry) {
				return i, nil
			}
		}
		return len(batch), nil
	}, nil)
}

// ReadDirPlus sends names with attributes, each of which counts as a lookup.
func (f *fileSystem) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	var places []*fuse.EntryOut
	return f.readDir(in, func(h *handle, batch []dirItem) (int, []lookup) {
		var names []lookup
		for i, it := range batch {
			place := out.AddDirLookupEntry(it.dirEntry)
			if place == nil {
				return i, names
			}
			if !it.dots {
				places = append(places, place)
				names = append(names, lookup{path: join(h.path, it.entry.Name), entry: it.entry})
			}
		}
		return len(batch), names
	}, func(nodes []node) {
		for i, n := range nodes {
			f.entry(n, places[i])
		}
	})
}

// readDir sends names from the reader's place on until the reply is full. Add
// answers how many of a batch fitted, and which of them count as lookups;
// looked, unless nil, gets their nodes.
func (f *fileSystem) readDir(in *fuse.ReadIn, add func(*handle, []dirItem) (int, []lookup), looked func([]node)) fuse.Status {
	h, ok := f.table.handle(in.Fh)
	if !ok || !h.dir {
		return fuse.EBADF
	}
	ctx, done := f.requests.begin(in.Unique, in.Pid)
	defer done()
	h.stream.mu.Lock()
	defer h.stream.mu.Unlock()
	cursor := op{kind: opCursor, handle: h.id}
	var names []lookup
	if err := f.seek(ctx, h, in.Offset); err != nil {
		return f.failed("readdir", h.path, err)
	}
	for {
		batch, err := f.nextItems(ctx, h)
		if err != nil && len(cursor.names) == 0 {
			return f.failed("readdir", h.path, err)
		}
		if err != nil {
			// The names before it are sent first. The next request, which
			// begins here, gets this error without a second timeout.
			h.stream.err = err
			break
		}
		if len(batch) == 0 {
			break
		}
		n, counted := add(h, batch)
		names = append(names, counted...)
		for _, it := range batch[:n] {
			cursor.names = append(cursor.names, it.entry.Name)
		}
		h.stream.next += n
		if n < len(batch) {
			break
		}
	}
	switch {
	case len(cursor.names) == 0:
	case looked != nil:
		looked(f.table.recordLookups(in.Unique, names, &cursor))
	default:
		f.table.recordCursor(in.Unique, cursor)
	}
	return fuse.OK
}

// Cookies of the two entries that every directory begins with. A cookie stands
// for the place behind its entry.
const (
	cookieDot = iota + 1
	cookieDotDot
	// firstCookie is the least cookie of a real name.
	firstCookie = 16
)

// cookieOf a name: the same for every handle and every server. Two names of a
// directory with one cookie are less likely than two etags alike.
func cookieOf(name string) uint64 {
	switch name {
	case ".":
		return cookieDot
	case "..":
		return cookieDotDot
	}
	// 63 bits: it travels as a signed offset.
	return max(xxhash.Sum64String(name)>>1, firstCookie)
}

// dirItem is an entry as a reader of the directory gets it.
type dirItem struct {
	entry    reader.Entry
	dots     bool
	dirEntry fuse.DirEntry
}

func newItem(dir string, e reader.Entry) dirItem {
	it := dirItem{entry: e, dots: e.Name == "." || e.Name == ".."}
	path := join(dir, e.Name)
	switch e.Name {
	case ".":
		path = dir
	case "..":
		path, _ = split(dir)
	}
	it.dirEntry = fuse.DirEntry{Name: e.Name, Mode: modeOf(e), Ino: inode(path), Off: cookieOf(e.Name)}
	return it
}

// list asks the tree of the moment.
func (f *fileSystem) list(ctx context.Context, dir, after string) ([]reader.Entry, bool, error) {
	return f.tree.Load().list(ctx, f.source, dir, after)
}
