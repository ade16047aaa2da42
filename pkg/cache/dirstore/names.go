package dirstore

import (
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// isVisible reports whether a name of a directory can be that of a file.
func isVisible(dir, name string) bool {
	return wire.IsName(name) && wire.IsKey(prefixOf(dir)+name)
}

// prefixOf returns the prefix of a directory's keys.
func prefixOf(dir string) string {
	if dir == "" {
		return ""
	}
	return dir + "/"
}

// entry is one name of a directory. Its key follows from its path.
type entry struct {
	kind     kind
	size     int64
	etag     string
	modified int64 // nanoseconds since 1970
}

// kind is the kind of an entry; 0 means that the name is absent.
type kind byte

const (
	file kind = iota + 1
	directory
	// unknown names were in the listing and have since changed or been deleted:
	// the store must be queried.
	unknown
)

// fileOf returns the entry of an object.
func fileOf(o ufs.Object) entry {
	e := entry{kind: file, size: o.Size, etag: o.ETag}
	if !o.LastModified.IsZero() {
		e.modified = o.LastModified.UnixNano()
	}
	return e
}

// proto returns the message for an entry.
func (e entry) proto(dir, name string) *workerv1.Entry {
	if e.kind == directory {
		return &workerv1.Entry{Name: []byte(name), Kind: workerv1.EntryKind_ENTRY_KIND_DIRECTORY}
	}
	out := &workerv1.Entry{
		Name: []byte(name),
		Kind: workerv1.EntryKind_ENTRY_KIND_FILE,
		Key:  []byte(prefixOf(dir) + name),
		Size: e.size,
		Etag: []byte(e.etag),
	}
	if e.modified != 0 {
		out.Modified = &timestamppb.Timestamp{Seconds: e.modified / 1e9, Nanos: int32(e.modified % 1e9)}
	}
	return out
}

// named is an entry with its name.
type named struct {
	name  string
	entry entry
}

// children returns the names in a page of a listing with delimiter "/", files
// first, and the number of elements that are hidden, because they cannot be names
// of files.
func children(dir string, page ufs.Page) (out []named, hidden int64) {
	prefix := prefixOf(dir)
	out = make([]named, 0, len(page.Objects)+len(page.Prefixes))
	for _, o := range page.Objects {
		name, ok := strings.CutPrefix(o.Key, prefix)
		switch {
		case ok && name == "": // The marker of the directory itself.
		case ok && isVisible(dir, name) && hasVersion(o):
			out = append(out, named{name, fileOf(o)})
		default:
			hidden++
		}
	}
	for _, p := range page.Prefixes {
		name, ok := strings.CutPrefix(p, prefix)
		name = strings.TrimSuffix(name, "/")
		if ok && isVisible(dir, name) {
			out = append(out, named{name, entry{kind: directory}})
		} else {
			hidden++
		}
	}
	return out, hidden
}

// hasVersion reports whether the version of an object can be named in a request.
// The tag is the store's choice; a huge one must not make its whole directory
// unreadable.
func hasVersion(o ufs.Object) bool { return o.Size >= 0 && len(o.ETag) <= wire.MaxETag }
