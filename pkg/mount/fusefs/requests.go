//go:build linux

package fusefs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// requests holds the requests in progress that may take long. They have a
// deadline, end when their process is killed, and can be left to a successor. It
// is safe for concurrent use.
//
// An interrupt alone does not end a request: every signal causes one, also those
// that language runtimes often send to their own threads, and an application does
// not expect a read of a file to fail with EINTR.
type requests struct {
	base      context.Context
	cancelAll context.CancelCauseFunc
	timeout   time.Duration
	// killed reports whether a thread is being killed.
	killed func(thread uint32) bool

	// mu guards the fields below.
	mu sync.Mutex
	// live holds the requests in progress, by id.
	live map[uint64]*request
	// interrupted holds those that were interrupted.
	interrupted map[uint64]*request
	// early holds the ids of requests that were interrupted before they began, and
	// left those of the predecessor, which may have received their interrupt: the
	// kernel sends one only.
	early, left map[uint64]bool
}

// maxEarly bounds the requests in early, which contains finished requests too.
const maxEarly = 1024

type request struct {
	thread uint32
	cancel context.CancelCauseFunc
}

// newRequests returns requests with the given timeout; 0 means none.
func newRequests(timeout time.Duration) *requests {
	r := &requests{timeout: timeout, killed: isBeingKilled, live: map[uint64]*request{}, interrupted: map[uint64]*request{}, early: map[uint64]bool{}}
	r.base, r.cancelAll = context.WithCancelCause(context.Background())
	return r
}

// begin returns the context of a request. The caller must call done at the end of
// the request.
func (r *requests) begin(unique uint64, thread uint32) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(r.base)
	stop := func() {}
	if r.timeout > 0 {
		err := fmt.Errorf("no reply within %s: %w", r.timeout, context.DeadlineExceeded)
		ctx, stop = context.WithTimeoutCause(ctx, r.timeout, err)
	}
	r.mu.Lock()
	q := &request{thread: thread, cancel: cancel}
	r.live[unique] = q
	if r.early[unique] || r.left[unique] {
		r.interrupted[unique] = q
		delete(r.early, unique)
		delete(r.left, unique)
	}
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

// interrupt records that the process of a request received a signal.
func (r *requests) interrupt(unique uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := r.live[unique]; q != nil {
		r.interrupted[unique] = q
		return
	}
	if len(r.early) >= maxEarly {
		clear(r.early)
	}
	r.early[unique] = true
}

// killInterval is the interval at which interrupted requests are checked.
const killInterval = 250 * time.Millisecond

// watch ends interrupted requests whose process is being killed, until the context
// ends. It must poll, because the kernel reports only the first signal of a
// request.
func (r *requests) watch(ctx context.Context) {
	tick := time.NewTicker(killInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.mu.Lock()
			interrupted := slices.Collect(maps.Values(r.interrupted))
			r.mu.Unlock()
			for _, q := range interrupted {
				if r.killed(q.thread) {
					q.cancel(errKilled)
				}
			}
		}
	}
}

// isBeingKilled reports whether a thread has a pending SIGKILL, which the kernel
// sends to every thread of a process that a signal terminates. A thread of another
// PID namespace is not visible and counts as alive.
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

// killPending reports whether SIGKILL is pending, from /proc/PID/status.
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
