package consensus

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
)

// TestDamageIsNotApplied corrupts an entry in memory.
func TestDamageIsNotApplied(t *testing.T) {
	state := &journal{}
	failed := make(chan error, 1)
	m := &fsm{state: state, fail: func(err error) { failed <- err }}
	good, bad := entries(1, 1)[0], entries(2, 2)[0]
	seal(good)
	seal(bad)
	bad.Data[0] ^= 1
	if returns(func() { m.ApplyBatch([]*raft.Log{good, bad}) }) {
		t.Error("the log continues")
	}
	if err := <-failed; !errors.Is(err, errDamaged) {
		t.Errorf("failed with %v", err)
	}
	if got := state.all(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("applied %q", got)
	}
}

func TestApplyingABatch(t *testing.T) {
	state := &journal{}
	m := &fsm{state: state}
	logs := []*raft.Log{
		{Index: 5, Term: 3, Type: raft.LogCommand, Data: []byte("a")},
		{Index: 6, Term: 3, Type: raft.LogConfiguration, Data: []byte("not a command")},
		{Index: 7, Term: 3, Type: raft.LogCommand},
		{Index: 8, Term: 3, Type: raft.LogCommand, Data: []byte("b")},
	}
	for _, l := range logs {
		seal(l)
	}
	results := m.ApplyBatch(logs)
	if want := []any{1, nil, uint64(3), 2}; !slices.Equal(results, want) {
		t.Errorf("results %v, want %v", results, want)
	}
	if m.applied.get() != 8 || m.configuration.Load() != 6 || !m.used.Load() {
		t.Errorf("applied %d, configuration %d", m.applied.get(), m.configuration.Load())
	}
}

func TestWatermark(t *testing.T) {
	var w watermark
	w.advance(5)
	w.advance(3)
	if w.get() != 5 {
		t.Fatal("the watermark decreased")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.wait(ctx, 5, nil); err != nil {
		t.Errorf("wait for an index that is reached: %v", err)
	}
	if err := w.wait(ctx, 6, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	stopped := make(chan struct{})
	close(stopped)
	if err := w.wait(context.Background(), 6, stopped); !errors.Is(err, errStopped) {
		t.Errorf("got %v", err)
	}
	reached := make(chan error)
	go func() { reached <- w.wait(context.Background(), 7, nil) }()
	w.advance(6)
	w.advance(7)
	if err := <-reached; err != nil {
		t.Error(err)
	}
}
