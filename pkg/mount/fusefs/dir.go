//go:build linux

package fusefs

import (
	"context"

	"github.com/cespare/xxhash/v2"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// OpenDir opens a directory handle. Opening the root first updates the tree, so
// that it lists the mounts that exist at that time. A process that makes the mount
// visible to new readers opens the root beforehand.
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
	h, flags := f.listings.open(in.Unique, n, f.tree.Load().isListed(n.path))
	out.Fh, out.OpenFlags = h.id, flags
	return fuse.OK
}

// ReleaseDir closes the handle of a directory.
func (f *fileSystem) ReleaseDir(in *fuse.ReleaseIn) {
	h, _ := f.table.release(in.Unique, in.Fh)
	f.listings.released(h)
}

// FsyncDir does nothing: the tree is read-only.
func (f *fileSystem) FsyncDir(<-chan struct{}, *fuse.FsyncIn) fuse.Status { return fuse.OK }

// ReadDir returns names without attributes.
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

// ReadDirPlus returns names with attributes. Each name except "." and ".." counts
// as a lookup.
func (f *fileSystem) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	var outs []*fuse.EntryOut
	return f.readDir(in, func(h *handle, batch []dirItem) (int, []lookup) {
		var names []lookup
		for i, it := range batch {
			entryOut := out.AddDirLookupEntry(it.dirEntry)
			if entryOut == nil {
				return i, names
			}
			if !it.dots {
				outs = append(outs, entryOut)
				names = append(names, lookup{path: join(h.path, it.entry.Name), entry: it.entry})
			}
		}
		return len(batch), names
	}, func(nodes []node) {
		for i, n := range nodes {
			f.entry(n, outs[i])
		}
	})
}

// readDir adds entries from in.Offset until the reply is full. add returns how
// many entries of a batch fitted, and the lookups to record for them. setNodes,
// unless nil, receives the nodes of these lookups, in the same order.
func (f *fileSystem) readDir(in *fuse.ReadIn, add func(*handle, []dirItem) (int, []lookup), setNodes func([]node)) fuse.Status {
	h, ok := f.table.handle(in.Fh)
	if !ok || !h.dir {
		return fuse.EBADF
	}
	ctx, done := f.requests.begin(in.Unique, in.Pid)
	defer done()
	h.stream.mu.Lock()
	defer h.stream.mu.Unlock()
	if in.Offset == 0 {
		h.listing.starts()
	}
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
			// The names before the error are returned first. The next request,
			// which begins here, gets this error without a second timeout.
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
		if err := f.listings.ends(ctx, h); err != nil {
			return f.failed("readdir", h.path, err)
		}
	case setNodes != nil:
		setNodes(f.table.recordLookups(in.Unique, names, &cursor))
	default:
		f.table.recordCursor(in.Unique, cursor)
	}
	return fuse.OK
}

// Cookies of the two entries that every directory begins with. A cookie is the
// offset of the entry that follows its entry.
const (
	cookieDot = iota + 1
	cookieDotDot
	// firstCookie is the smallest cookie of any other name.
	firstCookie = 16
)

// cookieOf returns the cookie of a name, which is the same for every handle and
// every server. It is a 63-bit hash: two names of one directory with the same
// cookie are less likely than two equal ETags of different objects.
func cookieOf(name string) uint64 {
	switch name {
	case ".":
		return cookieDot
	case "..":
		return cookieDotDot
	}
	// 63 bits, because the kernel's offset is signed.
	return max(xxhash.Sum64String(name)>>1, firstCookie)
}

// dirItem is one entry of a directory listing.
type dirItem struct {
	entry reader.Entry
	// dots is true for "." and "..", which do not count as lookups.
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

// list lists a directory of the current tree.
func (f *fileSystem) list(ctx context.Context, dir, after string) (reader.Page, error) {
	return f.tree.Load().list(ctx, f.source, dir, after)
}
