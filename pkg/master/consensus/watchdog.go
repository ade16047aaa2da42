package consensus

import (
	"sync"
	"time"
)

// watchdogSlices is the number of slices in which a watchdog waits.
const watchdogSlices = 10

// watchdog calls expire unless it is stopped in time. It waits in slices, so
// that a pause of the whole process, during which no disk could have responded,
// counts as one slice at most.
type watchdog struct {
	expire func()
	slice  time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	left    int
	stopped bool
	expired bool
}

func startWatchdog(limit time.Duration, expire func()) *watchdog {
	w := &watchdog{expire: expire, slice: limit / watchdogSlices, left: watchdogSlices}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.slice, w.tick)
	return w
}

func (w *watchdog) tick() {
	w.mu.Lock()
	if w.stopped {
		w.mu.Unlock()
		return
	}
	w.left--
	if w.left > 0 {
		w.timer.Reset(w.slice)
		w.mu.Unlock()
		return
	}
	w.expired = true
	w.mu.Unlock()
	w.expire()
}

// stop returns false when expire was called, or is about to be.
func (w *watchdog) stop() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
	return !w.expired
}
