package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// TestStoreThatCannotBeOpenedInTime checks that requests do not wait for a store
// whose opening hangs, as that of a directory may, and that it is opened once. The
// end of a request does not make the mount fail. The worker becomes ready without it.
func TestStoreThatCannotBeOpenedInTime(t *testing.T) {
	hung, store := make(chan struct{}), newBucket()
	var opened atomic.Int64
	m := newMounts(func(ctx context.Context, _ *commonv1.Mount) (ufs.Store, error) {
		opened.Add(1)
		<-hung
		return store, ctx.Err()
	}, 1, slog.New(slog.DiscardHandler))
	m.apply(&view{mounts: map[string]*commonv1.Mount{"m1": {Id: "m1", Uri: "file:///hung/"}}})
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := m.get("m1").use(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a request returned %v", err)
		}
		cancel()
	}
	entry := m.get("m1")
	if entry.tried() {
		t.Error("requests that ended count as a result of opening the store")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	entry.probe(ctx)
	cancel()
	if err := entry.health(); !entry.tried() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the worker waits for the mount with its readiness; health: %v", err)
	}
	close(hung)
	if got, err := m.get("m1").use(t.Context()); err != nil || got != ufs.Store(store) {
		t.Errorf("after the store was opened: %v, %v", got, err)
	}
	entry.probed = time.Time{}
	entry.probe(t.Context())
	if n, err := opened.Load(), entry.health(); n != 1 || err != nil {
		t.Errorf("the store was opened %d times; health: %v", n, err)
	}
}

// TestErrorOfAStoreIsStable checks that requests that fail for one reason do not replace
// each other's error, and that those for another reason, probes and a success do.
func TestErrorOfAStoreIsStable(t *testing.T) {
	m := newMounts(nil, 1, slog.New(slog.DiscardHandler))
	m.apply(&view{mounts: map[string]*commonv1.Mount{"m1": {Id: "m1"}}})
	entry := m.get("m1")
	failure := func(text string, kind error) error { return fmt.Errorf("%s: %w", text, kind) }
	for _, step := range []struct {
		err   error
		probe bool
		want  string
	}{
		{failure("reading a", ufs.ErrPermission), false, "reading a: permission denied"},
		{failure("reading b", ufs.ErrPermission), false, "reading a: permission denied"},
		{failure("listing", ufs.ErrPermission), true, "listing: permission denied"},
		{failure("reading c", ufs.ErrPermission), false, "listing: permission denied"},
		{failure("reading d", ufs.ErrUnavailable), false, "reading d: " + ufs.ErrUnavailable.Error()},
		{nil, false, ""},
		{failure("reading e", ufs.ErrPermission), false, "reading e: permission denied"},
	} {
		entry.record(step.err, step.probe)
		got := ""
		if err := entry.health(); err != nil {
			got = err.Error()
		}
		if got != step.want {
			t.Errorf("after %v: %q, want %q", step.err, got, step.want)
		}
	}
}
