package reader

import (
	"slices"
	"time"
)

// Parameters of read-ahead.
const (
	// maxStreams bounds the sequential streams of one version.
	maxStreams = 32
	// slack is the distance, in bytes, from the end of a stream within which a
	// read still belongs to it, forwards and backwards: the kernel reorders
	// requests.
	slack = 1 << 20
	// minSegment and maxSegment bound the bytes of one read-ahead request.
	minSegment = 128 << 10
	maxSegment = 4 << 20
	// growth is the number of bytes that are read ahead of a stream for each byte
	// that was read of it.
	growth = 4
	// spare is the number of bytes of a version that may be read ahead in vain. For
	// more, half as many bytes must have been read in sequence.
	spare = 16 << 20
	// maxCredit bounds what a long sequential read allows to be read ahead in vain
	// later.
	maxCredit = 48 << 20
	// recentSpan is the distance, in bytes, over which the density of a stream is
	// measured.
	recentSpan = 8 << 20
)

// ahead is the read-ahead of a version. It is guarded by shared.mu.
type ahead struct {
	// streams are sorted by last use, the newest first.
	streams []*stream
	strides strides
	// segments are sorted by offset and do not overlap.
	segments []*segment
	// used is the time of the last read.
	used time.Time
	// debt is the number of bytes that were requested ahead, less one and a half
	// times those that were read in sequence. It is at most spare: whatever the
	// pattern of reads, no more than spare and half of what was read is in vain.
	debt int64
}

// stream is a sequence of reads at increasing offsets.
type stream struct {
	// start is the offset of the first read, next the expected offset of the next
	// one.
	start, next int64
	// end is the offset up to which bytes have been requested.
	end int64
	// window is the number of bytes to request ahead of next.
	window int64
	// reads is the number of reads, and total that of their bytes.
	reads, total int64
	// read is the number of bytes that were read of the last span bytes.
	read, span int64
	used       time.Time
}

// note records a read of the stream.
func (s *stream) note(offset, length int64, now time.Time) {
	if offset < s.start {
		s.span += s.start - offset
		s.start = offset
	}
	if advance := offset + length - s.next; advance > 0 {
		s.span += advance
		s.next += advance
	}
	s.end = max(s.end, offset)
	s.reads++
	s.total += length
	s.read += length
	if s.span > recentSpan {
		s.span, s.read = s.span/2, s.read/2
	}
	s.used = now
}

// sequential reports whether the reads of the stream follow each other: not if they
// are only near each other, as random reads of a small file are. One read at the
// start of a file is likely the first of a sequence.
func (s *stream) sequential() bool {
	return 2*s.read >= s.span && (s.reads > 1 || s.start == 0)
}

