package blockstore

import (
	"context"
	"fmt"
	"io"
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
			again, err := r.fromDisk()
			if again {
				continue
			}
			return err
		}
		select {
		case <-p.flight.started:
		case <-ctx.Done():
			return ctx.Err()
		}
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		return p.err
	}
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
			if _, err := r.fromDisk(); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := r.fromMemory(p); err != nil {
			return nil, err
		}
	}
	b := r.ready
	r.ready = nil
	r.offset += int64(len(b))
	return b, nil
}

func (r *Reader) block() int64 { return r.offset / r.store.config.BlockSize }

// plan decides where the next block comes from. It returns a pending block that
// this reader has claimed, or nil for the disk. It starts to fetch missing
// blocks, up to one run ahead.
func (r *Reader) plan() (*pending, error) {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	first := r.block()
	if c, ok := r.claims[first]; ok {
		if c.p.state != stored || c.p.buf != nil {
			r.ahead(first)
			return c.p, nil
		}
		// It was written to disk and freed since.
		delete(r.claims, first)
		s.unclaim(c.v, c.p)
	}
	r.v = s.lookup(r.request.Key, r.hash)
	r.v.touch(s.config.Now())
	if r.v.temporary && !r.request.Temporary {
		s.makePermanent(r.v)
	}
	r.ahead(first)
	if c, ok := r.claims[first]; ok {
		return c.p, nil
	}
	if r.v.readable(first) {
		r.from(FromCache)
		return nil, nil
	}
	s.settle(r.v)
	return nil, fmt.Errorf("block %d: %w", first, ErrNotCached)
}

func (r *Reader) from(source Source) {
	if r.source == "" {
		r.source = source
	}
}

// ahead claims pending blocks and fetches missing ones, from block first up to
// one run. The caller must hold s.mu.
func (r *Reader) ahead(first int64) {
	s, v := r.store, r.v
	size := s.config.BlockSize
	run := s.config.MaxRun / size
	last := (r.end - 1) / size
	for b := first; b <= last && b < first+run; b++ {
		if r.claimed(b) || v.readable(b) {
			continue
		}
		if p := v.pending[b]; p != nil && p.state != stored {
			if b == first {
				r.from(FromCache)
			}
			p.claim()
			r.claims[b] = claim{v, p}
			continue
		}
		if r.request.Fetch == nil || v.removed {
			return
		}
		end := b + 1
		for end <= last && end < b+run && !v.readable(end) && v.pending[end] == nil && !r.claimed(end) {
			end++
		}
		// A short run is requested later, together with the blocks after it.
		if b > first && end == b+run-1 {
			return
		}
		if b == first {
			r.from(FromStore)
		}
		for _, p := range s.launch(v, b, end, &r.request).pendings {
			p.claim()
			r.claims[p.block] = claim{v, p}
		}
		r.fetched += end - b
		b = end - 1
	}
}

func (r *Reader) claimed(block int64) bool {
	_, ok := r.claims[block]
	return ok
}

// fromMemory makes the bytes of a complete block the next ones.
func (r *Reader) fromMemory(p *pending) error {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	c := r.claims[p.block]
	if p.err != nil {
		return p.err
	}
	delete(r.claims, p.block)
	if p.buf != nil {
		p.users++
		r.using, r.owner = p, c.v
		start, _ := blockRange(r.request.Key, s.config.BlockSize, p.block)
		r.ready = p.buf[r.offset-start : min(int64(len(p.buf)), r.end-start)]
		s.counts.MemoryBytes += int64(len(r.ready))
	}
	s.unclaim(c.v, p)
	return nil
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

// closeFile drops the reader's reference to its file. The caller must hold s.mu.
func (r *Reader) closeFile() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
	if r.fileOf != nil {
		r.store.release(r.fileOf)
		r.fileOf = nil
	}
}

// Close ends the reader's claims. It must be called once.
func (r *Reader) Close() error {
	r.releaseBlock()
	s := r.store
	if r.chunk != nil {
		s.chunks.Put(r.chunk)
		r.chunk = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.closeFile()
	for _, c := range r.claims {
		s.unclaim(c.v, c.p)
	}
	r.claims = nil
	return nil
}
