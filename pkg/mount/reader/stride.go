package reader

import (
	"slices"
	"time"
)

// Parameters of the detection of strides.
const (
	// maxAccesses is the number of reads among which strides are looked for.
	maxAccesses = 32
	// maxStrides bounds the strides of one version.
	maxStrides = 8
	// maxStep is the largest distance of two reads of a stride, in bytes.
	maxStep = 256 << 20
	// firstPieces and maxPieces bound the reads that are requested ahead, and
	// stridedBytes their bytes.
	firstPieces, maxPieces = 2, 32
	stridedBytes           = 8 << 20
)

// access is a read that belongs to no sequential stream.
type access struct{ offset, length int64 }

// strides are series of reads of equal length at equal distances, as those of one
// column of a table. Store and worker would be waited for once for each.
type strides struct {
	// accesses are the last reads that belong to no series, the newest last.
	accesses []access
	series   []*series
}

// series is one series of reads.
type series struct {
	// next is the expected offset of the next read, end that of the first one that
	// was not requested.
	next, end    int64
	step, length int64
	// pieces is the number of reads to request ahead.
	pieces int64
	used   time.Time
}

// stride records a read that belongs to no sequential stream, and requests what
// follows if it belongs to a series. The caller must hold f.mu.
func (f *shared) stride(offset, length int64) {
	s := f.ahead.strides.take(access{offset, length})
	if s == nil {
		return
	}
	s.used = f.ahead.used
	f.ahead.earn(length)
	for count := s.pieces; s.end < s.next+count*s.step && s.end < f.version.Size; s.end += s.step {
		for at, end := s.end, min(s.end+s.length, f.version.Size); at < end; {
			requested, ok := f.request(at, end)
			if !ok {
				return
			}
			at = requested
		}
	}
}

// take returns the series that a read belongs to, nil if there is none. Four reads
// of equal length at equal distances begin one; three of any set of random reads
// are too often equally far apart.
func (s *strides) take(a access) *series {
	for _, known := range s.series {
		if a.length <= known.length && a.offset >= known.next && a.offset <= known.end && (a.offset-known.next)%known.step == 0 {
			known.next = a.offset + known.step
			known.end = max(known.end, known.next)
			known.pieces = min(2*known.pieces, maxPieces, max(stridedBytes/known.length, 1))
			return known
		}
	}
	for _, before := range s.accesses {
		step := a.offset - before.offset
		if step <= a.length || step > maxStep || before.length != a.length ||
			!s.has(access{before.offset - step, a.length}) || !s.has(access{before.offset - 2*step, a.length}) {
			continue
		}
		s.forget(a.offset, step)
		if len(s.series) >= maxStrides {
			s.series = slices.Delete(s.series, 0, 1)
		}
		found := &series{next: a.offset + step, end: a.offset + step, step: step, length: a.length, pieces: firstPieces}
		s.series = append(s.series, found)
		return found
	}
	if s.accesses = append(s.accesses, a); len(s.accesses) > maxAccesses {
		s.accesses = slices.Delete(s.accesses, 0, 1)
	}
	return nil
}

func (s *strides) has(a access) bool { return slices.Contains(s.accesses, a) }

// forget drops the reads that have become a series which continues at an offset.
func (s *strides) forget(offset, step int64) {
	s.accesses = slices.DeleteFunc(s.accesses, func(a access) bool {
		return a.offset < offset && a.offset >= offset-3*step && (offset-a.offset)%step == 0
	})
}

// need reports whether a segment was requested for a series that may still read it.
func (s *strides) need(segment *segment) bool {
	return slices.ContainsFunc(s.series, func(known *series) bool {
		return segment.end > known.next-known.step && segment.start < known.end
	})
}

// dropIdle drops the series that were not used since a time.
func (s *strides) dropIdle(before time.Time) {
	s.series = slices.DeleteFunc(s.series, func(known *series) bool { return known.used.Before(before) })
}
