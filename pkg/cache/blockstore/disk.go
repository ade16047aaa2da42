package blockstore

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// errHung: the disk did not answer in time. The operation may still end later.
var errHung = errors.New("the disk does not answer")

// guard runs operations on a disk that may hang: each in a goroutine of its
// own, so that a caller waits at most the timeout.
type guard struct {
	timeout time.Duration
	// slots bound how many operations may hang at once.
	slots chan struct{}
}

func newGuard(timeout time.Duration, parallel int) *guard {
	return &guard{timeout: timeout, slots: make(chan struct{}, parallel)}
}

// do runs f. When it answers errHung, f goes on and owns what it uses, and
// late, unless nil, runs after it (or after f was not even started).
func (g *guard) do(f func() error, late func()) error {
	timer := time.NewTimer(g.timeout)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
	case <-timer.C:
		if late != nil {
			late()
		}
		return fmt.Errorf("%d operations are under way: %w", cap(g.slots), errHung)
	}
	done := make(chan error, 1)
	var over atomic.Bool // set by whoever comes first: f's end, or the timeout
	go func() {
		err := f()
		<-g.slots
		if !over.CompareAndSwap(false, true) && late != nil {
			late()
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		if !over.CompareAndSwap(false, true) {
			return <-done
		}
		return fmt.Errorf("no answer for %s: %w", g.timeout, errHung)
	}
}

// condition of a tier's disk.
type condition struct {
	// reason why the tier takes nothing new; nil when healthy.
	reason error
	since  time.Time
	// unreadable: nor is it read, because reads hang.
	unreadable bool
}

// full tells errors that room would mend.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, errFloor)
}

// errFloor: less is free on the file system than must stay free.
var errFloor = errors.New("too little free space on the file system")
