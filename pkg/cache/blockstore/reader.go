package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// chunkSize is the largest read from disk and the largest write to a caller.
const chunkSize = 256 << 10

// Request is a range of a version to read.
type Request struct {
	Key Key
	// Offset and Length in bytes, within the object. Length is greater than 0.
	Offset, Length int64
	// Fetch returns what is not cached; nil fails with ErrNotCached instead.
	Fetch Fetch
	// Temporary means that another worker owns the version, so that what is
	// fetched is kept for a short time only.
	Temporary bool
	// Copy means that a copy for readers on this node is assembled: see copies.go.
	Copy bool
	// Park, if not nil, is called when a fetch or a disk takes longer than 100 ms,
	// and the function that it returns once the reader need not wait any more. So a
	// caller that bounds the reads in progress need not count those that wait.
	// An error of either ends the read.
	Park func() (resume func(context.Context) error, err error)
}

// Source is where the first byte of a range comes from.
type Source string

// The sources.
const (
	FromCache Source = "cache"
	FromStore Source = "store"
)

// Reader returns one range of one version. It is not safe for concurrent use.
type Reader struct {
	store   *Store
	request Request
	hash    hash
	v       *version
	// offset of the next byte, and end of the range.
	offset, end int64
	claims      map[int64]claim
	source      Source
	fetched     int64

	// file is open while v.refs counts this reader. fileOf is its version.
	file   File
	fileOf *version
	chunk  *[]byte

	// ready are the bytes to return next. using is the block of owner that
	// holds them, nil if they are in chunk.
	ready []byte
	using *pending
	owner *version
}

type claim struct {
	v *version
	p *pending
}

// Read returns a Reader once its first bytes are cached or arriving. Errors of
// the fetch are returned wrapped. The caller must close the Reader.
func (s *Store) Read(ctx context.Context, request Request) (*Reader, error) {
	if err := request.Key.Validate(); err != nil {
		return nil, err
	}
	if request.Offset < 0 || request.Length <= 0 || request.Offset > request.Key.Size-request.Length {
		return nil, fmt.Errorf("%d bytes at offset %d of %d: %w", request.Length, request.Offset, request.Key.Size, ErrInvalidRange)
	}
	r := &Reader{
		store: s, request: request, hash: request.Key.hash(), claims: map[int64]claim{},
		offset: request.Offset, end: request.Offset + request.Length,
	}
	err := r.start(ctx)
	s.countRead(r, err)
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// Source returns where the first byte comes from.
func (r *Reader) Source() Source { return r.source }

// start blocks until the first bytes are available or begin to arrive.
func (r *Reader) start(ctx context.Context) error {
	for {
		p, err := r.plan()
		if err != nil {
			return err
		}
		if p == nil {
			again, err := r.fromDisk(ctx)
			if again && err == nil {
				continue
			}
			return err
		}
		err = r.await(ctx, p.flight.started)
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		r.store.unwant(p)
		if err == nil {
			err = p.err
		}
		return err
	}
}

// await blocks until the channel is closed or the context ends.
func (r *Reader) await(ctx context.Context, ch <-chan struct{}) error {
	select {
	case <-ch:
		return nil
	default:
	}
	soon := time.NewTimer(slowAfter)
	defer soon.Stop()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-soon.C:
	}
	r.releaseChunk() // Readers that are parked must not hold memory.
	resume, err := r.park()
	if err != nil {
		return err
	}
	select {
	case <-ch:
		return resume(ctx)
	case <-ctx.Done():
		_ = resume(ctx)
		return ctx.Err()
	}
}

func (r *Reader) park() (func(context.Context) error, error) {
	if r.request.Park == nil {
		return func(context.Context) error { return nil }, nil
	}
	return r.request.Park()
}

// releaseChunk returns the buffer of reads from disk. No bytes of it may be in
// ready.
func (r *Reader) releaseChunk() {
	if r.chunk != nil {
		r.store.chunks.Put(r.chunk)
		r.chunk = nil
	}
}

