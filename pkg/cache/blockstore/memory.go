package blockstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// minBlocks is the least size of the memory, in blocks.
const minBlocks = 4

// dropAfter is how long a download waits for memory before blocks that other
// readers need later are dropped for it, although memory may become free.
const dropAfter = 100 * time.Millisecond

// memory is the byte budget of blocks that are not, or not yet, on disk. It is
// granted one block at a time, in the order of the requests. Store.mu guards it.
//
// No set of readers can wait for one another: a block in memory is on its way to
// the disk, or being sent to a reader, or needed next by a reader that waits for
// it, and then it is freed without more memory; or a reader needs it later, and
// then it is dropped when a download cannot get memory otherwise. That reader
// fetches it again.
//
// The lanes divide the budget: the blocks that one mount is loading take at most
// half of what the blocks that other mounts are loading leave of it, so that a
// store that hangs in the middle of its responses leaves memory for the others.
// Blocks read from disk need none.
type memory struct {
	size, block int64
	// lanes is the part of size that does not wait for a disk.
	lanes int64
	free  int64
	// loading are the bytes granted to incomplete blocks, by mount; loadingAll is
	// their sum.
	loading    map[string]int64
	loadingAll int64
	queue      []*memoryWait
	granting   bool
	blocks     sync.Pool
}

// memoryWait is one download that waits for the memory of a block.
type memoryWait struct {
	mount string
	n     int64
	// ready is closed when the memory is granted.
	ready   chan struct{}
	granted bool
	// late is set after dropAfter.
	late bool
}

func newMemory(config Config) *memory {
	m := &memory{
		size: config.Memory, block: config.BlockSize, free: config.Memory, loading: map[string]int64{},
		lanes: config.Memory - config.Dirty*int64(len(config.Tiers)),
	}
	m.blocks.New = func() any { b := make([]byte, config.BlockSize); return &b }
	return m
}

// admits reports whether the lane of a mount admits n more bytes.
func (m *memory) admits(mount string, n int64) bool {
	if m.loading[mount] == 0 {
		return true
	}
	return m.loading[mount]+n <= m.lanes-m.loadingAll
}

// complete ends the loading of n bytes, which stay granted.
func (m *memory) complete(mount string, n int64) {
	m.loadingAll -= n
	if m.loading[mount] -= n; m.loading[mount] <= 0 {
		delete(m.loading, mount)
	}
}

// scarce reports whether a run of blocks does not fit at once.
func (m *memory) scarce(run int64) bool { return len(m.queue) > 0 || m.free < run }

// buffer returns a buffer of n bytes, which must have been granted.
func (m *memory) buffer(n int64) []byte {
	if n <= m.block/2 {
		return make([]byte, n)
	}
	return (*m.blocks.Get().(*[]byte))[:n]
}

// recycle returns a buffer; its bytes stay granted.
func (m *memory) recycle(b []byte) {
	if int64(cap(b)) == m.block {
		b = b[:cap(b)]
		m.blocks.Put(&b)
	}
}

// acquire blocks until the memory of one block is granted. It fails when the
// context ends, or after the StallTimeout.
func (s *Store) acquire(ctx context.Context, mount string, n int64) error {
	w := &memoryWait{mount: mount, n: n, ready: make(chan struct{})}
	s.mu.Lock()
	s.memory.queue = append(s.memory.queue, w)
	s.grant()
	granted := w.granted
	s.mu.Unlock()
	if granted {
		return nil
	}
	late, stall := time.NewTimer(dropAfter), time.NewTimer(s.config.StallTimeout)
	defer late.Stop()
	defer stall.Stop()
	for {
		var err error
		select {
		case <-w.ready:
			return nil
		case <-late.C:
			s.mu.Lock()
			w.late = true
			s.grant()
			s.mu.Unlock()
			late.Reset(dropAfter)
			continue
		case <-ctx.Done():
			err = ctx.Err()
		case <-stall.C:
			err = fmt.Errorf("no block became free within %s: %w", s.config.StallTimeout, context.DeadlineExceeded)
		}
		s.leave(w)
		return fmt.Errorf("wait for memory: %w", err)
	}
}

