package reader

import (
	"context"
	"fmt"
	"io"
	"time"
)

// File reads the bytes of one version. Its methods are safe for concurrent use.
type File struct {
	*shared
	// ctx ends with Close.
	ctx    context.Context
	cancel context.CancelFunc
	local  sealedFile
	// closed is guarded by shared.mu.
	closed bool
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
	n := int(min(int64(len(p)), f.version.Size-offset))
	if n == 0 {
		return 0, nil
	}
	got, err := f.ReadTo(ctx, n, offset, func(context.Context) ([]byte, error) { return p[:n], nil })
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return got, err
}

// ReadTo reads n > 0 bytes from offset on, which must be within the file. It calls
// memory at most once, when the first byte has arrived, and fills the n bytes that
// memory returns. An error of memory, which may block until the context ends, ends
// the read.
func (f *File) ReadTo(ctx context.Context, n int, offset int64, memory func(context.Context) ([]byte, error)) (int, error) {
	if n <= 0 || offset < 0 || offset+int64(n) > f.version.Size {
		return 0, fmt.Errorf("read %d bytes of %q at %d: the range is not within its %d bytes", n, f.version.Key, offset, f.version.Size)
	}
	began := time.Now()
	to := &destination{missing: n, memory: memory}
	if mutantMemoryFirst {
		_, _ = to.Memory(ctx)
	}
	err := f.read(ctx, to, offset)
	f.reader.metrics.seconds.Observe(time.Since(began).Seconds())
	if err != nil {
		f.reader.metrics.failures.WithLabelValues(reason(err)).Inc()
	}
	return n - to.missing, err
}

func (f *File) read(ctx context.Context, to *destination, offset int64) error {
	if done, err := f.readLocal(ctx, to, offset); done || err != nil {
		return err
	}
	if err := f.plan(offset, int64(to.missing)); err != nil {
		return err
	}
	// One deadline covers all parts of the read, including read-ahead.
	ctx, cancel := context.WithTimeoutCause(ctx, f.reader.config.ReadTimeout, errTimeout)
	defer cancel()
	for end := offset + int64(to.missing); to.missing > 0; {
		if err := f.readOnce(ctx, to, end-int64(to.missing)); err != nil {
			return err
		}
	}
	return nil
}

// readOnce reads from the read-ahead segment at offset or, if there is none, from
// the ladder.
func (f *File) readOnce(ctx context.Context, to *destination, offset int64) error {
	s, gap := f.find(offset)
	if s != nil {
		n, err := s.copy(ctx, to, offset)
		f.release(s)
		switch {
		case err != nil:
			return fmt.Errorf("read %q at %d: %w", f.version.Key, offset, err)
		case n > 0:
			f.reader.metrics.prefetchHits.Inc()
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("read %q at %d: %w", f.version.Key, offset, context.Cause(ctx))
		}
		f.drop(s)
		gap = s.end - offset
	}
	length := int64(to.missing)
	if gap > 0 {
		length = min(length, gap)
	}
	c := rangeRead{reader: f.reader, object: f.object, offset: offset, to: to.first(int(length))}
	ctx, cancel := f.bound(ctx)
	defer cancel()
	err := c.fill(ctx)
	to.advance(int(length) - c.to.missing)
	return err
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

// ClosesNow reports whether Close neither waits for another process nor for a disk,
// if no read is in progress.
func (f *File) ClosesNow() bool {
	f.mu.Lock()
	fetched := f.fetched
	f.mu.Unlock()
	return !fetched && f.local.closesNow()
}

// Close drops the read-ahead, unless other files of the version are open. Reads in
// progress fail.
func (f *File) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	if f.reader.leave(f.shared) {
		f.stopAhead()
	}
	return f.local.close()
}