// absorb makes a stream that this one has reached a part of it.
func (s *stream) absorb(other *stream) {
	s.next, s.end = max(s.next, other.next), max(s.end, other.end)
	s.reads, s.total = s.reads+other.reads, s.total+other.total
	s.read, s.span = s.read+other.read, s.span+other.span
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
func (f *shared) planLocked(offset, length int64) {
	now := f.reader.config.Clock()
	f.ahead.used = now
	s := f.ahead.take(offset)
	if s == nil {
		s = f.ahead.add(offset)
	}
	s.note(offset, length, now)
	f.ahead.merge(s)
	if s.sequential() {
		f.ahead.earn(length)
		f.extend(s)
	} else {
		f.stride(offset, length)
	}
	f.dropUnused()
}

// earn records bytes that were read in sequence.
func (a *ahead) earn(length int64) { a.debt = max(a.debt-length-length/2, -maxCredit) }

// take returns the stream that a read belongs to, and moves it to the front: the
// one that ends nearest to it. A read far ahead, of bytes that were requested for a
// stream, starts one that continues there: the first may continue as well. take
// returns nil if there is no stream.
func (a *ahead) take(offset int64) *stream {
	best, distance := -1, int64(slack)+1
	for i, s := range a.streams {
		if d := max(offset-s.next, s.next-offset); d < distance {
			best, distance = i, d
		}
	}
	if best >= 0 {
		s := a.streams[best]
		copy(a.streams[1:best+1], a.streams[:best])
		a.streams[0] = s
		return s
	}
	for _, s := range a.streams {
		if offset > s.next && offset < s.end {
			rest := s.end
			s.end = offset
			ahead := a.add(offset)
			ahead.end = rest
			return ahead
		}
	}
	return nil
}

// add adds a stream that begins at an offset. It takes the place of the one that was
// not used for the longest time, if there are too many; of one that is not
// sequential, if possible.
func (a *ahead) add(offset int64) *stream {
	if len(a.streams) >= maxStreams {
		last := len(a.streams) - 1
		for i, s := range slices.Backward(a.streams) {
			if !s.sequential() {
				last = i
				break
			}
		}
		a.streams = slices.Delete(a.streams, last, last+1)
	}
	s := &stream{start: offset, next: offset, end: offset}
	a.streams = slices.Insert(a.streams, 0, s)
	return s
}

// merge makes the streams that a stream has reached a part of it.
func (a *ahead) merge(s *stream) {
	a.streams = slices.DeleteFunc(a.streams, func(other *stream) bool {
		if other == s || other.start <= s.start || other.start > s.next || other.next < s.next {
			return false
		}
		s.absorb(other)
		return true
	})
}

// extend requests bytes ahead of a stream, as far as there is memory and credit. It
// does not request what another stream has read, or reads ahead itself: the reader
// of this one likely ends there.
func (f *shared) extend(s *stream) {
	config := f.reader.config
	to, least := f.version.Size, int64(minSegment)
	if s.start == 0 {
		least = config.FirstWindow
	}
	active := int64(1)
	for _, other := range f.ahead.streams {
		if other == s || !other.sequential() || f.ahead.used.Sub(other.used) > idleTimeout {
			continue
		}
		active++
		if other.start > s.next {
			to = min(to, other.start)
		}
	}
	window := min(max(least, growth*s.total), config.MaxWindow, max(2*config.MaxWindow/active, config.FirstWindow))
	if f.reader.memory.tight() {
		window = min(window, max(s.window, least))
	}
	s.window = window
	size, until := segmentSize(window), s.next+window
	switch {
	case s.end == 0:
		// The first request is for what is read first. More would delay it, and the
		// first read of the next file if only the beginning of each is read.
		size = min(roundUp(s.next, minSegment), maxSegment)
		until = size
	case s.start == 0 && s.end < config.FirstWindow:
		// The second one is for the rest of a small file.
		size, until = config.FirstWindow, max(s.next, config.FirstWindow)
	}
	for s.end < min(to, until) {
		end, ok := f.request(s.end, min((s.end/size+1)*size, to))
		if !ok {
			return
		}
		s.end = end
	}
}

// roundUp returns the smallest multiple of unit that is at least n.
func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// segmentSize returns the bytes of one request for a window: a quarter of it, rounded
// up to a power of two.
func segmentSize(window int64) int64 {
	size := int64(minSegment)
	for size < window/4 && size < maxSegment {
		size *= 2
	}
	return size
}

// request starts to fetch a part of the file, or the beginning of it up to what was
// requested before. It returns the end of what was requested from start on, and
// whether there was memory and credit for it.
func (f *shared) request(start, end int64) (int64, bool) {
	i, found := f.ahead.search(start)
	if found {
		return f.ahead.segments[i].end, true
	}
	if i < len(f.ahead.segments) {
		end = min(end, f.ahead.segments[i].start)
	}
	if f.ahead.debt+end-start > spare {
		return start, false
	}
	if !f.reader.memory.has(end - start) {
		f.dropIdle()
		f.reader.reclaim(f)
		i, _ = f.ahead.search(start)
	}
	if !f.reader.memory.has(end - start) {
		f.reader.metrics.refused.Inc()
		return start, false
	}
	f.ahead.debt += end - start
	f.ahead.segments = slices.Insert(f.ahead.segments, i, f.fetch(start, end))
	return end, true
}

// dropIdle drops the streams that were not used for long, and their segments.
func (f *shared) dropIdle() {
	before := f.ahead.used.Add(-idleTimeout)
	f.ahead.streams = slices.DeleteFunc(f.ahead.streams, func(s *stream) bool { return s.used.Before(before) })
	f.ahead.strides.dropIdle(before)
	f.dropUnused()
}

// dropUnused drops the segments that are near no stream.
func (f *shared) dropUnused() {
	for i := 0; i < len(f.ahead.segments); {
		s := f.ahead.segments[i]
		if slices.ContainsFunc(f.ahead.streams, func(st *stream) bool {
			return s.end > st.next-slack && s.start < max(st.end, st.next)
		}) || f.ahead.strides.need(s) {
			i++
			continue
		}
		f.remove(i)
	}
}
