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
	// maxFreshFiles and maxFreshBytes bound the files without a handle that the worker
	// cannot recall, maxIdleFiles and maxIdleBytes those that it can.
	maxFreshFiles, maxFreshBytes = 1024, 128 << 20
	maxIdleFiles, maxIdleBytes   = 16 << 10, 1 << 30
	// idleTime is how long a file is kept without a handle before the worker may recall
	// it or, if it cannot, before it is given back. heldTime is how long the latter is
	// given to new handles after it was borrowed, and keepTime how long the former is
	// kept without a handle.
	idleTime, heldTime, keepTime = 5 * time.Second, time.Minute, time.Hour
	// sweepTime is the time between two searches for such files, which many files share,
	// and reportTime that between two reports of the use of one file.
	sweepTime, reportTime = time.Second, 30 * time.Second
)

// recallable is a LocalFile of a worker that can recall it: *fdpass.File.
type recallable interface {
	LocalFile
	// CanBeIdle reports whether SetIdle(true) lets the worker recall the file.
	CanBeIdle() bool
	// SetIdle reports whether the file is used, and its use. It does not wait.
	SetIdle(idle bool)
	// OnWanted has wanted called, from a goroutine that may wait, when the file is
	// recalled or revoked or its worker is away.
	OnWanted(wanted func())
}

// borrowed keeps the sealed files of small versions for handles that are opened later,
// so that these need no request to the worker. It is safe for concurrent use.
//
// Invariants: a file that the worker has revoked, or whose worker cannot revoke it any
// more, is not given to another handle. The worker can have the space of a file without
// handles: from idleTime and sweepTime after its last use on, or earlier where there are
// too many, it may recall the file, which is then given back unless a handle uses it
// again; if it cannot recall files, the file is given back then.
type borrowed struct {
	clock func() time.Time
	// limit is the number of files kept without a handle.
	limit int

	// sweeping is held while files are given back, so that close waits for that. It is
	// acquired before mu.
	sweeping sync.Mutex
	mu       sync.Mutex
	files    map[Version]*sharedFile
	// fresh are the files without handles that the worker cannot recall, parked those
	// that it can; both have the one that was used last at the end.
	fresh, parked fileList
	// due are files whose use is to be reported.
	due []*sharedFile
	// sweeper is set while there is something to sweep, at the time next.
	sweeper *time.Timer
	next    time.Time
	closed  bool
}

// fileList is a list of files and their size in bytes.
type fileList struct {
	list.List
	bytes int64
}

// sharedFile is a file that one or more handles use, or none if place is not nil.
type sharedFile struct {
	LocalFile
	version Version
	uses    int
	// worker is the file if it can be recalled, otherwise nil.
	worker recallable
	// since is the time at which it was borrowed, idle that since which no handle uses
	// it, and reported that of the last report of its use.
	since, idle, reported time.Time
	// declared is set from when the worker was told that the file is idle until it is
	// told otherwise, due while the file is in borrowed.due, and discarded once it must
	// not be given to another handle.
	declared, due, discarded bool
	in                       *fileList
	place                    *list.Element
}

// newBorrowed returns a borrowed for a process that may have a number of files open.
func newBorrowed(clock func() time.Time, files int) *borrowed {
	return &borrowed{clock: clock, limit: min(maxIdleFiles, files/4), files: map[Version]*sharedFile{}}
}

