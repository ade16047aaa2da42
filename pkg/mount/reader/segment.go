package reader

import (
	"context"
	"sync"
	"sync/atomic"
)

// segment is a part of a file that one request reads ahead. Its bytes can be used
// as they arrive. It has no memory before the first one arrives, so that read-ahead
// from a store that hangs takes none from other handles.
type segment struct {
	start, end int64
	cancel     context.CancelFunc
	// users counts references: the list's, the request's, and those of reads
	// that copy. It is guarded by shared.mu.
	users int
	// used is set once a read has used the segment.
	used atomic.Bool

	mu     sync.Mutex
	more   sync.Cond
	buf    []byte
	filled int
	done   bool
}

// fetch starts the request of a segment. It ends after one round of the ladder: a
// read that needs the bytes then retries by itself. The caller must hold f.mu.
func (f *shared) fetch(start, end int64) *segment {
	ctx, cancel := context.WithCancel(f.reader.ctx)
	s := &segment{start: start, end: end, cancel: cancel, users: 2}
	s.more.L = &s.mu
	f.fetched = true
	f.reader.fetching.Go(func() {
		to := destination{missing: int(end - start), memory: func(context.Context) ([]byte, error) { return f.allocate(s) }}
		c := rangeRead{reader: f.reader, object: f.object, offset: start, to: to, progress: s.progress, rounds: 1}
		err := c.fill(ctx)
		cancel()
		s.finish()
		if err == nil {
			f.reader.metrics.prefetchBytes.Add(float64(end - start))
		} else if ctx.Err() == nil {
			f.reader.config.Logger.Debug("read-ahead failed", "error", err)
		}
		f.release(s)
	})
	return s
}

// allocate returns the memory of a segment, or errNoMemory.
func (f *shared) allocate(s *segment) ([]byte, error) {
	buf := f.reader.memory.get(s.end - s.start)
	if buf == nil {
		f.mu.Lock()
		f.reader.reclaim(f)
		f.mu.Unlock()
		buf = f.reader.memory.get(s.end - s.start)
	}
	if buf == nil {
		f.reader.metrics.refused.Inc()
		return nil, errNoMemory
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = buf
	return buf, nil
}

// left returns the number of bytes that have not arrived, and whether some have.
func (s *segment) left() (n int64, arriving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end - s.start - int64(s.filled), s.filled > 0
}

func (s *segment) progress(n int) {
	s.mu.Lock()
	s.filled += n
	s.mu.Unlock()
	s.more.Broadcast()
}

func (s *segment) finish() {
	s.mu.Lock()
	s.done = true
	s.mu.Unlock()
	s.more.Broadcast()
}

// copy copies the available bytes from offset on into a destination, and blocks
// until there is at least one. It returns 0 when the request has failed or the
// context has ended, and the error of the destination.
func (s *segment) copy(ctx context.Context, to *destination, offset int64) (int, error) {
	s.used.Store(true)
	at := int(offset - s.start)
	filled, buf := s.wait(ctx, at)
	if filled <= at {
		return 0, nil
	}
	p, err := to.Memory(ctx)
	if err != nil {
		return 0, err
	}
	n := copy(p, buf[at:filled])
	to.advance(n)
	return n, nil
}

// wait blocks until more than at bytes are available, the request has ended, or
// the context has, and returns the number of available bytes and their memory.
func (s *segment) wait(ctx context.Context, at int) (int, []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filled > at || s.done {
		return s.filled, s.buf
	}
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.more.Broadcast()
	})
	defer stop()
	for s.filled <= at && !s.done && ctx.Err() == nil {
		s.more.Wait()
	}
	return s.filled, s.buf
}
