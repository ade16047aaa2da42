//go:build linux

package fusefs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// brokenHolder accepts notifications after a number of failures.
type brokenHolder struct {
	mu       sync.Mutex
	failures int
	accepted []string
}

func (h *brokenHolder) notify(_ context.Context, messages [][]byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures > 0 {
		h.failures--
		return errors.New("the holder is away")
	}
	for _, m := range messages {
		h.accepted = append(h.accepted, string(m))
	}
	return nil
}

// has reports whether a message about a name was accepted.
func (h *brokenHolder) has(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.accepted {
		if strings.Contains(m, name+"\x00") {
			return true
		}
	}
	return false
}

func runNotifier(t *testing.T, h *brokenHolder) *notifier {
	t.Helper()
	table := reopen(t, tempDir(t), nil, &counter{})
	n := newNotifier(table, discard(), h.notify)
	n.pause = time.Microsecond
	n.expire.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); n.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := table.close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// TestInvalidationsAreNotLost checks that invalidations reach the kernel after the
// holder was away, and that a waiter waits until then.
func TestInvalidationsAreNotLost(t *testing.T) {
	h := &brokenHolder{failures: 20}
	n := runNotifier(t, h)
	n.entry("/first")
	sent := n.entryDone("/second")
	n.epoch()
	select {
	case <-sent:
	case <-time.After(waitTimeout):
		t.Fatal("the invalidation was not sent")
	}
	if !h.has("first") || !h.has("second") {
		t.Error("a waiter ended before the names were invalidated")
	}
	if h.failures != 0 {
		t.Errorf("%d attempts are left", h.failures)
	}
}

// TestQueuedPagesAreInvalidatedOnce checks that pages whose invalidation is queued are not
// queued again.
func TestQueuedPagesAreInvalidatedOnce(t *testing.T) {
	h := &brokenHolder{}
	n := runNotifier(t, h)
	h.mu.Lock() // The holder does not respond.
	for range 1000 {
		n.pages(7)
	}
	h.mu.Unlock()
	<-n.entryDone("/last")
	h.mu.Lock()
	defer h.mu.Unlock()
	count := 0
	for _, m := range h.accepted {
		if m == string(invalInode(7)) {
			count++
		}
	}
	// The first may have been sent before the others were queued.
	if count == 0 || count > 2 {
		t.Errorf("the pages were invalidated %d times", count)
	}
}

// TestTooManyInvalidationsBecomeOne checks that all names are invalidated when there
// are too many to queue.
func TestTooManyInvalidationsBecomeOne(t *testing.T) {
	h := &brokenHolder{}
	n := runNotifier(t, h)
	n.table.recordLookups(0, []lookup{file("/known", "one", 5)}, nil)
	n.mu.Lock()
	for i := range maxQueued {
		n.queue.paths = append(n.queue.paths, fmt.Sprintf("/%d", i))
	}
	n.mu.Unlock()
	<-n.entryDone("/last")
	if !h.has("known") {
		t.Error("a name that is known to the kernel was not invalidated")
	}
}
