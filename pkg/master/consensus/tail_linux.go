package consensus

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openSynced opens a file whose writes are durable when they return. Direct I/O
// lets the kernel send one write with forced unit access instead of a write and
// a flush of the disk's cache. Some file systems have none: opening or writing
// then fails with EINVAL.
func openSynced(path string, direct bool) (*os.File, error) {
	flags := os.O_RDWR | unix.O_DSYNC
	if direct {
		flags |= unix.O_DIRECT
	}
	return os.OpenFile(path, flags, 0)
}

// alignedSlot returns a buffer for a slot whose address is a multiple of a block.
func alignedSlot() []byte {
	raw := make([]byte, tailSlot+tailBlock)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(raw))) % tailBlock
	return raw[skip : skip+tailSlot : skip+tailSlot]
}
