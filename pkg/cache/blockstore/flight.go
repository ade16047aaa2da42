package blockstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Fetch reads length bytes at offset of exactly the requested version. The body
// must return an error if it ends early; Fetch is then called again for the
// missing bytes.
type Fetch func(ctx context.Context, offset, length int64) (io.ReadCloser, error)

// bodyRetries bounds the retries of a body that ended without a complete block.
const bodyRetries = 2

// flight is one download of a run of blocks that were neither on disk nor
// pending. Readers claim the blocks they need; a claimed block stays in memory
// until the claim ends, unless it is on disk by then. No reader owns the
// flight: it continues when the reader that started it leaves, and is cancelled
// when all of them left before the object store responded.
type flight struct {
	store     *Store
	version   *version
	fetch     Fetch
	temporary bool
	pendings  []*pending
	ctx       context.Context
	cancel    context.CancelFunc
	// started is closed when the bytes begin to arrive or the flight failed.
	started chan struct{}

	// Guarded by Store.mu.
	claims    int
	streaming bool
	// waits is set while it waits for memory.
	waits bool
}

// launch makes blocks first to end-1 pending and starts to fetch them. The
// caller must hold s.mu.
func (s *Store) launch(v *version, first, end int64, request *Request) *flight {
	f := &flight{
		store: s, version: v, fetch: request.Fetch, temporary: request.Temporary,
		started: make(chan struct{}),
	}
	f.ctx, f.cancel = context.WithCancel(s.ctx)
	for b := first; b < end; b++ {
		p := &pending{block: b, flight: f}
		f.pendings = append(f.pendings, p)
		v.pending[b] = p
	}
	if v.tier != nil {
		v.tier.evict.relist(v)
	}
	s.counts.Fetches++
	s.spawn(f.run)
	return f
}

func (f *flight) run() {
	defer f.cancel()
	rest := f.pendings
	for tries := 0; ; tries++ {
		n, started, err := f.attempt(rest)
		rest = rest[n:]
		if len(rest) == 0 {
			return
		}
		if n > 0 {
			tries = 0
		}
		if !started || tries >= bodyRetries || !f.pause(tries) {
			f.fail(rest, err)
			return
		}
	}
}

func (f *flight) bytes(blocks []*pending) int64 {
	var n int64
	for _, p := range blocks {
		_, length := blockRange(f.version.key, f.store.config.BlockSize, p.block)
		n += length
	}
	return n
}

// pause waits before another attempt. It returns false if the flight was
// cancelled.
func (f *flight) pause(tries int) bool {
	timer := time.NewTimer(50 * time.Millisecond << tries)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}

// attempt fetches blocks with one request. It returns the number of complete
// blocks, and whether the fetch returned a body.
func (f *flight) attempt(blocks []*pending) (int, bool, error) {
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	stall := f.store.config.StallTimeout
	timer := time.AfterFunc(stall, func() { cancel(fmt.Errorf("no byte for %s: %w", stall, context.DeadlineExceeded)) })
	defer timer.Stop()
	explain := func(err error) error {
		if cause := context.Cause(ctx); cause != nil {
			return fmt.Errorf("%w (%w)", cause, err)
		}
		return err
	}
	offset, _ := blockRange(f.version.key, f.store.config.BlockSize, blocks[0].block)
	kept := blocks[0].filled
	body, err := f.fetch(ctx, offset+kept, f.bytes(blocks)-kept)
	if err != nil {
		return 0, false, explain(err)
	}
	defer func() { _ = body.Close() }()
	f.begin()
	in := bufio.NewReader(readerFunc(func(p []byte) (int, error) {
		n, err := body.Read(p)
		if n > 0 {
			timer.Reset(stall)
		}
		return n, err
	}))
	for i, p := range blocks {
		// Memory and quota are taken for bytes that arrive, not for a store that
		// hangs.
		if _, err := in.Peek(1); err != nil {
			return i, true, explain(fmt.Errorf("read block %d: %w", p.block, unexpected(err)))
		}
		timer.Stop()
		if err := f.room(p); err != nil {
			return i, true, explain(err)
		}
		timer.Reset(stall)
		if err := f.receive(in, p); err != nil {
			return i, true, explain(fmt.Errorf("read block %d: %w", p.block, unexpected(err)))
		}
		f.deliver(p)
	}
	return len(blocks), true, nil
}

