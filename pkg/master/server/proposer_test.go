package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

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

// arrive waits until an entry is proposed, and returns the number of its commands.
func (g *heldConsensus) arrive(t *testing.T) int {
	t.Helper()
	select {
	case n := <-g.arrived:
		return n
	case <-time.After(waitTimeout):
		t.Fatal("no entry is proposed")
		return 0
	}
}

// awaitQueue waits until a number of commands are in the queue of a proposer. No
// entry may be proposed meanwhile.
func (g *heldConsensus) awaitQueue(t *testing.T, p *proposer, count int) {
	t.Helper()
	for deadline := time.Now().Add(waitTimeout); len(p.queue) != count; time.Sleep(time.Millisecond) {
		select {
		case n := <-g.arrived:
			t.Fatalf("an entry of %d commands was proposed", n)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d commands are in the queue, want %d", len(p.queue), count)
		}
	}
}

// newProposerOn returns a proposer on a cluster that is formed. Its entries are
// written at once, unless unwritten is set, and committed when open is closed.
func newProposerOn(t *testing.T, unwritten bool) (*proposer, *heldConsensus, context.CancelFunc) {
	t.Helper()
	log, err := servertest.New("m-0")
	if err != nil {
		t.Fatal(err)
	}
	form := &statev1.Command{Operation: &statev1.Command_FormCluster{FormCluster: &statev1.FormCluster{ClusterId: "c", FormatVersion: 1}}}
	entry, err := state.EncodeBatch(state.FormatVersion, []*statev1.Command{form})
	if err == nil {
		_, _, err = log.Member(0).Propose(t.Context(), entry)
	}
	if err != nil || log.Member(0).State.View().ClusterID() != "c" {
		t.Fatalf("form a cluster: %v", err)
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
	if n := g.arrive(t); n != 1 {
		t.Errorf("a single command shared its entry: %d commands", n)
	}
	for i := range 100 {
		send(fmt.Sprintf("then-%d", i))
	}
	g.awaitQueue(t, p, 100)
	close(g.written)
	if n := g.arrive(t); n != 100 {
		t.Errorf("of a hundred waiting commands, %d shared an entry", n)
	}
	wait.Wait()
}

// TestEntriesAreWrittenBeforeOthersAreCommitted: an entry that is not committed yet
// does not delay the next ones, up to a limit.
func TestEntriesAreWrittenBeforeOthersAreCommitted(t *testing.T) {
	p, g, _ := newProposerOn(t, false)
	var wait sync.WaitGroup
	send := func(id string) {
		wait.Go(func() {
			if _, err := p.propose(t.Context(), openCommand(id)); err != nil {
				t.Error(err)
			}
		})
	}
	if entriesUnderWay < 4 {
		t.Fatalf("at most %d entries are under way", entriesUnderWay)
	}
	for i := range entriesUnderWay {
		send(fmt.Sprint(i))
		g.arrive(t)
	}
	// The proposer takes the next one from the queue, and waits for a slot.
	if len(p.slots) != entriesUnderWay || cap(p.slots) != entriesUnderWay {
		t.Errorf("%d entries are under way, and use %d of %d slots", entriesUnderWay, len(p.slots), cap(p.slots))
	}
	next := &pending{command: openCommand("next"), done: make(chan outcome, 1)}
	p.queue <- next
	g.awaitQueue(t, p, 0)
	p.queue <- &pending{command: openCommand("queued"), done: make(chan outcome, 1)}
	g.awaitQueue(t, p, 1)
	close(g.open)
	if o := <-next.done; o.err != nil {
		t.Error(o.err)
	}
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
	g.arrive(t)
	go func() { _, _ = p.propose(context.Background(), openCommand("next")) }()
	g.arrive(t) // the first entry is in the log
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
	go func() { _, _ = p.propose(context.Background(), openCommand("first")) }()
	g.arrive(t)
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
	g.awaitQueue(t, p, 2*count)
	close(g.written)
	if n := g.arrive(t); n != 2*count {
		t.Errorf("%d commands share an entry, want %d", n, 2*count)
	}
	wait.Wait()
}

func TestAbandonedCommandIsNotSent(t *testing.T) {
	p, g, _ := newProposerOn(t, false)
	for i := range entriesUnderWay {
		go func() { _, _ = p.propose(context.Background(), openCommand(fmt.Sprintf("first-%d", i))) }()
		g.arrive(t)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.propose(ctx, openCommand("late")); !errors.Is(err, errNotSent) || !errors.Is(err, context.Canceled) {
		t.Errorf("a command that was not sent returned %v", err)
	}
	close(g.open)
	if result, err := p.propose(t.Context(), openCommand("after")); err != nil || result.GetRefusal() != nil {
		t.Fatalf("the next command: %v, %v", result, err)
	}
	if g.State.View().Session("late") != nil {
		t.Error("the command was executed")
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
	g.arrive(t)
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
