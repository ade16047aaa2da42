//go:build linux

package fusefs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// requests are those that may take long: they have a deadline, end when their
// process is killed, and can be left to a successor.
//
// An interrupt alone ends nothing. Any signal interrupts, also those that
// runtimes send themselves all the time, and an application does not expect a
// read of a file to fail with EINTR.
type requests struct {
	base      context.Context
	cancelAll context.CancelCauseFunc
	timeout   time.Duration
	// killed says whether a thread is being killed.
	killed func(thread uint32) bool

	mu   sync.Mutex
	live map[uint64]*request
	// interrupted are requests that were interrupted.
	interrupted map[uint64]*request
}

type request struct {
	thread uint32
	cancel context.CancelCauseFunc
}

// newRequests ends requests after a time; 0 means never.
func newRequests(timeout time.Duration) *requests {
	r := &requests{timeout: timeout, killed: isBeingKilled, live: map[uint64]*request{}, interrupted: map[uint64]*request{}}
	r.base, r.cancelAll = context.WithCancelCause(context.Background())
	return r
}

// begin answers the context of a request; done must be called at its end.
func (r *requests) begin(unique uint64, thread uint32) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(r.base)
	stop := func() {}
	if r.timeout > 0 {
		err := fmt.Errorf("no answer within %s: %w", r.timeout, context.DeadlineExceeded)
		ctx, stop = context.WithTimeoutCause(ctx, r.timeout, err)
	}
	r.mu.Lock()
	r.live[unique] = &request{thread: thread, cancel: cancel}
	r.mu.Unlock()
	return ctx, func() {
		r.mu.Lock()
		delete(r.live, unique)
		delete(r.interrupted, unique)
		r.mu.Unlock()
		stop()
		cancel(context.Canceled)
	}
}

// interrupt notes that a request's process got a signal.
func (r *requests) interrupt(unique uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := r.live[unique]; q != nil {
		r.interrupted[unique] = q
	}
}

// killInterval is how often interrupted requests are looked at.
const killInterval = 250 * time.Millisecond

// watch ends interrupted requests whose process turns out to be killed. The
// kernel tells of the first signal only, which need not be the last.
func (r *requests) watch(ctx context.Context) {
	tick := time.NewTicker(killInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.mu.Lock()
			for _, q := range r.interrupted {
				if r.killed(q.thread) {
					q.cancel(errKilled)
				}
			}
			r.mu.Unlock()
		}
	}
}

// isBeingKilled says whether a thread has a SIGKILL waiting, which the kernel
// gives it for every signal that ends its process. A thread of another pid
// name space cannot be seen and counts as alive.
func isBeingKilled(thread uint32) bool {
	if thread == 0 {
		return false
	}
	raw, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(thread), 10) + "/status")
	if err != nil {
		return false
	}
	return killPending(raw)
}

func killPending(status []byte) bool {
	scanner := bufio.NewScanner(bytes.NewReader(status))
	for scanner.Scan() {
		name, value, _ := bytes.Cut(scanner.Bytes(), []byte(":"))
		if string(name) != "SigPnd" && string(name) != "ShdPnd" {
			continue
		}
		mask, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		if err == nil && mask&(1<<(unix.SIGKILL-1)) != 0 {
			return true
		}
	}
	return false
}
