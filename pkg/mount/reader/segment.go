package reader

import (
	"context"
	"sync"
	"sync/atomic"
)

// segment is a part of a file that one request reads ahead. Its bytes can be used
// as they arrive.
type segment struct {
	start, end int64
	buf        []byte
	cancel     context.CancelFunc
	// users counts references: the list's, the request's, and those of reads
	// that copy. It is guarded by File.mu.
	users int
	// used is set once a read has used the segment.
	used atomic.Bool

	mu     sync.Mutex
	more   sync.Cond
	filled int
	done   bool
}

// fetch starts the request of a segment. It ends after one round of the ladder: a
// read that needs the bytes then retries by itself. The caller must hold f.mu.
func (f *File) fetch(start, end int64, buf []byte) *segment {
	ctx, cancel := context.WithCancel(f.ctx)
	s := &segment{start: start, end: end, buf: buf, cancel: cancel, users: 2}
	s.more.L = &s.mu
	f.fetching.Go(func() {
		c := rangeRead{reader: f.reader, object: f.object, offset: start, p: buf, progress: s.progress, rounds: 1}
		err := c.fill(ctx)
		cancel()
		s.finish()
		if err == nil {
			f.reader.metrics.prefetchBytes.Add(float64(len(buf)))
		} else if ctx.Err() == nil {
			f.reader.config.Logger.Debug("read-ahead failed", "error", err)
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

// copy copies the available bytes from offset on, and blocks until there is at
// least one. It returns 0 when the request has failed or the context has ended.
func (s *segment) copy(ctx context.Context, p []byte, offset int64) int {
	s.used.Store(true)
	at := int(offset - s.start)
	filled := s.wait(ctx, at)
	return copy(p, s.buf[min(at, filled):filled])
}

// wait blocks until more than at bytes are available, the request has ended, or
// the context has, and returns the number of available bytes.
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
