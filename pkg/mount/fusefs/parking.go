//go:build linux

package fusefs

import (
	"container/list"
	"context"
	"errors"
	"math/bits"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// parkAfter is the time after which a request that is still being processed is
// moved to a parked slot. It is longer than a read from a cache takes.
const parkAfter = 10 * time.Millisecond

// youngTime is the time for which a parked request holds memory as a young one. It
// is longer than the bytes of a read from a cache take to arrive.
const youngTime = 500 * time.Millisecond

// parkedMemory is the default of Config.ParkedMemory.
const parkedMemory = 64 << 20

// errParked ends an attempt that gives back its memory, because its request was
// parked when parked requests hold all memory that they may.
var errParked = errors.New("the request was parked")

// parking holds the parked slots of requests that wait for a slow source. A
// request in one occupies no loop, and no memory until its first byte arrives, so
// that any number of them leaves loops and memory to requests that can be served
// at once. It is safe for concurrent use.
type parking struct {
	// young and old each bound the bytes of buffers that some parked requests hold:
	// those that hold them for less than youngTime, and the others. Requests whose
	// bytes stop after the first ones fill old only, so that others have to wait for
	// memory for a short time only.
	young, old *pool

	mu sync.Mutex
	// free holds the empty parked slots. The last one is used first, so that few
	// pages of the file are ever written.
	free []*fusefd.Slot
	used int
}

// newParking returns the parking of a file of slots, and the parked slots in which
// a predecessor left a request.
func newParking(slots *fusefd.Slots, memory int64) (p *parking, live []*fusefd.Slot) {
	p = &parking{young: newPool(memory / 2), old: newPool(memory / 2)}
	for i := slots.ParkedLen() - 1; i >= 0; i-- {
		slot := slots.Parked(i)
		if slot.Request() != nil {
			live = append(live, slot)
			continue
		}
		p.free = append(p.free, slot)
	}
	p.used = len(live)
	return p, live
}

// pool bounds the bytes of buffers. Waiters are served in order.
type pool struct {
	*semaphore.Weighted
	limit int64
}

func newPool(limit int64) *pool { return &pool{semaphore.NewWeighted(limit), limit} }

// charge returns what a buffer is charged with.
func (p *pool) charge(buffer *[]byte) int64 { return min(int64(len(*buffer)), p.limit) }

// take returns an empty parked slot, or nil when there is none.
func (p *parking) take() *fusefd.Slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return nil
	}
	slot := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	p.used++
	return slot
}

// put returns an empty slot.
func (p *parking) put(slot *fusefd.Slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, slot)
	p.used--
}

// inUse returns the number of parked requests.
func (p *parking) inUse() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// service is the processing of one request, in a slot or parked. Its methods are
// safe for concurrent use.
type service struct {
	server *Server
	// started is the time at which it was added to the watchdog, and watched its
	// element there; the watchdog's lock guards them.
	started time.Time
	watched *list.Element
	// retry parks the request when there was no parked slot, survival records that the
	// server has survived it.
	retry, survival *time.Timer

	mu     sync.Mutex
	slot   *fusefd.Slot
	parked bool
	// full is set when there was no parked slot.
	full bool
	done bool
	// buffer is the memory that the request holds, charged is the part of it that
	// is charged to a pool.
	buffer  *[]byte
	charged int64
	pool    *pool
	// slow is set when the request has to wait for memory of the old ones. aging
	// makes a request an old one.
	slow  bool
	aging *time.Timer
	// giveUp ends the attempt in progress; nil when it has no memory.
	giveUp context.CancelCauseFunc
}

// startService starts to process the request in a slot, which is parked when it
// takes long.
func (s *Server) startService(slot *fusefd.Slot, parked bool) *service {
	v := &service{server: s, slot: slot, parked: parked}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !parked && s.attachment.Slots.ParkedLen() > 0 {
		s.watchdog.add(v)
	}
	if slot.Deaths() > 0 {
		v.survival = time.AfterFunc(v.server.config.waits.suspect, v.survived)
	}
	return v
}

// survived records that the request did not end the server within suspectTime.
func (v *service) survived() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.done {
		v.slot.Survived()
	}
}

