package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/server/servertest"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

func openCommand(id string) *statev1.Command {
	return &statev1.Command{Operation: &statev1.Command_OpenSession{OpenSession: &statev1.OpenSession{Session: id, Owner: "o", Ttl: 1}}}
}

// heldConsensus passes entries on one by one.
type heldConsensus struct {
	*servertest.Member
	open    chan struct{}
	arrived chan int
}

func (g *heldConsensus) Propose(ctx context.Context, entry []byte) (any, uint64, error) {
	batch, err := state.DecodeBatch(entry)
	if err != nil {
		return nil, 0, err
	}
	g.arrived <- len(batch.GetCommands())
	<-g.open
	return g.Member.Propose(ctx, entry)
}

func newProposerOn(t *testing.T) (*proposer, *heldConsensus, context.CancelFunc) {
	t.Helper()
	log, err := servertest.New("m-0")
	if err != nil {
		t.Fatal(err)
	}
	g := &heldConsensus{Member: log.Member(0), open: make(chan struct{}), arrived: make(chan int, 100)}
	p := newProposer(g, g.State, newMetrics(nil))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		p.run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-g.open:
		default:
			close(g.open)
		}
		<-done
	})
	return p, g, cancel
}

// TestCommandsShareEntries: commands that arrive while entries are in progress
// share an entry.
func TestCommandsShareEntries(t *testing.T) {
	p, g, _ := newProposerOn(t)
	var wait sync.WaitGroup
	send := func(id string) {
		wait.Go(func() {
			if _, err := p.propose(t.Context(), openCommand(id)); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range entriesUnderWay {
		send(fmt.Sprintf("first-%d", i))
		if n := <-g.arrived; n != 1 {
			t.Errorf("a single command shared its entry: %d commands", n)
		}
	}
	for i := range 100 {
		send(fmt.Sprintf("then-%d", i))
	}
	for len(p.queue) < 99 { // one was taken out of the queue, and waits
		if t.Context().Err() != nil {
			return
		}
	}
	close(g.open)
	if n := <-g.arrived; n < 99 {
		t.Errorf("of a hundred waiting commands, %d shared an entry", n)
	}
	wait.Wait()
}

func TestAbandonedCommandIsNotSent(t *testing.T) {
	p, g, _ := newProposerOn(t)
	for i := range entriesUnderWay {
		go func() { _, _ = p.propose(context.Background(), openCommand(fmt.Sprintf("first-%d", i))) }()
		<-g.arrived
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.propose(ctx, openCommand("late")); !errors.Is(err, errNotSent) || !errors.Is(err, context.Canceled) {
		t.Errorf("a command that was not sent returned %v", err)
	}
	close(g.open)
	if _, err := p.propose(t.Context(), openCommand("after")); !errors.Is(err, nil) && !errors.Is(err, consensus.ErrUnknownOutcome) {
		// The cluster is not formed: the result is a refusal, which is not an
		// error here.
		t.Error(err)
	}
	for _, s := range g.State.View().Sessions() {
		if s.GetId() == "late" {
			t.Error("the command was executed")
		}
	}
}

func TestCommandInProgressIsUnknown(t *testing.T) {
	p, g, _ := newProposerOn(t)
	ctx, cancel := context.WithCancel(t.Context())
	response := make(chan error, 1)
	go func() {
		_, err := p.propose(ctx, openCommand("s"))
		response <- err
	}()
	<-g.arrived
	cancel()
	if err := <-response; !errors.Is(err, consensus.ErrUnknownOutcome) || errors.Is(err, errNotSent) {
		t.Errorf("a command in progress returned %v", err)
	}
	close(g.open)
}

func TestStoppingProposer(t *testing.T) {
	p, _, cancel := newProposerOn(t)
	cancel()
	<-p.stopped
	if _, err := p.propose(t.Context(), openCommand("s")); !errors.Is(err, errNotSent) {
		t.Errorf("a command after the end returned %v", err)
	}
}

// TestBatchesAreBounded: a command beyond the limit waits for the next entry.
func TestBatchesAreBounded(t *testing.T) {
	p := newProposer(nil, nil, nil)
	for range state.MaxBatch + 1 {
		p.queue <- &pending{size: 1}
	}
	if n := len(p.gather(<-p.queue)); n != state.MaxBatch {
		t.Errorf("a batch has %d commands", n)
	}
	p.queue <- &pending{size: batchBytes}
	if n := len(p.gather(<-p.queue)); n != 2 {
		t.Errorf("a batch that is full by size has %d commands", n)
	}
}
