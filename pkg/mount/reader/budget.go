package reader

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// budget is the memory that bytes read ahead may take, over all handles. It
// gives what is free at once, or refuses: nobody ever waits for it.
type budget struct {
	limit int64
	used  atomic.Int64
	// pools of buffers by the power of two that is their size.
	pools [40]sync.Pool
}

func newBudget(limit int64) *budget { return &budget{limit: limit} }

// take a buffer of n bytes; nil when there is no room for it. A buffer takes
// the next power of two.
func (b *budget) take(n int64) []byte {
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

// tight: little is left, so that nobody should want more than he has.
func (b *budget) tight() bool { return b.used.Load() > b.limit/4*3 }

// give back a buffer that take gave.
func (b *budget) give(buf []byte) {
	buf = buf[:cap(buf)]
	b.pools[bits.Len64(uint64(len(buf)-1))].Put(&buf)
	b.used.Add(-int64(len(buf)))
}
