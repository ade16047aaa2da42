package blockstore

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// errHung means that a disk operation did not return in time. It may still
// complete later.
var errHung = errors.New("the disk does not respond")

// diskTimeout runs operations on a disk that may hang. Each runs in a goroutine
// of its own, so that the caller waits at most the timeout.
type diskTimeout struct {
	// timeout is a time.Duration. It does not change, except in tests.
	timeout atomic.Int64
	// slots bound the number of operations that may hang at the same time.
	slots chan struct{}
	// overdue counts the operations that outlasted the timeout and still run.
	overdue atomic.Int64
}

func newDiskTimeout(timeout time.Duration, parallel int) *diskTimeout {
	g := &diskTimeout{slots: make(chan struct{}, parallel)}
	g.timeout.Store(int64(timeout))
	return g
}

func (g *diskTimeout) limit() time.Duration { return time.Duration(g.timeout.Load()) }

// do runs f. If it returns errHung, f may still be running and owns what it
// uses; late, unless nil, is called after f, or immediately if f was not started.
func (g *diskTimeout) do(f func() error, late func()) error {
	return g.doSlow(f, late, func() {})
}

// slowAfter is the time after which doSlow calls slow, and readers are parked.
const slowAfter = 100 * time.Millisecond

// doSlow is like do, and calls slow once if f takes long.
func (g *diskTimeout) doSlow(f func() error, late, slow func()) error {
	timeout := g.limit()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	early := time.NewTimer(min(slowAfter, timeout/2))
	defer early.Stop()
	for started := false; !started; {
		select {
		case g.slots <- struct{}{}:
			started = true
		case <-early.C:
			slow()
			slow = func() {}
		case <-timer.C:
			if late != nil {
				late()
			}
			return fmt.Errorf("%d operations are in progress: %w", cap(g.slots), errHung)
		}
	}
	done := make(chan error, 1)
	var over atomic.Bool // set by the first of the end of f and the timeout
	go func() {
		err := f()
		<-g.slots
		if !over.CompareAndSwap(false, true) {
			if late != nil {
				late()
			}
			g.overdue.Add(-1)
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			return err
		case <-early.C:
			slow()
		case <-timer.C:
			if !over.CompareAndSwap(false, true) {
				return <-done
			}
			g.overdue.Add(1)
			return fmt.Errorf("no result within %s: %w", timeout, errHung)
		}
	}
}

// detach runs f and does not wait for it.
func (g *diskTimeout) detach(f func()) {
	g.overdue.Add(1)
	go func() {
		f()
		g.overdue.Add(-1)
	}()
}

// condition is the state of a tier's disk.
type condition struct {
	// reason why the tier stores nothing new; nil if healthy.
	reason error
	since  time.Time
	// unreadable is set if reads hang, so that the tier is not read either.
	unreadable bool
}

// outOfSpace reports whether free space would resolve the error.
func outOfSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, errFloor)
}

// errFloor means that less is free on the file system than must stay free.
var errFloor = errors.New("too little free space on the file system")
