package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Source returns the body of a range from an offset in that range to its end. It
// retries itself, so its errors are final.
type Source func(ctx context.Context, offset int64) (*Stream, error)

// Stream is the body of one attempt, with its watch.
type Stream struct {
	Body  io.ReadCloser
	Watch *Watch
	// Attempt is the context of the request.
	Attempt context.Context

	// moved counts the bytes read since allowance was renewed. allowance is the
	// time in which minProgress bytes must be read.
	moved     int
	allowance time.Duration
}

// minProgress is how many bytes a body must deliver within the time limit for a
// stall. A body that drips would otherwise hold its reader for days.
const minProgress = 64 << 10

// read reads once, within the allowance.
func (s *Stream) read(p []byte, stall time.Duration) (int, error) {
	if s.allowance == 0 {
		s.allowance = stall
	}
	began := time.Now()
	s.Watch.Progress(s.allowance)
	n, err := s.Body.Read(p)
	s.Watch.Rest()
	s.allowance = max(s.allowance-time.Since(began), time.Nanosecond)
	if s.moved += n; s.moved >= minProgress {
		s.moved, s.allowance = 0, stall
	}
	return n, err //nolint:wrapcheck // Download explains it
}

// Close releases the connection.
func (s *Stream) Close() error {
	err := s.Body.Close()
	s.Watch.Release()
	return err
}

// Download reads exactly length bytes of a range. A body that ends early, breaks
// off, stalls or drips is resumed where it stopped, as long as spend permits;
// otherwise Read returns ErrUnavailable. It never returns io.EOF early.
type Download struct {
	ctx    context.Context
	stream *Stream
	source Source
	spend  func() bool
	stall  time.Duration
	length int64
	offset int64
	// stuck counts consecutive streams that delivered no byte, or stalled before
	// they delivered minProgress bytes.
	stuck int
	// begun is the offset at which the current stream began.
	begun int64
	// failed is the error of all further reads.
	failed error
}

// maxStuck is how many consecutive streams may be stuck.
const maxStuck = 4

// NewDownload reads first, and then what source returns.
func NewDownload(ctx context.Context, first *Stream, length int64, source Source, spend func() bool, stall time.Duration) *Download {
	return &Download{ctx: ctx, stream: first, source: source, spend: spend, stall: stall, length: length}
}

// Read returns the context's error once that has ended.
func (d *Download) Read(p []byte) (int, error) {
	if d.failed != nil {
		return 0, d.failed
	}
	if d.offset == d.length {
		return 0, io.EOF
	}
	// The transport notices the end of the context later, when all bytes may have
	// been read.
	if err := d.ctx.Err(); err != nil {
		d.failed = err
		return 0, err //nolint:wrapcheck // callers compare it
	}
	p = p[:min(int64(len(p)), d.length-d.offset)]
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := d.readOnce(p)
		if n > 0 {
			d.offset += int64(n)
			return n, nil // an error is handled by the next call
		}
		if err := d.resume(err); err != nil {
			d.failed = err
			return 0, err
		}
	}
}

func (d *Download) readOnce(p []byte) (int, error) {
	n, err := d.stream.read(p, d.stall)
	if errors.Is(err, io.EOF) || err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, Stalled(d.stream.Attempt, err)
}

// resume continues after an error, or returns it.
func (d *Download) resume(err error) error {
	if ended := d.ctx.Err(); ended != nil {
		return ended
	}
	broken := fmt.Errorf("the body ended after %d of %d bytes (%w): %w", d.offset, d.length, err, ufs.ErrUnavailable)
	delivered := d.offset - d.begun
	if delivered > 0 && !errors.Is(err, errNoProgress) || delivered >= minProgress {
		d.stuck = 0
	}
	if d.stuck++; d.source == nil || d.stuck > maxStuck || !d.spend() {
		return broken
	}
	_ = d.stream.Close()
	stream, err := d.source(d.ctx, d.offset)
	if err != nil {
		d.stream = nil
		return fmt.Errorf("resume after %d of %d bytes: %w", d.offset, d.length, err)
	}
	d.stream, d.begun = stream, d.offset
	return nil
}

// Close releases the connection.
func (d *Download) Close() error {
	if d.failed == nil {
		d.failed = fmt.Errorf("the body is closed: %w", ufs.ErrInvalid)
	}
	if d.stream == nil {
		return nil
	}
	stream := d.stream
	d.stream = nil
	_ = stream.Close() // its bytes are read or no longer needed
	return nil
}
