package consensus

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openSynced opens a file whose writes are durable when they return. Direct I/O
// lets the kernel send one write with forced unit access instead of a write and
// a flush of the disk's cache; file systems without it sync after the write.
func openSynced(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_DSYNC|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		return os.OpenFile(path, os.O_RDWR|unix.O_DSYNC, 0)
	}
	return file, err
}

// alignedSlot returns a buffer for a slot whose address is a multiple of a block.
func alignedSlot() []byte {
	raw := make([]byte, tailSlot+tailBlock)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(raw))) % tailBlock
	return raw[skip : skip+tailSlot : skip+tailSlot]
}