// unexpected returns the error of a body that ended early.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// room reserves space on the disk for a block, if there is some, and gives it a
// buffer, unless it kept one from an earlier attempt.
func (f *flight) room(p *pending) error {
	s := f.store
	if p.buf != nil {
		return nil
	}
	_, length := blockRange(f.version.key, s.config.BlockSize, p.block)
	s.mu.Lock()
	f.waits = true
	if f.claims == 0 && s.memory.scarce(length) {
		f.abandon()
	}
	s.mu.Unlock()
	err := s.acquire(f.ctx, f.version.key.Mount, length)
	s.mu.Lock()
	f.waits = false
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.reserve(f.version, p, f.temporary)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.buf = s.memory.buffer(length)
	return nil
}

// abandon cancels a flight that no reader needs. No reader may join it any more.
// The caller must hold Store.mu.
func (f *flight) abandon() {
	f.cancel()
	for _, p := range f.pendings {
		if f.version.pending[p.block] == p && p.state == loading {
			delete(f.version.pending, p.block)
		}
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// begin wakes the readers that wait for the bytes to arrive.
func (f *flight) begin() {
	s := f.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.streaming {
		return
	}
	f.streaming = true
	s.markCurrent(f.version)
	close(f.started)
}

// deliver hands a complete block to its readers and to the disk.
func (f *flight) deliver(p *pending) {
	s, v := f.store, f.version
	s.mu.Lock()
	defer s.mu.Unlock()
	size := int64(len(p.buf))
	s.counts.FetchedBytes += size
	s.memory.complete(v.key.Mount, size)
	room := p.reserved > 0 && s.writersOf(v).dirtyBytes+size <= v.tier.dirtyLimit
	mine := v.pending[p.block] == p // false if the flight was cancelled; another may fetch the block
	p.old = !mine
	if room && mine && !v.removed && v.tier.writable() {
		p.state = dirty
		s.enqueue(v, p)
	} else {
		if p.reserved > 0 && !room {
			s.counts.Skipped++
		}
		p.state = uncached
		s.unreserve(v, p)
	}
	p.wake()
	s.reap(v, p)
	s.grant()
}

// fail ends the blocks that were not fetched.
func (f *flight) fail(blocks []*pending, err error) {
	s, v := f.store, f.version
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Failed++
	for _, p := range blocks {
		p.err, p.state = err, failed
		s.unreserve(v, p)
		if v.pending[p.block] == p {
			delete(v.pending, p.block)
		}
		if p.buf != nil {
			// Its memory is free once no reader uses what has arrived.
			s.memory.complete(v.key.Mount, int64(len(p.buf)))
			s.reap(v, p)
		}
		p.wake()
	}
	s.grant()
	if !f.streaming {
		f.streaming = true
		close(f.started)
	}
	s.settle(v)
}

// claim registers a reader of a block. The caller must hold s.mu.
func (p *pending) claim() {
	p.claims++
	p.flight.claims++
}

// unclaim ends a claim. The caller must hold s.mu.
func (s *Store) unclaim(v *version, p *pending) {
	p.claims--
	p.flight.claims--
	if f := p.flight; f.claims == 0 && (!f.streaming || f.waits) {
		f.abandon()
	}
	s.reap(v, p)
}

// reap frees the memory of a block that is not needed any more. The caller must
// hold s.mu.
func (s *Store) reap(v *version, p *pending) {
	if p.buf == nil || p.users > 0 || p.state == dirty || p.state == loading {
		return
	}
	if p.state == uncached && p.claims > 0 {
		s.hold(v, p)
		s.grant()
		return
	}
	if p.state == uncached && !p.old {
		s.linger(v, p)
		s.grant()
		return
	}
	s.freeBlock(v, p)
	s.settle(v)
	s.grant()
}
