package dirstore

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// failsafeFS hides failed writes from Pebble. Pebble ends the process when its
// log or manifest cannot be written, but a full disk must only cost cached
// listings. The first write that fails is reported once; later writes are
// discarded until the database is closed and replaced.
type failsafeFS struct {
	vfs.FS

	mu     sync.Mutex
	failed error
	report func(error)
}

func newFailsafeFS(fs vfs.FS) *failsafeFS { return &failsafeFS{FS: fs} }

// onFailure registers a function that is called once, with the first failure;
// immediately if there was one.
func (g *failsafeFS) onFailure(report func(error)) {
	g.mu.Lock()
	failed := g.failed
	g.report = report
	g.mu.Unlock()
	if failed != nil {
		report(failed)
	}
}

// swallow records the failure of a write and returns nil.
func (g *failsafeFS) swallow(err error) error {
	if err == nil {
		return nil
	}
	g.mu.Lock()
	first, report := g.failed == nil, g.report
	if first {
		g.failed = err
	}
	g.mu.Unlock()
	if first && report != nil {
		report(err)
	}
	return nil
}

func (g *failsafeFS) broken() bool { return g.cause() != nil }

// cause returns the first failure.
func (g *failsafeFS) cause() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

// make wraps a created file, or replaces one that could not be created by a file
// in memory.
func (g *failsafeFS) make(file vfs.File, err error, name string) (vfs.File, error) {
	if err != nil {
		_ = g.swallow(err)
		return vfs.NewMem().Create(g.PathBase(name), vfs.WriteCategoryUnspecified)
	}
	return &failsafeFile{File: file, fs: g}, nil
}

// Create creates a file.
func (g *failsafeFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := g.FS.Create(name, category)
	return g.make(file, err, name)
}

// ReuseForWrite creates a file from another.
func (g *failsafeFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := g.FS.ReuseForWrite(oldname, newname, category)
	return g.make(file, err, newname)
}

// OpenReadWrite opens a file for reading and writing.
func (g *failsafeFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, options ...vfs.OpenOption) (vfs.File, error) {
	file, err := g.FS.OpenReadWrite(name, category, options...)
	if err != nil {
		return nil, err
	}
	return &failsafeFile{File: file, fs: g}, nil
}

// OpenDir opens a directory, so that it can be synced.
func (g *failsafeFS) OpenDir(name string) (vfs.File, error) {
	file, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &failsafeFile{File: file, fs: g}, nil
}

// Link creates a second name of a file.
func (g *failsafeFS) Link(oldname, newname string) error {
	return g.swallow(g.FS.Link(oldname, newname))
}

// Rename moves a file.
func (g *failsafeFS) Rename(oldname, newname string) error {
	return g.swallow(g.FS.Rename(oldname, newname))
}

// failsafeFile hides failed writes of a file.
type failsafeFile struct {
	vfs.File
	fs *failsafeFS
}

func (f *failsafeFile) write(n int, write func() (int, error)) (int, error) {
	if f.fs.broken() {
		return n, nil
	}
	_, err := write()
	return n, f.fs.swallow(err)
}

func (f *failsafeFile) do(act func() error) error {
	if f.fs.broken() {
		return nil
	}
	return f.fs.swallow(act())
}

// Write appends p.
func (f *failsafeFile) Write(p []byte) (int, error) {
	return f.write(len(p), func() (int, error) { return f.File.Write(p) })
}

// WriteAt writes p.
func (f *failsafeFile) WriteAt(p []byte, offset int64) (int, error) {
	return f.write(len(p), func() (int, error) { return f.File.WriteAt(p, offset) })
}

// Preallocate reserves space.
func (f *failsafeFile) Preallocate(offset, length int64) error {
	return f.do(func() error { return f.File.Preallocate(offset, length) })
}

// Sync makes the file durable.
func (f *failsafeFile) Sync() error { return f.do(f.File.Sync) }

// SyncData makes the data of the file durable.
func (f *failsafeFile) SyncData() error { return f.do(f.File.SyncData) }

// SyncTo makes the first length bytes durable.
func (f *failsafeFile) SyncTo(length int64) (bool, error) {
	if f.fs.broken() {
		return true, nil
	}
	full, err := f.File.SyncTo(length)
	return full, f.fs.swallow(err)
}
