//go:build linux

package fusefs

import (
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

const (
	fileMode = unix.S_IFREG | 0o644
	dirMode  = unix.S_IFDIR | 0o755
	// blockSize is what applications read at least at a time.
	blockSize = 4096
)

// inode number of a path: the same for every version and every server.
func inode(path string) uint64 {
	if path == "/" {
		return rootID
	}
	// 0 and ^0 mean "none" and "unknown" to some.
	if h := xxhash.Sum64String(path); h > rootID && h != ^uint64(0) {
		return h
	}
	return rootID + 1
}

// attributes of a node. Directories of an object store have no time of their
// own; they show when the mount began.
func (f *fileSystem) attributes(n node, out *fuse.Attr) {
	*out = fuse.Attr{
		Ino: inode(n.path), Mode: fileMode, Nlink: 1, Blksize: blockSize,
		Owner: fuse.Owner{Uid: f.config.UID, Gid: f.config.GID},
	}
	modified := n.modified
	if n.dir {
		// One link says that the number of subdirectories is not counted.
		out.Mode = dirMode
		if modified == 0 {
			modified = f.created.UnixNano()
		}
	} else {
		out.Size = uint64(max(n.version.Size, 0))
		out.Blocks = (out.Size + 511) / 512
	}
	at := time.Unix(0, modified)
	out.SetTimes(&at, &at, &at)
}

func (f *fileSystem) entry(n node, out *fuse.EntryOut) {
	out.NodeId = n.id
	out.SetEntryTimeout(f.config.EntryTTL)
	out.SetAttrTimeout(f.config.AttrTTL)
	f.attributes(n, &out.Attr)
}

func modeOf(e reader.Entry) uint32 {
	if e.Dir {
		return dirMode
	}
	return fileMode
}
