package reader

import (
	"context"
	"sync"
	"sync/atomic"
)

// segment is a part of a file that is read ahead by one request. Its bytes can
// be read as they come.
type segment struct {
	start, end int64
	buf        []byte
	cancel     context.CancelFunc
	// users: the list, the request, and reads that copy; guarded by File.mu.
	users int
	// read: somebody wanted it.
	read atomic.Bool

	mu     sync.Mutex
	more   sync.Cond
	filled int
	done   bool
}

// fetch starts a segment. It gives up after one round of the ladder: if
// somebody needs the bytes, he climbs it himself. f.mu is held.
func (f *File) fetch(start, end int64, buf []byte) *segment {
	ctx, cancel := context.WithCancel(f.ctx)
	s := &segment{start: start, end: end, buf: buf, cancel: cancel, users: 2}
	s.more.L = &s.mu
	f.fetching.Go(func() {
		c := climb{reader: f.reader, object: f.object, offset: start, p: buf, progress: s.progress, rounds: 1}
		err := c.fill(ctx)
		cancel()
		s.finish()
		if err == nil {
			f.reader.metrics.prefetchBytes.Add(float64(len(buf)))
		} else if ctx.Err() == nil {
			f.reader.config.Logger.Debug("reading ahead failed", "reason", err)
		}
		f.release(s)
	})
	return s
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

// copy bytes from an offset within the segment on, as many as there are once
// there are any. 0 when they will not come, or the context is over.
func (s *segment) copy(ctx context.Context, p []byte, offset int64) int {
	s.read.Store(true)
	at := int(offset - s.start)
	filled := s.wait(ctx, at)
	return copy(p, s.buf[min(at, filled):filled])
}

// wait until more than at bytes are there, and answer how many.
func (s *segment) wait(ctx context.Context, at int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filled > at || s.done {
		return s.filled
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
	return s.filled
}
