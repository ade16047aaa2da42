package server

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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

// heldConsensus holds entries in two steps: before they are in the log of the
// member, until written is closed, and before they are committed.
type heldConsensus struct {
	*servertest.Member
	written, open chan struct{}
	arrived       chan int
}

func (g *heldConsensus) ProposeNotify(ctx context.Context, entry []byte, appended func()) (any, uint64, error) {
	batch, err := state.DecodeBatch(entry)
	if err != nil {
		appended()
		return nil, 0, err
	}
	g.arrived <- len(batch.GetCommands())
	<-g.written
	appended()
	<-g.open
	return g.Propose(ctx, entry)
}

// newProposerOn returns a proposer whose entries are written at once, unless
// unwritten is set, and committed when open is closed.
func newProposerOn(t *testing.T, unwritten bool) (*proposer, *heldConsensus, context.CancelFunc) {
	t.Helper()
	log, err := servertest.New("m-0")
	if err != nil {
		t.Fatal(err)
	}
	g := &heldConsensus{Member: log.Member(0), written: make(chan struct{}), open: make(chan struct{}), arrived: make(chan int, 100)}
	if !unwritten {
		close(g.written)
	}
	p := newProposer(g, g.State, newMetrics(nil))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		p.run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		for _, held := range []chan struct{}{g.written, g.open} {
			select {
			case <-held:
			default:
				close(held)
			}
		}
		<-done
	})
	return p, g, cancel
}

// TestCommandsShareEntries: commands that arrive while an entry is written share
// the next one.
func TestCommandsShareEntries(t *testing.T) {
	p, g, _ := newProposerOn(t, true)
	close(g.open)
	var wait sync.WaitGroup
	send := func(id string) {
		wait.Go(func() {
			if _, err := p.propose(t.Context(), openCommand(id)); err != nil {
				t.Error(err)
			}
		})
	}
	send("first")
	if n := <-g.arrived; n != 1 {
		t.Errorf("a single command shared its entry: %d commands", n)
	}
	for i := range 100 {
		send(fmt.Sprintf("then-%d", i))
	}
	for len(p.queue) < 100 {
		if t.Context().Err() != nil {
			return
		}
		runtime.Gosched()
	}
	select {
	case n := <-g.arrived:
		t.Errorf("an entry of %d commands was proposed while another was written", n)
	default:
	}
	close(g.written)
	if n := <-g.arrived; n != 100 {
		t.Errorf("of a hundred waiting commands, %d shared an entry", n)
	}
	wait.Wait()
}

// TestEntriesAreWrittenBeforeOthersAreCommitted: an entry that is not committed yet
// does not delay the next ones, up to a limit.
func TestEntriesAreWrittenBeforeOthersAreCommitted(t *testing.T) {
	p, g, _ := newProposerOn(t, false)
	var wait sync.WaitGroup
	for i := range entriesUnderWay {
		wait.Go(func() {
			if _, err := p.propose(t.Context(), openCommand(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
		<-g.arrived
	}
	close(g.open)
	wait.Wait()
}

// TestNothingIsAcknowledgedBecauseItIsWritten checks that a command is not
// acknowledged when its entry is in the log of the leader.
func TestNothingIsAcknowledgedBecauseItIsWritten(t *testing.T) {
	p, g, _ := newProposerOn(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	response := make(chan error, 1)
	go func() {
		_, err := p.propose(ctx, openCommand("written"))
		response <- err
	}()
	<-g.arrived
	go func() { _, _ = p.propose(context.Background(), openCommand("next")) }()
	<-g.arrived // the first entry is in the log
	cancel()
	if err := <-response; !errors.Is(err, consensus.ErrUnknownOutcome) {
		t.Errorf("a command that is not committed returned %v", err)
	}
}

// TestEachCommandGetsItsOwnResult checks the results of commands that share an
// entry.
func TestEachCommandGetsItsOwnResult(t *testing.T) {
	p, g, _ := newProposerOn(t, true)
	close(g.open)
	form := &statev1.Command{Operation: &statev1.Command_FormCluster{FormCluster: &statev1.FormCluster{ClusterId: "c", FormatVersion: 1}}}
	go func() { _, _ = p.propose(context.Background(), form) }()
	<-g.arrived
	const count = 50
	var wait sync.WaitGroup
	for i := range count {
		for _, owner := range []string{"o", "another"} {
			command := openCommand(fmt.Sprint(i))
			command.GetOpenSession().Owner = owner
			wait.Go(func() {
				result, err := p.propose(t.Context(), command)
				if err != nil {
					t.Error(err)
				} else if r := result.GetRefusal(); r != nil && r.GetSubject() != command.GetOpenSession().GetSession() {
					t.Errorf("session %s has the result of %s", command.GetOpenSession().GetSession(), r.GetSubject())
				}
			})
		}
	}
	for len(p.queue) < 2*count {
		if t.Context().Err() != nil {
			return
		}
		runtime.Gosched()
	}
	close(g.written)
	if n := <-g.arrived; n != 2*count {
		t.Errorf("%d commands share an entry, want %d", n, 2*count)
	}
	wait.Wait()
}

func TestAbandonedCommandIsNotSent(t *testing.T) {
	p, g, _ := newProposerOn(t, false)
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
	p, g, _ := newProposerOn(t, false)
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
	p, _, cancel := newProposerOn(t, false)
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