// leave takes a download out of the queue, or returns what it was granted.
func (s *Store) leave(w *memoryWait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.granted {
		s.memory.complete(w.mount, w.n)
		s.memory.free += w.n
	} else {
		s.memory.queue = slices.DeleteFunc(s.memory.queue, func(other *memoryWait) bool { return other == w })
	}
	s.grant()
}

// grant grants memory to the downloads that wait, in their order, except those
// whose lane is full. The caller must hold s.mu.
func (s *Store) grant() {
	m := s.memory
	if m.granting || len(m.queue) == 0 {
		return
	}
	m.granting = true // Freeing blocks calls grant again.
	defer func() { m.granting = false }()
	full := map[string]bool{}
	rest := m.queue[:0]
	for i, w := range m.queue {
		if full[w.mount] || !m.admits(w.mount, w.n) {
			full[w.mount] = true
			rest = append(rest, w)
			continue
		}
		if m.free < w.n && !s.reclaim(w) {
			rest = append(rest, m.queue[i:]...)
			break
		}
		m.free -= w.n
		m.loading[w.mount] += w.n
		m.loadingAll += w.n
		w.granted = true
		close(w.ready)
	}
	clear(m.queue[len(rest):])
	m.queue = rest
}

// reclaim frees memory for one download: first blocks that no reader needs, then
// blocks that readers need later. It reports whether the memory is free. The
// caller must hold s.mu.
func (s *Store) reclaim(w *memoryWait) bool {
	for s.memory.free < w.n && len(s.recent) > 0 {
		s.dropOldest()
	}
	if s.memory.free >= w.n {
		return true
	}
	if mutantHoldAndWait || !w.late && s.progresses() {
		return false
	}
	kept := s.held[:0]
	for _, h := range s.held {
		switch {
		case h.p.buf == nil:
			h.p.held = false
		case s.memory.free >= w.n || h.p.wanted > 0 || h.p.users > 0:
			kept = append(kept, h)
		default:
			h.p.held = false
			s.drop(h.v, h.p)
		}
	}
	clear(s.held[len(kept):])
	s.held = kept
	return s.memory.free >= w.n
}

// progresses reports whether a block will be freed or completed without more
// memory. The caller must hold s.mu.
func (s *Store) progresses() bool {
	if s.memory.loadingAll > 0 {
		return true
	}
	for _, t := range s.tiers {
		if t.dirtyBytes > 0 && !t.hung() {
			return true
		}
	}
	for _, h := range s.held {
		if h.p.buf != nil && (h.p.wanted > 0 || h.p.users > 0) {
			return true
		}
	}
	return false
}

// heldBlock is a complete block that will not reach a disk and that readers
// need later.
type heldBlock struct {
	v *version
	p *pending
}

// hold records a block that may be dropped. The caller must hold s.mu.
func (s *Store) hold(v *version, p *pending) {
	if p.held {
		return
	}
	p.held = true
	s.held = append(s.held, heldBlock{v, p})
	if len(s.held) > 64 && int64(len(s.held)) > 4*s.memory.size/s.memory.block {
		s.held = slices.DeleteFunc(s.held, func(h heldBlock) bool {
			h.p.held = h.p.buf != nil
			return !h.p.held
		})
	}
}

// drop gives up a block that readers need later. The caller must hold s.mu.
func (s *Store) drop(v *version, p *pending) {
	s.counts.Dropped++
	p.state = dropped
	s.freeBlock(v, p)
	s.settle(v)
}

// freeBlock returns the memory of a block. The caller must hold s.mu.
func (s *Store) freeBlock(v *version, p *pending) {
	s.memory.free += int64(len(p.buf))
	s.memory.recycle(p.buf)
	p.buf = nil
	if v.pending[p.block] == p {
		delete(v.pending, p.block)
	}
}
