//go:build linux

package fusefs

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

func (a *arena) isHole(chunk int) bool { return chunk < len(a.holes) && a.holes[chunk] }

// findHoles finds the chunks whose space a predecessor has given back. Only tmpfs
// needs it: others load zeros from a hole.
func (a *arena) findHoles() {
	a.holes, a.unreserved = make([]bool, a.backed), slices.Repeat([]bool{true}, a.backed)
	raw, err := a.file.SyscallConn()
	if err != nil {
		return
	}
	var stat unix.Statfs_t
	if err := raw.Control(func(fd uintptr) { _ = unix.Fstatfs(int(fd), &stat) }); err != nil || stat.Type != unix.TMPFS_MAGIC {
		return
	}
	for chunk := range a.backed {
		end := prologueSize + int64(chunk+1)*chunkSize
		_ = raw.Control(func(fd uintptr) {
			data, err := unix.Seek(int(fd), end-chunkSize+bucketSlots*slotSize, unix.SEEK_DATA)
			a.holes[chunk] = errors.Is(err, unix.ENXIO) || err == nil && data >= end
		})
	}
}

// release gives the space of a chunk without records back to the file system. The
// buckets remain. reserve must be called before it is used again.
func (a *arena) release(chunk int) {
	if chunk >= a.backed {
		return
	}
	_ = fallocate(a.file, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE,
		prologueSize+int64(chunk)*chunkSize+bucketSlots*slotSize, chunkSize-bucketSlots*slotSize)
	for len(a.holes) <= chunk {
		a.holes, a.unreserved = append(a.holes, false), append(a.unreserved, false)
	}
	a.holes[chunk], a.unreserved[chunk] = true, true
}

// reserve allocates the space of a chunk again if it may have been released, and
// reports whether the chunk has space.
func (a *arena) reserve(chunk int) bool {
	if chunk >= len(a.unreserved) || !a.unreserved[chunk] {
		return true
	}
	err := fallocate(a.file, unix.FALLOC_FL_KEEP_SIZE, prologueSize+int64(chunk)*chunkSize, chunkSize)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return false
	}
	a.holes[chunk], a.unreserved[chunk] = false, false
	return true
}