// unwant ends the wait for a block. The caller must hold s.mu.
func (s *Store) unwant(p *pending) {
	p.wanted--
	s.grant() // It may be dropped now.
}

// WriteTo writes the rest of the range. It stops at the first error of the
// store or the writer; what was written by then is a prefix of the range.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	return r.Copy(context.Background(), w)
}

// Copy is like WriteTo, and stops when the context ends.
func (r *Reader) Copy(ctx context.Context, w io.Writer) (int64, error) {
	var total int64
	for {
		b, err := r.next(ctx)
		if err == io.EOF { //nolint:errorlint // next returns it unwrapped.
			return total, nil
		}
		if err != nil {
			return total, err
		}
		for len(b) > 0 {
			n, err := w.Write(b[:min(len(b), chunkSize)])
			total += int64(n)
			if err != nil {
				return total, err
			}
			b = b[n:]
		}
	}
}

// next returns the next bytes, which are valid until the next call, or io.EOF
// at the end of the range.
func (r *Reader) next(ctx context.Context) ([]byte, error) {
	r.releaseBlock()
	for r.ready == nil {
		if r.offset >= r.end {
			return nil, io.EOF
		}
		p, err := r.plan()
		if err != nil {
			return nil, err
		}
		if p == nil {
			if _, err := r.fromDisk(ctx); err != nil {
				return nil, err
			}
			continue
		}
		err = r.await(ctx, r.store.arrival(p, r.offset))
		if err := r.fromMemory(p, err); err != nil {
			return nil, err
		}
	}
	b := r.ready
	r.ready = nil
	r.offset += int64(len(b))
	return b, nil
}

func (r *Reader) block() int64 { return r.offset / r.store.config.BlockSize }

// fromMemory makes the bytes of a block that have arrived the next ones, after the
// reader has waited for them. There may be none yet.
func (r *Reader) fromMemory(p *pending, waited error) error {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.unwant(p)
	c := r.claims[p.block]
	if err := errors.Join(waited, p.err); err != nil {
		return err
	}
	start, _ := blockRange(r.request.Key, s.config.BlockSize, p.block)
	if p.state == loading {
		if p.filled > r.offset-start {
			r.use(c.v, p, p.buf[r.offset-start:min(p.filled, r.end-start)])
		}
		return nil
	}
	delete(r.claims, p.block)
	if p.buf != nil {
		r.use(c.v, p, p.buf[r.offset-start:min(int64(len(p.buf)), r.end-start)])
	}
	s.unclaim(c.v, p)
	return nil
}

// use makes bytes of a block the next ones. The caller must hold Store.mu.
func (r *Reader) use(v *version, p *pending, bytes []byte) {
	p.users++
	r.using, r.owner, r.ready = p, v, bytes
	r.store.counts.MemoryBytes += int64(len(bytes))
}

// releaseBlock ends the use of the bytes that were returned last.
func (r *Reader) releaseBlock() {
	if r.using == nil {
		return
	}
	s := r.store
	s.mu.Lock()
	r.using.users--
	s.reap(r.owner, r.using)
	s.mu.Unlock()
	r.using, r.owner = nil, nil
}

// closeFile closes a file that was read. A disk that hangs may block this too.
func (s *Store) closeFile(t *tier, file File) {
	s.mu.Lock()
	hung := t.hung()
	s.mu.Unlock()
	if hung {
		t.disk.detach(func() { _ = file.Close() })
		return
	}
	_ = t.disk.do(file.Close, nil)
}

// closeFile drops the reader's reference to its file.
func (r *Reader) closeFile() {
	if file := r.file; file != nil {
		r.file = nil
		r.store.closeFile(r.fileOf.tier, file)
	}
	if v := r.fileOf; v != nil {
		r.fileOf = nil
		r.store.mu.Lock()
		r.store.release(v)
		r.store.mu.Unlock()
	}
}

// Close ends the reader's claims. It must be called once.
func (r *Reader) Close() error {
	r.releaseBlock()
	r.closeFile()
	r.releaseChunk()
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range r.claims {
		s.unclaim(c.v, c.p)
	}
	r.claims = nil
	return nil
}
