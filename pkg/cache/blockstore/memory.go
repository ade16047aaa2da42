package blockstore

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// memory is the byte budget of blocks that are not, or not yet, on disk.
type memory struct {
	budget *semaphore.Weighted
	size   int64
	blocks sync.Pool
	block  int64
}

func newMemory(size, block int64) *memory {
	m := &memory{budget: semaphore.NewWeighted(size), size: size, block: block}
	m.blocks.New = func() any { b := make([]byte, block); return &b }
	return m
}

// acquire blocks until n bytes are available.
func (m *memory) acquire(ctx context.Context, n int64) error { return m.budget.Acquire(ctx, n) }

// release returns acquired bytes that never became a buffer.
func (m *memory) release(n int64) { m.budget.Release(n) }

// buffer returns a buffer of n bytes, which must have been acquired.
func (m *memory) buffer(n int64) []byte {
	if n <= m.block/2 {
		return make([]byte, n)
	}
	return (*m.blocks.Get().(*[]byte))[:n]
}

// free returns a buffer and its bytes to the budget.
func (m *memory) free(b []byte) {
	m.budget.Release(int64(len(b)))
	m.recycle(b)
}

// recycle returns a buffer; its bytes stay acquired.
func (m *memory) recycle(b []byte) {
	if int64(cap(b)) == m.block {
		b = b[:cap(b)]
		m.blocks.Put(&b)
	}
}
