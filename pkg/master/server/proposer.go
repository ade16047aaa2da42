package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

const (
	// queueLength is how many commands may wait for a batch.
	queueLength = 4096
	// batchBytes bounds the commands that share one entry, in bytes.
	batchBytes = 512 << 10
	// entriesUnderWay is how many entries are proposed before the first of them
	// is committed. Each is gathered when the one before it is in the log of this
	// member: what arrives during one write shares the next.
	entriesUnderWay = 8
	// proposeTimeout bounds the commit of one entry. When a majority does not
	// respond, leadership is lost long before.
	proposeTimeout = 10 * time.Second
)

// errNotSent reports that a command never left this process.
var errNotSent = errors.New("nothing was executed")

// proposer merges commands that arrive at the same time into one entry of the
// log, so that they share its writes. A command that arrives while nothing is
// written is proposed at once.
//
// Invariants: a command is in at most one entry; its result is that of its place
// in the entry; it is delivered when the entry is committed and applied, never
// because the entry is in the log of this member.
type proposer struct {
	consensus Consensus
	state     *state.Machine
	metrics   *metrics
	clock     *logClock

	queue   chan *pending
	slots   chan struct{}
	sending sync.WaitGroup
	stopped chan struct{}
}

// pending is a command that waits for its result. Either a batch takes it or
// its caller abandons it; the first to claim it wins.
type pending struct {
	command *statev1.Command
	size    int
	claimed atomic.Bool
	done    chan outcome
}

type outcome struct {
	result *statev1.Result
	err    error
}

// claim returns true for the first call only.
func (p *pending) claim() bool { return !p.claimed.Swap(true) }

func newProposer(c Consensus, s *state.Machine, m *metrics) *proposer {
	return &proposer{
		consensus: c, state: s, metrics: m, clock: newLogClock(),
		queue:   make(chan *pending, queueLength),
		slots:   make(chan struct{}, entriesUnderWay),
		stopped: make(chan struct{}),
	}
}

// propose executes a command and returns its result, which the caller must not
// modify. An error wraps errNotSent or consensus.NotLeaderError when nothing
// was executed, and consensus.ErrUnknownOutcome when the command may have been
// executed. The proposer owns command after the call.
func (p *proposer) propose(ctx context.Context, command *statev1.Command) (*statev1.Result, error) {
	wait := &pending{command: command, size: proto.Size(command), done: make(chan outcome, 1)}
	select {
	case p.queue <- wait:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the queue: %w: %w", errNotSent, ctx.Err())
	case <-p.stopped:
		return nil, p.stopping()
	}
	select {
	case o := <-wait.done:
		return o.result, o.err
	case <-ctx.Done():
		if wait.claim() {
			return nil, fmt.Errorf("wait for the log: %w: %w", errNotSent, ctx.Err())
		}
		return nil, fmt.Errorf("wait for the commit: %w: %w", consensus.ErrUnknownOutcome, ctx.Err())
	case <-p.stopped:
		if wait.claim() {
			return nil, p.stopping()
		}
		o := <-wait.done // every batch that was taken ends before stopped is closed
		return o.result, o.err
	}
}

func (p *proposer) stopping() error {
	return fmt.Errorf("this master is stopping: %w", errNotSent)
}

// run proposes until ctx is done and every proposed entry has ended.
func (p *proposer) run(ctx context.Context) {
	defer close(p.stopped)
	defer p.sending.Wait()
	appended := make(chan struct{}, 1)
	for {
		var first *pending
		select {
		case first = <-p.queue:
		case <-ctx.Done():
			return
		}
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return // first was claimed by its caller
		}
		batch := p.gather(first)
		p.sending.Go(func() {
			defer func() { <-p.slots }()
			p.send(ctx, batch, func() { appended <- struct{}{} })
		})
		// Commands gather meanwhile. send calls it also when ctx is done.
		<-appended
	}
}

// gather takes the waiting commands, as many as fit in an entry.
func (p *proposer) gather(next *pending) []*pending {
	var batch []*pending
	size := 0
	for {
		if next.claim() {
			batch = append(batch, next)
			size += next.size
		}
		if len(batch) == state.MaxBatch || size >= batchBytes {
			return batch
		}
		select {
		case next = <-p.queue:
		default:
			return batch
		}
	}
}

// send proposes one entry and delivers the result of every command. It calls
// appended once, when the next entry may be gathered.
func (p *proposer) send(ctx context.Context, batch []*pending, appended func()) {
	if len(batch) == 0 {
		appended()
		return
	}
	if mutantAckWritten {
		written := appended
		appended = func() {
			p.deliver(batch, make([]*statev1.Result, len(batch)), nil)
			written()
		}
	}
	results, err := p.commit(ctx, batch, appended)
	p.metrics.batches.Observe(float64(len(batch)))
	if mutantMixResults && err == nil {
		results = append(results[1:], results[0])
	}
	p.deliver(batch, results, err)
}

// deliver delivers the result of every command of a batch, or an error.
func (p *proposer) deliver(batch []*pending, results []*statev1.Result, err error) {
	for i, wait := range batch {
		o := outcome{err: err}
		if err == nil {
			o.result = results[i]
		}
		p.metrics.command(wait.command, o)
		wait.done <- o
	}
}

// format returns the format of the next entry: the newest that every member and
// this version know.
func (p *proposer) format() uint32 { return min(p.consensus.Format(), state.FormatVersion) }

func (p *proposer) commit(ctx context.Context, batch []*pending, appended func()) ([]*statev1.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	now := p.clock.now(p.state.View().Clock())
	commands := make([]*statev1.Command, len(batch))
	for i, wait := range batch {
		wait.command.Time = now
		commands[i] = wait.command
	}
	entry, err := state.EncodeBatch(p.format(), commands)
	if err != nil {
		appended()
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	response, index, err := p.consensus.ProposeNotify(ctx, entry, appended)
	if err != nil {
		return nil, err
	}
	switch response := response.(type) {
	case []*statev1.Result:
		if len(response) == len(batch) {
			return response, nil
		}
	case error:
		return nil, fmt.Errorf("%w: %w", consensus.ErrUnknownOutcome, response)
	}
	return nil, fmt.Errorf("%w: entry %d has a result of type %T", consensus.ErrUnknownOutcome, index, response)
}
