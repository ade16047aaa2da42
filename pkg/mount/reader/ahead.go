package reader

import (
	"slices"
	"time"
)

// How a handle is read ahead.
const (
	// maxStreams of sequential reading in one handle at once.
	maxStreams = 4
	// slack is how far from where a stream left off a read still belongs to
	// it, forwards and backwards: the kernel's requests overtake each other.
	slack = 1 << 20
	// minSegment and maxSegment bound one request that reads ahead.
	minSegment = 128 << 10
	maxSegment = 4 << 20
)

// ahead is what a handle has read ahead, and for whom. Guarded by File.mu.
type ahead struct {
	// streams, the most recently used first.
	streams []*stream
	// segments in the order of their offsets, not overlapping.
	segments []*segment
	// used is when the handle was last read.
	used time.Time
}

// stream is one place in a handle where somebody reads sequentially.
type stream struct {
	// next offset that is expected.
	next int64
	// end of what has been asked for ahead.
	end int64
	// window is how far ahead of next to be.
	window int64
}

func (s *stream) matches(offset int64) bool {
	return offset >= s.next-slack && offset <= max(s.next, s.end)+slack
}

// plan notes a read and starts reading ahead of it.
func (f *File) plan(offset, length int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errClosed
	}
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
		f.begin(offset, length)
	}
	f.tidy()
	return nil
}

// take the stream that a read belongs to, and put it first.
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

// begin a stream. Whoever starts at the start of a file mostly reads on;
// elsewhere the second read will tell.
func (f *File) begin(offset, length int64) {
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

// extend what is asked for ahead of a stream, as far as there is memory.
func (f *File) extend(s *stream, to int64) {
	to = min(to, f.version.Size)
	size := min(max(s.window/4, minSegment), maxSegment)
	if s.end == 0 {
		// The first request swallows the kernel's own read-ahead.
		size = min(s.window, maxSegment)
	}
	for s.end < to {
		start := s.end
		i, there := f.ahead.search(start)
		if there {
			s.end = f.ahead.segments[i].end
			continue
		}
		end := min((start/size+1)*size, f.version.Size)
		if i < len(f.ahead.segments) {
			end = min(end, f.ahead.segments[i].start)
		}
		buf := f.reader.memory.take(end - start)
		if buf == nil {
			f.reader.reclaim(f)
			buf = f.reader.memory.take(end - start)
		}
		if buf == nil {
			f.reader.metrics.refused.Inc()
			return
		}
		f.ahead.segments = slices.Insert(f.ahead.segments, i, f.fetch(start, end, buf))
		s.end = end
	}
}

// search answers the segment that holds an offset, or where it would be.
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

// find the segment that holds an offset and borrow it; without one, gap is how
// far it is to the next, 0 if there is none.
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

// tidy drops the segments that no stream is near.
func (f *File) tidy() {
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

// remove a segment. f.mu is held.
func (f *File) remove(i int) {
	s := f.ahead.segments[i]
	f.ahead.segments = slices.Delete(f.ahead.segments, i, i+1)
	s.cancel()
	f.leave(s)
}

// drop a segment that is of no use, if that has not happened yet.
func (f *File) drop(s *segment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.ahead.segments, s); i >= 0 {
		f.remove(i)
	}
}

// release a segment that find lent.
func (f *File) release(s *segment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leave(s)
}

// leave a segment; the last to leave gives back its memory. f.mu is held.
func (f *File) leave(s *segment) {
	if s.users--; s.users > 0 {
		return
	}
	if !s.read.Load() {
		f.reader.metrics.wasted.Add(float64(s.filled))
	}
	f.reader.memory.give(s.buf)
	s.buf = nil
}

// stopAhead drops everything: there is a better place to read from.
func (f *File) stopAhead() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clear()
}

// clear what was read ahead, and for whom. f.mu is held.
func (f *File) clear() {
	f.ahead.streams = nil
	for len(f.ahead.segments) > 0 {
		f.remove(0)
	}
}