// park moves the request to a parked slot and starts a loop for the slot that it
// leaves. When there is no parked slot, it tries again later.
func (v *service) park() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.done || v.parked {
		return
	}
	parking := v.server.parking
	to := parking.take()
	if to == nil {
		if !v.full {
			v.server.metrics.parkingFull.Inc()
		}
		v.full = true
		v.retry = time.AfterFunc(10*v.server.config.ParkAfter, v.park)
		return
	}
	from := v.slot
	if !from.MoveTo(to) {
		parking.put(to)
		return
	}
	v.slot, v.parked = to, true
	if v.buffer != nil {
		if size := parking.young.charge(v.buffer); parking.young.TryAcquire(size) {
			v.charge(parking.young, size)
		} else {
			v.giveBack()
		}
	}
	v.server.startLoop(from)
}

// charge records what the request is charged with. The caller must hold the lock.
func (v *service) charge(p *pool, size int64) {
	v.pool, v.charged = p, size
	if p == v.server.parking.young {
		v.aging = time.AfterFunc(youngTime, v.age)
	}
}

// age makes the request an old one, or gives back its memory when the old ones hold
// all that they may.
func (v *service) age() {
	v.mu.Lock()
	defer v.mu.Unlock()
	parking := v.server.parking
	if v.done || v.charged == 0 || v.pool != parking.young {
		return
	}
	if parking.old.TryAcquire(v.charged) {
		parking.young.Release(v.charged)
		v.pool = parking.old
		return
	}
	v.slow = true
	v.giveBack()
}

// giveBack ends the attempt in progress, which then gives back its memory. The
// caller must hold the lock.
func (v *service) giveBack() {
	if v.giveUp != nil && !mutantKeepMemory {
		v.giveUp(errParked)
	}
}

// finish ends the processing, and returns the slot that holds the request. It
// reports whether that is a parked one.
func (v *service) finish() (slot *fusefd.Slot, parked bool) {
	v.server.watchdog.remove(v)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done = true
	for _, timer := range []*time.Timer{v.retry, v.survival} {
		if timer != nil {
			timer.Stop()
		}
	}
	return v.slot, v.parked
}

// attempt returns the context of an attempt to read, and its memory of n bytes: a
// function that returns it when the first byte has arrived. A parked request waits
// for memory until others have given it back.
func (v *service) attempt(ctx context.Context, n int) (context.Context, func(context.Context) ([]byte, error)) {
	ctx, cancel := context.WithCancelCause(ctx)
	v.mu.Lock()
	v.giveUp = cancel
	v.mu.Unlock()
	return ctx, func(ctx context.Context) ([]byte, error) {
		buffer := v.server.buffers.get(n)
		v.mu.Lock()
		parked, p := v.parked, v.server.parking.young
		if v.slow {
			p = v.server.parking.old
		}
		if !parked {
			v.buffer = buffer
		}
		v.mu.Unlock()
		if parked {
			size := p.charge(buffer)
			if err := p.Acquire(ctx, size); err != nil {
				v.server.buffers.put(buffer)
				return nil, context.Cause(ctx)
			}
			v.mu.Lock()
			v.buffer = buffer
			v.charge(p, size)
			v.mu.Unlock()
		}
		return (*buffer)[outHeaderSize : outHeaderSize+n], nil
	}
}

// free gives back the memory of the last attempt.
func (v *service) free() {
	v.mu.Lock()
	buffer, charged, p, cancel := v.buffer, v.charged, v.pool, v.giveUp
	v.buffer, v.charged, v.pool, v.giveUp = nil, 0, nil, nil
	if v.aging != nil {
		v.aging.Stop()
	}
	v.mu.Unlock()
	if cancel != nil {
		cancel(nil)
	}
	if charged > 0 {
		p.Release(charged)
	}
	if buffer != nil {
		v.server.buffers.put(buffer)
	}
}

// buffers holds free buffers for replies to reads: space for the header, then for
// the data. The index of a pool is the logarithm of the data's size. It is safe for
// concurrent use.
type buffers [32]sync.Pool

// get returns a buffer for a header and at least n bytes, n > 0.
func (b *buffers) get(n int) *[]byte {
	class := bits.Len(uint(n - 1))
	if buffer, ok := b[class].Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, outHeaderSize+(1<<class))
	return &buffer
}

// put returns a buffer from get.
func (b *buffers) put(buffer *[]byte) { b[bits.Len(uint(len(*buffer)-outHeaderSize-1))].Put(buffer) }
