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
	// blockSize is the preferred I/O size reported to applications, in bytes.
	blockSize = 4096
)

// inode returns the inode number of a path. It is the same for every version of
// the file and for every server.
func inode(path string) uint64 {
	if path == "/" {
		return rootID
	}
	// Some programs take 0 and ^0 for "none" and "unknown".
	if h := xxhash.Sum64String(path); h > rootID && h != ^uint64(0) {
		return h
	}
	return rootID + 1
}

// attributes fills in the attributes of a node. Directories of an object store
// have no modification time; they get the time at which the mount was created.
func (f *fileSystem) attributes(n node, out *fuse.Attr) {
	*out = fuse.Attr{
		Ino: inode(n.path), Mode: fileMode, Nlink: 1, Blksize: blockSize,
		Owner: fuse.Owner{Uid: f.config.UID, Gid: f.config.GID},
	}
	modified := n.modified
	if n.dir {
		// A link count of 1 means that subdirectories are not counted.
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
	f.entryOfAge(n, 0, out)
}

// entryOfAge fills in a node whose entry was read from a worker some time ago. The
// kernel uses it for that much shorter.
func (f *fileSystem) entryOfAge(n node, age time.Duration, out *fuse.EntryOut) {
	out.NodeId = n.id
	out.SetEntryTimeout(max(0, f.config.EntryTTL-age))
	out.SetAttrTimeout(max(0, f.config.AttrTTL-age))
	f.attributes(n, &out.Attr)
}

// ageOf returns how long ago an entry was read from a worker.
func ageOf(e reader.Entry) time.Duration {
	if e.Read.IsZero() {
		return 0
	}
	return max(0, time.Since(e.Read))
}

func modeOf(e reader.Entry) uint32 {
	if e.Dir {
		return dirMode
	}
	return fileMode
}
