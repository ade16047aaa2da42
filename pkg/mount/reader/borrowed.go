package reader

import (
	"container/list"
	"sync"
	"time"
)

// Parameters of borrowed.
const (
	// maxShared is the size of the largest file, in bytes, that is kept after the
	// last handle that uses it was closed.
	maxShared = 512 << 10
	// maxIdleFiles and maxIdleBytes bound the files that are kept without a handle.
	maxIdleFiles = 1024
	maxIdleBytes = 128 << 20
	// idleTime is how long a file is kept without a handle, heldTime how long it is
	// given to new handles after it was borrowed, and sweepTime the time between two
	// searches for files to give back, which many files share.
	idleTime, heldTime, sweepTime = 5 * time.Second, time.Minute, time.Second
)

// borrowed keeps the sealed files of small versions for handles that are opened soon
// after, so that these need no request to the worker, and gives them back together.
// It is safe for concurrent use.
//
// Invariants: a file that the worker has revoked, or whose worker cannot revoke it any
// more, is not given to another handle. A file without handles is given back within
// idleTime and sweepTime, or earlier where there are too many, so that the worker can
// use its space again.
type borrowed struct {
	clock func() time.Time

	mu    sync.Mutex
	files map[Version]*sharedFile
	// idle are the files without handles, the one that was used last at the end, and
	// bytes is their size.
	idle  list.List
	bytes int64
	// sweeper is set while there are idle files.
	sweeper *time.Timer
	closed  bool
}

// sharedFile is a file that one or more handles use, or none if place is not nil.
type sharedFile struct {
	LocalFile
	version Version
	uses    int
	// since is the time at which it was borrowed, and idle that since which no handle
	// uses it.
	since, idle time.Time
	place       *list.Element
}

func newBorrowed(clock func() time.Time) *borrowed {
	return &borrowed{clock: clock, files: map[Version]*sharedFile{}}
}

// take returns the file of a version, nil if there is none. The caller must pass it
// to put when it does not use it any more.
func (b *borrowed) take(v Version) LocalFile {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.files[v]
	if f == nil || !usable(f.LocalFile) || b.clock().Sub(f.since) > heldTime {
		return nil
	}
	if f.uses++; f.place != nil {
		b.idle.Remove(f.place)
		b.bytes -= v.Size
		f.place = nil
	}
	if counter, ok := f.LocalFile.(interface{ CountOpen() }); ok {
		counter.CountOpen()
	}
	return f.LocalFile
}

// add adds a file that a handle has borrowed. The caller must pass it to put when it
// does not use it any more.
func (b *borrowed) add(v Version, file LocalFile) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v.Size > maxShared || b.files[v] != nil || b.closed {
		return
	}
	b.files[v] = &sharedFile{LocalFile: file, version: v, uses: 1, since: b.clock()}
}

// put ends the use of a file by one handle. It waits for the worker only if leave
// would return false.
func (b *borrowed) put(v Version, file LocalFile) error {
	if b.leave(v, file) {
		return nil
	}
	return file.Close()
}

// leave ends the use of a file by one handle, and reports whether the file is kept. If
// it is not, the caller must close it. It does not wait.
func (b *borrowed) leave(v Version, file LocalFile) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.files[v]
	if f == nil || f.LocalFile != file {
		return false
	}
	if f.uses--; f.uses > 0 {
		return true
	}
	f.idle = b.clock()
	f.place = b.idle.PushBack(f)
	b.bytes += v.Size
	switch {
	case b.closed || b.idle.Len() > maxIdleFiles || b.bytes > maxIdleBytes:
		// Another goroutine waits for the workers.
		b.schedule(0)
	case b.sweeper == nil:
		b.schedule(sweepTime)
	}
	return true
}

// keeps reports whether leave would return true.
func (b *borrowed) keeps(v Version, file LocalFile) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.files[v]
	return f != nil && f.LocalFile == file
}

// discard makes the file of a version unknown, because it cannot be read. It is
// closed when no handle uses it.
func (b *borrowed) discard(v Version, file LocalFile) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.files[v]; f != nil && f.LocalFile == file {
		f.since = time.Time{}
	}
}

// schedule makes sweep run after a time. The caller must hold b.mu.
func (b *borrowed) schedule(after time.Duration) {
	if b.sweeper == nil {
		b.sweeper = time.AfterFunc(after, b.sweep)
		return
	}
	b.sweeper.Reset(after)
}

// sweep gives back the files that are not to be kept.
func (b *borrowed) sweep() {
	for _, f := range b.expired() {
		_ = f.Close()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle.Len() > 0 {
		b.schedule(sweepTime)
		return
	}
	b.sweeper = nil
}

// expired removes and returns the files that are not to be kept.
func (b *borrowed) expired() []*sharedFile {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	var expired []*sharedFile
	for e := b.idle.Front(); e != nil; {
		f := e.Value.(*sharedFile)
		e = e.Next()
		tooMany := b.closed || b.idle.Len() > maxIdleFiles || b.bytes > maxIdleBytes
		if tooMany || now.Sub(f.idle) >= idleTime || now.Sub(f.since) > heldTime || !usable(f.LocalFile) {
			b.idle.Remove(f.place)
			b.bytes -= f.version.Size
			delete(b.files, f.version)
			expired = append(expired, f)
		}
	}
	return expired
}

// close gives back all files without handles. Files in use are given back when their
// handles are closed.
func (b *borrowed) close() {
	b.mu.Lock()
	b.closed = true
	if b.sweeper != nil {
		b.sweeper.Stop()
	}
	b.mu.Unlock()
	for _, f := range b.expired() {
		_ = f.Close()
	}
}

// usable reports whether the bytes of a file may be used by another handle.
func usable(file LocalFile) bool {
	if revoked(file) {
		return false
	}
	f, ok := file.(interface{ Lost() <-chan struct{} })
	if !ok {
		return true
	}
	select {
	case <-f.Lost():
		return false
	default:
		return true
	}
}
