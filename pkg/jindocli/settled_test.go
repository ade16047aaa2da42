package jindocli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// A refresh waits for the live workers, not for those that are down.
func TestRefreshWaitsForWorkers(t *testing.T) {
	state := func(name string, live bool, index uint64) *masterv1.WorkerState {
		return &masterv1.WorkerState{Member: &commonv1.RingMember{Name: name}, Live: live, Report: &commonv1.WorkerReport{ViewIndex: index}}
	}
	requests := 0
	list := func(context.Context) ([]*masterv1.WorkerState, error) {
		switch requests++; requests {
		case 1:
			return nil, errors.New("no leader")
		case 2, 3:
			return []*masterv1.WorkerState{state("a", true, 7), state("b", true, 6), state("c", false, 1)}, nil
		}
		return []*masterv1.WorkerState{state("a", true, 7), state("b", true, 8), state("c", false, 1)}, nil
	}
	if err := settled(t.Context(), list, 7, time.Millisecond); err != nil || requests != 4 {
		t.Errorf("after %d requests: %v", requests, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	never := func(context.Context) ([]*masterv1.WorkerState, error) {
		return []*masterv1.WorkerState{state("b", true, 6)}, nil
	}
	if err := settled(ctx, never, 7, time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "worker b") {
		t.Errorf("a worker that does not follow: %v", err)
	}
}
