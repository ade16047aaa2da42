package file

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"syscall"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// identity identifies a file or directory on this host.
type identity struct{ device, inode uint64 }

func identityOf(info fs.FileInfo) identity {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}
	}
	return identity{device: stat.Dev, inode: stat.Ino}
}

// version returns a tag of what changes with the bytes. The tag of a directory
// holds only its identity, because its times change with its entries.
func version(info fs.FileInfo) string {
	id := identityOf(info)
	fields := []uint64{id.device, id.inode}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && !info.IsDir() {
		fields = append(fields, uint64(info.Size()), uint64(info.ModTime().UnixNano()), uint64(stat.Ctim.Nano()))
	}
	raw := make([]byte, 0, 8*len(fields))
	for _, field := range fields {
		raw = binary.BigEndian.AppendUint64(raw, field)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16])
}

func describe(key string, info fs.FileInfo) ufs.Object {
	o := ufs.Object{Key: key, ETag: version(info), LastModified: info.ModTime()}
	if !info.IsDir() {
		o.Size = info.Size()
	}
	return o
}
