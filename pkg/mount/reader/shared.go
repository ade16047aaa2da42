package reader

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
)

// shared is what the open files of one version share: its read-ahead. Processes that
// read one file at a time, as the loaders of model weights do, read one set of
// streams, because the kernel requests a page once, for any of their handles. Its
// methods are safe for concurrent use, except where they say otherwise.
type shared struct {
	reader  *Reader
	version Version
	object  client.Object
	// files is the number of open files. Reader.mu guards it.
	files int
	// localAfter is the time before which no sealed file is requested, in Unix
	// nanoseconds.
	localAfter atomic.Int64

	mu    sync.Mutex
	ahead ahead
	// fetched is set when a segment was fetched.
	fetched bool
}

// share returns what the open files of a version share, for one more of them.
func (r *Reader) share(v Version) *shared {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.versions[v]
	if s == nil {
		s = &shared{reader: r, version: v, object: objectOf(v)}
		r.versions[v] = s
	}
	s.files++
	return s
}

// noLocal records that no worker on this host has the sealed file of a version, so that
// the open files of the version do not request it again at once.
func (r *Reader) noLocal(v Version, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.versions[v]; s != nil {
		s.localAfter.Store(now.Add(r.config.LocalInterval).UnixNano())
	}
}

// leave ends the use by one file. It reports whether that was the last one.
func (r *Reader) leave(s *shared) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.files--
	if s.files == 0 {
		delete(r.versions, s.version)
	}
	return s.files == 0
}

// search returns the index of the segment that contains offset, or the index at
// which it would be inserted, and reports whether it was found.
func (a *ahead) search(offset int64) (int, bool) {
	i, found := slices.BinarySearchFunc(a.segments, offset, func(s *segment, offset int64) int {
		switch {
		case s.end <= offset:
			return -1
		case s.start > offset:
			return 1
		}
		return 0
	})
	return i, found
}

// find returns the segment that contains offset, with a reference that the caller
// must release. Without one, gap is the distance in bytes to the next segment, 0
// if there is none.
func (f *shared) find(offset int64) (s *segment, gap int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, found := f.ahead.search(offset)
	switch {
	case found:
		s = f.ahead.segments[i]
		s.users++
		return s, 0
	case i < len(f.ahead.segments):
		return nil, f.ahead.segments[i].start - offset
	}
	return nil, 0
}

// lingerBytes is the number of bytes that a request may still receive after its
// segment was removed.
const lingerBytes = 1 << 20

// remove removes segment i. It cancels its request, unless that is about to end: a
// request that is cancelled loses its connection, and the next one of any file would
// wait for another. The caller must hold f.mu.
func (f *shared) remove(i int) {
	s := f.ahead.segments[i]
	f.ahead.segments = slices.Delete(f.ahead.segments, i, i+1)
	if left, arriving := s.left(); !arriving || left > lingerBytes || f.reader.memory.tight() {
		s.cancel()
	}
	f.unref(s)
}

// drop removes a segment unless it was removed before.
func (f *shared) drop(s *segment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.ahead.segments, s); i >= 0 {
		f.remove(i)
	}
}

// release drops the reference that find returned.
func (f *shared) release(s *segment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unref(s)
}

// unref drops a reference; the last one frees the segment's memory. The caller
// must hold f.mu.
func (f *shared) unref(s *segment) {
	if s.users--; s.users > 0 {
		return
	}
	if !s.used.Load() {
		f.reader.metrics.wasted.Add(float64(s.filled))
	}
	if s.buf != nil {
		f.reader.memory.put(s.buf)
		s.buf = nil
	}
}

// stopAhead drops all read-ahead, as when a sealed file is available.
func (f *shared) stopAhead() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clear()
}

// clear drops all streams and segments. The caller must hold f.mu.
func (f *shared) clear() {
	f.ahead.streams, f.ahead.strides = nil, strides{}
	for len(f.ahead.segments) > 0 {
		f.remove(0)
	}
}
