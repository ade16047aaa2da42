package blockstore

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Files is the part of a file system that a tier uses. Tests inject faults
// here.
type Files interface {
	// Open opens a file as os.OpenFile does.
	Open(path string, flag int) (File, error)
	Remove(path string) error
	MkdirAll(path string) error
	ReadDir(path string) ([]fs.DirEntry, error)
	// Free returns the number of bytes that an unprivileged process may write.
	Free(path string) (int64, error)
}

// File is one open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// StartSync starts the writeback of the data and does not wait for it. It is
	// a hint: errors are those of Sync.
	StartSync()
	// Sync makes the data durable, and the metadata needed to read it.
	Sync() error
	Size() (int64, error)
	Fd() uintptr
}

// OS is the host's file system.
type OS struct{}

var _ Files = OS{}

type osFile struct{ *os.File }

var _ File = osFile{}

// Open opens a file as os.OpenFile does, readable by its owner only.
func (OS) Open(path string, flag int) (File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Remove removes one file.
func (OS) Remove(path string) error { return os.Remove(path) }

// MkdirAll creates directories that only their owner may enter.
func (OS) MkdirAll(path string) error { return os.MkdirAll(path, 0o700) }

// ReadDir lists a directory.
func (OS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// Free returns the free bytes that statfs reports.
func (OS) Free(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, fmt.Errorf("get free space of %s: %w", path, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

func (f osFile) Sync() error { return unix.Fdatasync(int(f.Fd())) }

func (f osFile) StartSync() {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