// take returns the file of a version, nil if there is none. The caller must pass it
// to put when it does not use it any more.
func (b *borrowed) take(v Version) LocalFile {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.files[v]
	if f == nil || f.discarded || !usable(f.LocalFile) {
		return nil
	}
	now := b.clock()
	if f.worker == nil && now.Sub(f.since) > heldTime {
		return nil
	}
	f.uses++
	b.unlist(f)
	if counter, ok := f.LocalFile.(interface{ CountOpen() }); ok {
		counter.CountOpen()
	}
	if f.worker != nil && !f.due && (f.declared || now.Sub(f.reported) >= reportTime) {
		f.due = true
		b.due = append(b.due, f)
		b.schedule(sweepTime)
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
	now := b.clock()
	f := &sharedFile{LocalFile: file, version: v, uses: 1, since: now, reported: now}
	b.files[v] = f
	if worker, ok := file.(recallable); ok && worker.CanBeIdle() {
		f.worker = worker
		worker.OnWanted(func() { b.wanted(f) })
	}
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
	b.list(f, &b.fresh)
	if b.closed || b.fresh.Len() > maxFreshFiles || b.fresh.bytes > maxFreshBytes {
		// Another goroutine waits for the workers.
		b.schedule(0)
	} else {
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
		f.discarded = true
	}
}

// wanted gives a file back that its worker requires, unless a handle uses it, which is
// reported.
func (b *borrowed) wanted(f *sharedFile) {
	b.mu.Lock()
	gone := b.files[f.version] != f
	kept := gone || f.uses > 0
	if kept && !gone {
		f.declared = false
		f.worker.SetIdle(false)
	}
	if !kept {
		b.remove(f)
	}
	b.mu.Unlock()
	if !kept {
		_ = f.Close()
	}
}

// list puts a file without handles at the end of a list, and unlist takes it out of
// its list. The caller must hold b.mu.
func (b *borrowed) list(f *sharedFile, to *fileList) {
	b.unlist(f)
	f.in, f.place = to, to.PushBack(f)
	to.bytes += f.version.Size
}

func (b *borrowed) unlist(f *sharedFile) {
	if f.place != nil {
		f.in.Remove(f.place)
		f.in.bytes -= f.version.Size
		f.in, f.place = nil, nil
	}
}

// remove makes a file without handles unknown. The caller must hold b.mu.
func (b *borrowed) remove(f *sharedFile) {
	b.unlist(f)
	delete(b.files, f.version)
}

// schedule makes sweep run after a time, unless it runs earlier. The caller must hold
// b.mu.
func (b *borrowed) schedule(after time.Duration) {
	at := time.Now().Add(after)
	switch {
	case b.sweeper == nil:
		b.sweeper = time.AfterFunc(after, b.sweep)
	case at.Before(b.next):
		b.sweeper.Reset(after)
	default:
		return
	}
	b.next = at
}

// sweep reports which files are used and which are not, and gives back those that are
// not to be kept.
func (b *borrowed) sweep() {
	b.sweeping.Lock()
	defer b.sweeping.Unlock()
	b.mu.Lock()
	b.report()
	b.park()
	expired := b.expired()
	b.sweeper = nil
	switch {
	case b.fresh.Len() > 0 || len(b.due) > 0:
		b.schedule(sweepTime)
	case b.parked.Len() > 0:
		b.schedule(keepTime)
	}
	b.mu.Unlock()
	for _, f := range expired {
		_ = f.Close()
	}
}

// report reports the use of the files that are due. The caller must hold b.mu.
func (b *borrowed) report() {
	now := b.clock()
	for _, f := range b.due {
		f.due, f.declared, f.reported = false, false, now
		if b.files[f.version] == f {
			f.worker.SetIdle(false)
		}
	}
	b.due = nil
}

// park lets the worker recall files that were not used for a time or are too many. The
// caller must hold b.mu.
func (b *borrowed) park() {
	now := b.clock()
	for e := b.fresh.Front(); e != nil; {
		f := e.Value.(*sharedFile)
		e = e.Next()
		if !b.tooMany(&b.fresh) && now.Sub(f.idle) < idleTime {
			return
		}
		if f.worker == nil || f.discarded || !usable(f.LocalFile) {
			continue
		}
		f.declared, f.reported = true, now
		f.worker.SetIdle(true)
		b.list(f, &b.parked)
	}
}

// tooMany reports whether a list has too many files. The caller must hold b.mu.
func (b *borrowed) tooMany(l *fileList) bool {
	if l == &b.fresh {
		return l.Len() > min(maxFreshFiles, b.limit) || l.bytes > maxFreshBytes
	}
	return l.Len() > b.limit || l.bytes > maxIdleBytes
}

// expired removes and returns the files that are not to be kept. The caller must hold
// b.mu.
func (b *borrowed) expired() []*sharedFile {
	now := b.clock()
	var expired []*sharedFile
	for _, l := range []*fileList{&b.fresh, &b.parked} {
		for e := l.Front(); e != nil; {
			f := e.Value.(*sharedFile)
			e = e.Next()
			age, limit := now.Sub(f.idle), keepTime
			if l == &b.fresh {
				limit = idleTime
			}
			old := age >= limit || f.worker == nil && now.Sub(f.since) > heldTime
			if b.closed || old || b.tooMany(l) || f.discarded || !usable(f.LocalFile) {
				b.remove(f)
				expired = append(expired, f)
			} else if l == &b.parked {
				break // The worker reports those that are not usable.
			}
		}
	}
	return expired
}

// close gives back all files without handles. Files in use are given back when their
// handles are closed.
func (b *borrowed) close() {
	b.sweeping.Lock()
	defer b.sweeping.Unlock()
	b.mu.Lock()
	b.closed = true
	expired := b.expired()
	if b.sweeper != nil {
		b.sweeper.Stop()
		b.sweeper = nil
	}
	b.mu.Unlock()
	for _, f := range expired {
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
