package reader

import (
	"slices"
	"time"
)

// Parameters of read-ahead.
const (
	// maxStreams bounds the sequential streams of one handle.
	maxStreams = 4
	// slack is the distance, in bytes, from the end of a stream within which a
	// read still belongs to it, forwards and backwards: the kernel reorders
	// requests.
	slack = 1 << 20
	// minSegment and maxSegment bound the bytes of one read-ahead request.
	minSegment = 128 << 10
	maxSegment = 4 << 20
)

// ahead is the read-ahead of a handle. It is guarded by File.mu.
type ahead struct {
	// streams are sorted by last use, the newest first.
	streams []*stream
	// segments are sorted by offset and do not overlap.
	segments []*segment
	// used is the time of the last read.
	used time.Time
}

// stream is a sequence of reads at increasing offsets in one handle.
type stream struct {
	// next is the expected offset of the next read.
	next int64
	// end is the offset up to which bytes have been requested.
	end int64
	// window is the number of bytes to request ahead of next.
	window int64
}

func (s *stream) matches(offset int64) bool {
	return offset >= s.next-slack && offset <= max(s.next, s.end)+slack
}

// plan records a read and starts the read-ahead for it.
func (f *File) plan(offset, length int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errClosed
	}
	f.planLocked(offset, length)
	return nil
}

// planLocked is like plan. The caller must hold f.mu.
func (f *File) planLocked(offset, length int64) {
	f.ahead.used = f.reader.config.Clock()
	if s := f.ahead.take(offset); s != nil {
		s.next = max(s.next, offset+length)
		s.end = max(s.end, offset)
		if s.end-s.next < s.window/2 {
			if !f.reader.memory.tight() {
				s.window = min(2*s.window, f.reader.config.MaxWindow)
			}
			f.extend(s, s.next+s.window)
		}
	} else {
		f.startStream(offset, length)
	}
	f.dropUnused()
}

// take returns the stream that a read belongs to, and moves it to the front. It
// returns nil if there is none.
func (a *ahead) take(offset int64) *stream {
	i := slices.IndexFunc(a.streams, func(s *stream) bool { return s.matches(offset) })
	if i < 0 {
		return nil
	}
	s := a.streams[i]
	copy(a.streams[1:i+1], a.streams[:i])
	a.streams[0] = s
	return s
}

// startStream adds a stream. Read-ahead starts immediately for a read at the start
// of a file, which is likely sequential; elsewhere with the second read.
func (f *File) startStream(offset, length int64) {
	config := f.reader.config
	s := &stream{next: offset + length, end: offset + length, window: config.FirstWindow / 2}
	if f.ahead.streams = append([]*stream{s}, f.ahead.streams...); len(f.ahead.streams) > maxStreams {
		f.ahead.streams = f.ahead.streams[:maxStreams]
	}
	if offset == 0 && length < f.version.Size {
		s.end, s.window = 0, config.FirstWindow
		f.extend(s, max(length, config.FirstWindow))
	}
}

// extend requests bytes ahead of a stream up to offset to, as far as there is
// memory.
func (f *File) extend(s *stream, to int64) {
	to = min(to, f.version.Size)
	size := min(max(s.window/4, minSegment), maxSegment)
	if s.end == 0 {
		// The first request covers the kernel's own read-ahead.
		size = min(s.window, maxSegment)
	}
	for s.end < to {
		start := s.end
		i, found := f.ahead.search(start)
		if found {
			s.end = f.ahead.segments[i].end
			continue
		}
		end := min((start/size+1)*size, f.version.Size)
		if i < len(f.ahead.segments) {
			end = min(end, f.ahead.segments[i].start)
		}
		if !f.reader.memory.has(end - start) {
			f.reader.reclaim(f)
		}
		if !f.reader.memory.has(end - start) {
			f.reader.metrics.refused.Inc()
			return
		}
		f.ahead.segments = slices.Insert(f.ahead.segments, i, f.fetch(start, end))
		s.end = end
	}
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
func (f *File) find(offset int64) (s *segment, gap int64) {
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

// dropUnused drops the segments that are near no stream.
func (f *File) dropUnused() {
	for i := 0; i < len(f.ahead.segments); {
		s := f.ahead.segments[i]
		if slices.ContainsFunc(f.ahead.streams, func(st *stream) bool {
			return s.end > st.next-slack && s.start < max(st.end, st.next)
		}) {
			i++
			continue
		}
		f.remove(i)
	}
}

// remove removes segment i and cancels its request. The caller must hold f.mu.
func (f *File) remove(i int) {
	s := f.ahead.segments[i]
	f.ahead.segments = slices.Delete(f.ahead.segments, i, i+1)
	s.cancel()
	f.unref(s)
}

// drop removes a segment unless it was removed before.
func (f *File) drop(s *segment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.ahead.segments, s); i >= 0 {
		f.remove(i)
	}
}

// release drops the reference that find returned.
func (f *File) release(s *segment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unref(s)
}

// unref drops a reference; the last one frees the segment's memory. The caller
// must hold f.mu.
func (f *File) unref(s *segment) {
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

// stopAhead drops all read-ahead, once a sealed file is available.
func (f *File) stopAhead() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clear()
}

// clear drops all streams and segments. The caller must hold f.mu.
func (f *File) clear() {
	f.ahead.streams = nil
	for len(f.ahead.segments) > 0 {
		f.remove(0)
	}
}
