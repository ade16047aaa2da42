package dirstore

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard stands between Pebble and the disk. Pebble ends the process when its
// log or manifest cannot be written; but a full disk must only cost cached
// listings. So the first write that fails is reported once, and from then on
// writes are taken and thrown away, for as long as it takes to close the
// database and begin another.
type guard struct {
	vfs.FS

	mu     sync.Mutex
	failed error
	report func(error)
}

func newGuard(fs vfs.FS) *guard { return &guard{FS: fs} }

// onFailure is called once, with the first failure, at once if it was already.
func (g *guard) onFailure(report func(error)) {
	g.mu.Lock()
	failed := g.failed
	g.report = report
	g.mu.Unlock()
	if failed != nil {
		report(failed)
	}
}

// swallow takes the outcome of a write and hides its failure.
func (g *guard) swallow(err error) error {
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

func (g *guard) broken() bool { return g.cause() != nil }

// cause is the first failure.
func (g *guard) cause() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

// make wraps a file that was made, or stands in for one that could not be.
func (g *guard) make(file vfs.File, err error, name string) (vfs.File, error) {
	if err != nil {
		_ = g.swallow(err)
		return vfs.NewMem().Create(g.PathBase(name), vfs.WriteCategoryUnspecified)
	}
	return &guardedFile{File: file, guard: g}, nil
}

// Create makes a file.
func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := g.FS.Create(name, category)
	return g.make(file, err, name)
}

// ReuseForWrite makes a file of another.
func (g *guard) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := g.FS.ReuseForWrite(oldname, newname, category)
	return g.make(file, err, newname)
}

// OpenReadWrite opens a file for changing it.
func (g *guard) OpenReadWrite(name string, category vfs.DiskWriteCategory, options ...vfs.OpenOption) (vfs.File, error) {
	file, err := g.FS.OpenReadWrite(name, category, options...)
	if err != nil {
		return nil, err
	}
	return &guardedFile{File: file, guard: g}, nil
}

// OpenDir opens a directory, to sync it.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	file, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{File: file, guard: g}, nil
}

// Link makes a second name.
func (g *guard) Link(oldname, newname string) error { return g.swallow(g.FS.Link(oldname, newname)) }

// Rename moves a file.
func (g *guard) Rename(oldname, newname string) error {
	return g.swallow(g.FS.Rename(oldname, newname))
}

// guardedFile hides failures of writes.
type guardedFile struct {
	vfs.File
	guard *guard
}

func (f *guardedFile) write(n int, write func() (int, error)) (int, error) {
	if f.guard.broken() {
		return n, nil
	}
	_, err := write()
	return n, f.guard.swallow(err)
}

func (f *guardedFile) do(act func() error) error {
	if f.guard.broken() {
		return nil
	}
	return f.guard.swallow(act())
}

// Write appends p.
func (f *guardedFile) Write(p []byte) (int, error) {
	return f.write(len(p), func() (int, error) { return f.File.Write(p) })
}

// WriteAt writes p.
func (f *guardedFile) WriteAt(p []byte, offset int64) (int, error) {
	return f.write(len(p), func() (int, error) { return f.File.WriteAt(p, offset) })
}

// Preallocate space.
func (f *guardedFile) Preallocate(offset, length int64) error {
	return f.do(func() error { return f.File.Preallocate(offset, length) })
}

// Sync to the disk.
func (f *guardedFile) Sync() error { return f.do(f.File.Sync) }

// SyncData to the disk.
func (f *guardedFile) SyncData() error { return f.do(f.File.SyncData) }

// SyncTo syncs a beginning.
func (f *guardedFile) SyncTo(length int64) (bool, error) {
	if f.guard.broken() {
		return true, nil
	}
	full, err := f.File.SyncTo(length)
	return full, f.guard.swallow(err)
}
