package fdpass

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReadCached reads the bytes of the version that the kernel has in memory, without
// waiting for the disk, and returns their number. The error is not nil when that is
// less than len(p).
func (f *File) ReadCached(p []byte, offset int64) (int, error) {
	n, err := unix.Preadv2(int(f.file.Fd()), [][]byte{p}, offset, unix.RWF_NOWAIT)
	switch {
	case err == nil && n < len(p):
		err = unix.EAGAIN
	case err == nil:
		f.countBytes(n)
	}
	return max(n, 0), err
}

// Device returns the number of the device that stores the file.
func (f *File) Device() uint64 { return f.device }

// deviceOf returns the number of the device of a file, 0 when it is unknown.
func deviceOf(file *os.File) uint64 {
	info, err := file.Stat()
	if err != nil {
		return 0
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return stat.Dev
}
