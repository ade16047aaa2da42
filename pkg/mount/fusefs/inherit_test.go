//go:build linux

package fusefs

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// endings counts how often each registration was ended.
type endings struct {
	mu    sync.Mutex
	count map[uint32]int
}

func (e *endings) RegistersBackings() bool { return true }

func (e *endings) Register(context.Context, uint64, *os.File) (uint32, error) {
	return 0, &fusefd.RegisterError{Code: fusefd.RegisterRefused, Reason: "test"}
}

func (e *endings) Unregister(ids ...uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		e.count[id]++
	}
}

// noBacking is a BackingSource without files.
type noBacking struct{}

func (noBacking) Backing(context.Context, reader.Version) (reader.Backing, error) {
	return nil, reader.ErrNoWorker
}

// TestInheritedRegistrationsEndOnce checks that a registration of the predecessor
// whose last handle is released while it is inherited is not used again after it was
// ended.
func TestInheritedRegistrationsEndOnce(t *testing.T) {
	ended := &endings{count: map[uint32]int{}}
	p := &passthrough{
		registrar: ended, source: noBacking{}, timeout: waitTimeout, log: slog.New(slog.DiscardHandler), released: map[uint32]bool{},
		backings: map[uint32]*backing{}, idle: map[uint64]idleBacking{}, ended: make(chan struct{}),
	}
	t.Cleanup(func() {
		close(p.ended)
		p.watchers.Wait()
	})
	inherited := func(id uint64) *backing { return &backing{node: node{id: id}, done: make(chan struct{})} }

	// Released before the registration is held.
	p.end(7)
	if p.hold(7, inherited(70)) || p.again(70) != 0 || p.count() != 0 || ended.count[7] != 1 {
		t.Errorf("a registration that has ended is held: %d held, ended %d times", p.count(), ended.count[7])
	}
	// Released afterwards: it is kept for a later open.
	if !p.hold(8, inherited(80)) {
		t.Fatal("a registration in use is not held")
	}
	p.end(8)
	if got := p.again(80); got != 8 || ended.count[8] != 0 {
		t.Errorf("a later open gets registration %d, want 8, ended %d times", got, ended.count[8])
	}
	p.end(8)
	if id := p.again(80); id == 0 || ended.count[id] != 0 {
		t.Errorf("a later open gets registration %d, ended %d times", id, ended.count[id])
	}
}
