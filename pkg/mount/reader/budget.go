package reader

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// budget bounds the read-ahead memory of all handles. It never blocks: a request
// succeeds immediately or is refused. It is safe for concurrent use.
type budget struct {
	limit int64
	used  atomic.Int64
	// pools holds free buffers; the index is the logarithm of their size.
	pools [40]sync.Pool
}

func newBudget(limit int64) *budget { return &budget{limit: limit} }

// get returns a buffer of n bytes, or nil when the budget does not allow it. A
// buffer is charged with the next power of two.
func (b *budget) get(n int64) []byte {
	if n <= 0 || n > b.limit {
		return nil
	}
	class := bits.Len64(uint64(n - 1))
	size := int64(1) << class
	if b.used.Add(size) > b.limit {
		b.used.Add(-size)
		return nil
	}
	if buf, ok := b.pools[class].Get().(*[]byte); ok {
		return (*buf)[:n]
	}
	return make([]byte, size)[:n]
}

// has reports whether get would return a buffer of n bytes now.
func (b *budget) has(n int64) bool {
	return n > 0 && n <= b.limit && b.used.Load()+int64(1)<<bits.Len64(uint64(n-1)) <= b.limit
}

// tight reports whether more than three quarters are in use; windows must not
// grow then.
func (b *budget) tight() bool { return b.used.Load() > b.limit/4*3 }

// put returns a buffer from get.
func (b *budget) put(buf []byte) {
	buf = buf[:cap(buf)]
	b.pools[bits.Len64(uint64(len(buf)-1))].Put(&buf)
	b.used.Add(-int64(len(buf)))
}
