package reader

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
)

// File reads the bytes of one version. Its methods are safe for concurrent use.
type File struct {
	reader  *Reader
	version Version
	object  client.Object
	// ctx ends with Close and cancels read-ahead.
	ctx    context.Context
	cancel context.CancelFunc
	local  sealedFile

	mu     sync.Mutex
	closed bool
	ahead  ahead
	// fetching counts segments being fetched.
	fetching sync.WaitGroup
}

// Version returns the version of the file.
func (f *File) Version() Version { return f.version }

// ReadAt fills p with bytes from offset on. It returns fewer bytes only at the end
// of the file, together with io.EOF. The error is ErrStale when the version and
// its cached bytes do not exist any more; any other error contains the last error
// of every rung.
func (f *File) ReadAt(ctx context.Context, p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("read %q at %d: negative offset", f.version.Key, offset)
	}
	if offset >= f.version.Size {
		return 0, io.EOF
	}
	want := p
	if left := f.version.Size - offset; int64(len(p)) > left {
		want = p[:left]
	}
	if len(want) == 0 {
		return 0, nil
	}
	began := time.Now()
	n, err := f.read(ctx, want, offset)
	f.reader.metrics.seconds.Observe(time.Since(began).Seconds())
	switch {
	case err != nil:
		f.reader.metrics.failures.WithLabelValues(reason(err)).Inc()
		return n, err
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

func (f *File) read(ctx context.Context, p []byte, offset int64) (int, error) {
	if f.readLocal(ctx, p, offset) {
		return len(p), nil
	}
	if err := f.plan(offset, int64(len(p))); err != nil {
		return 0, err
	}
	// One deadline covers all parts of the read, including read-ahead.
	ctx, cancel := context.WithTimeoutCause(ctx, f.reader.config.ReadTimeout, errTimeout)
	defer cancel()
	n := 0
	for n < len(p) {
		m, err := f.readOnce(ctx, p[n:], offset+int64(n))
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readOnce reads from the read-ahead segment at offset or, if there is none, from
// the ladder.
func (f *File) readOnce(ctx context.Context, p []byte, offset int64) (int, error) {
	s, gap := f.find(offset)
	if s != nil {
		n := s.copy(ctx, p, offset)
		f.release(s)
		if n > 0 {
			f.reader.metrics.prefetchHits.Inc()
			return n, nil
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("read %q at %d: %w", f.version.Key, offset, context.Cause(ctx))
		}
		f.drop(s)
		gap = s.end - offset
	}
	if gap > 0 && int64(len(p)) > gap {
		p = p[:gap]
	}
	c := rangeRead{reader: f.reader, object: f.object, offset: offset, p: p}
	ctx, cancel := f.bound(ctx)
	defer cancel()
	if err := c.fill(ctx); err != nil {
		return len(p) - len(c.p), err
	}
	return len(p), nil
}

// bound returns a context that also ends when the file is closed.
func (f *File) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(f.ctx, func() { cancel(errClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// errClosed is returned when the file or its reader was closed.
var errClosed = fmt.Errorf("the file is closed")

// Close drops the read-ahead. Reads in progress fail.
func (f *File) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	f.clear()
	f.mu.Unlock()
	f.reader.closed(f)
	f.cancel()
	f.fetching.Wait()
	return f.local.close()
}
