package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// stream runs commands and reads of many clients at the same time, and compares
// each result with what was acknowledged before the call. Invalidate increases
// the epoch each time that it is executed, so that an epoch that two commands
// return, or one that is skipped, is detected.
type stream struct {
	t    testing.TB
	path string
	wait sync.WaitGroup
	stop context.CancelFunc
	// running is done when the stream ends.
	running context.Context
	// clients are closed at the end.
	clients []*client.Client

	// acknowledged is the highest epoch that any command returned.
	acknowledged atomic.Uint64
	commands     atomic.Int64
	reads        atomic.Int64

	begin time.Time

	// allowed reports whether a command may fail with an error; nil means none.
	allowed func(error) bool
	// pace is the time between two calls of a client. It bounds the history.
	pace time.Duration

	mu sync.Mutex
	// worst is the longest time of a call.
	worst time.Duration
	// returned counts how often each epoch was returned.
	returned map[uint64]int
	unknown  int
	failed   int
	// history holds every call that returned an epoch, and every command with an
	// unknown outcome.
	history []porcupine.Operation
}

// Inputs of the operations in a history. An output is an epoch; 0 is unknown.
const (
	invalidation = "invalidate"
	reading      = "read"
)

// epochs is the model of a mount: a command increases the epoch and returns it, and a
// read returns it.
func epochs(first uint64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return first },
		Step: func(state, input, output any) (bool, any) {
			epoch, returned := state.(uint64), output.(uint64)
			if input == reading {
				return returned == epoch, epoch
			}
			return returned == 0 || returned == epoch+1, epoch + 1
		},
	}
}

// record adds a call to the history. A command with an unknown outcome may take
// effect at any time after the call.
func (s *stream) record(client int, input string, call time.Duration, output uint64) {
	now := time.Since(s.begin)
	ended := int64(now)
	if output == 0 {
		ended = math.MaxInt64
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worst = max(s.worst, now-call)
	s.history = append(s.history, porcupine.Operation{ClientId: client, Input: input, Call: int64(call), Output: output, Return: ended})
}

// startStream starts writers and readers on a mount.
func startStream(c *cluster, path string, writers, readers int) *stream {
	return startPacedStream(c, path, writers, readers, 0, nil)
}

// startPacedStream is startStream with a time between two calls of a client, and with
// errors that commands may fail with.
func startPacedStream(c *cluster, path string, writers, readers int, pace time.Duration, allowed func(error) bool) *stream {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	s := &stream{t: c.t, path: path, running: ctx, stop: cancel, pace: pace, allowed: allowed, returned: map[uint64]int{}, begin: time.Now()}
	s.acknowledged.Store(c.mount(path).GetEpoch())
	for i := range writers {
		who := s.client(c, mtls.Peer{Role: mtls.Admin, Name: fmt.Sprintf("writer-%d", i)})
		s.wait.Go(func() { s.write(ctx, i, who) })
	}
	for i := range readers {
		who := s.client(c, mtls.Peer{Role: mtls.Fuse, Name: fmt.Sprintf("reader-%d", i)})
		s.wait.Go(func() { s.read(ctx, writers+i, who) })
	}
	return s
}

// alongside runs a function that ends when the stream does.
func (s *stream) alongside(run func(context.Context)) {
	s.wait.Go(func() { run(s.running) })
}

func (s *stream) client(c *cluster, peer mtls.Peer) *client.Client {
	made := c.client(peer)
	s.clients = append(s.clients, made)
	return made
}

// fail fails the test because of a call.
func (s *stream) fail(format string, args ...any) {
	s.mu.Lock()
	s.failed++
	s.mu.Unlock()
	s.t.Errorf(format, args...)
}

func (s *stream) write(ctx context.Context, number int, who *client.Client) {
	for ; ctx.Err() == nil; time.Sleep(s.pace) {
		before, call := s.acknowledged.Load(), time.Since(s.begin)
		// Not ctx: a command that was sent is waited for.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), waitTimeout)
		epoch, err := who.Invalidate(limited, s.path)
		cancel()
		switch {
		case err == nil && epoch <= before:
			s.t.Errorf("a command returned epoch %d, after %d had been acknowledged", epoch, before)
		case errors.Is(err, client.ErrUnknownOutcome):
			s.record(number, invalidation, call, 0)
			s.mu.Lock()
			s.unknown++
			s.mu.Unlock()
		case err != nil && s.allowed != nil && s.allowed(err):
			moment() // before the next attempt
		case err != nil:
			s.fail("a command failed: %v", err)
		}
		if err != nil {
			continue
		}
		s.record(number, invalidation, call, epoch)
		s.commands.Add(1)
		s.mu.Lock()
		s.returned[epoch]++
		s.mu.Unlock()
		for old := s.acknowledged.Load(); epoch > old && !s.acknowledged.CompareAndSwap(old, epoch); old = s.acknowledged.Load() {
		}
	}
}

func (s *stream) read(ctx context.Context, number int, who *client.Client) {
	for ; ctx.Err() == nil; time.Sleep(s.pace) {
		before, call := s.acknowledged.Load(), time.Since(s.begin)
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), waitTimeout)
		view, err := who.View(limited)
		cancel()
		if err != nil {
			s.fail("a read failed: %v", err)
			continue
		}
		s.reads.Add(1)
		for _, m := range view.GetMounts() {
			if m.GetPath() != s.path {
				continue
			}
			s.record(number, reading, call, m.GetEpoch())
			if m.GetEpoch() < before {
				s.t.Errorf("a read returned epoch %d, after %d had been acknowledged", m.GetEpoch(), before)
			}
		}
	}
}

// awaitProgress waits until more commands and reads have succeeded.
func (s *stream) awaitProgress(c *cluster) {
	c.t.Helper()
	commands, reads := s.commands.Load(), s.reads.Load()
	c.eventually("commands and reads continue", func() error {
		if s.commands.Load() < commands+20 || s.reads.Load() < reads+20 {
			return fmt.Errorf("%d commands and %d reads since", s.commands.Load()-commands, s.reads.Load()-reads)
		}
		return nil
	})
}

// finish stops the stream and checks that the history is linearizable, and the counts:
// each acknowledged command was executed, once.
func (s *stream) finish(c *cluster) {
	c.t.Helper()
	s.stop()
	s.wait.Wait()
	for _, c := range s.clients {
		c.Close()
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), waitTimeout)
	defer cancel()
	view, err := c.admin.View(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	var last uint64
	for _, m := range view.GetMounts() {
		if m.GetPath() == s.path {
			last = m.GetEpoch()
		}
	}
	for epoch, times := range s.returned {
		if times > 1 {
			c.t.Errorf("%d commands returned epoch %d", times, epoch)
		}
	}
	executed := last - 1 // a mount starts with epoch 1
	if least, most := uint64(len(s.returned)), uint64(len(s.returned)+s.unknown); executed < least || executed > most {
		c.t.Errorf("%d commands were executed, %d were acknowledged, and %d have an unknown outcome", executed, least, s.unknown)
	}
	if result := porcupine.CheckOperationsTimeout(epochs(1), s.history, waitTimeout); result != porcupine.Ok {
		c.t.Errorf("the history of %d calls is not linearizable: %s", len(s.history), result)
	}
	c.t.Logf("%d commands, %d reads, %d unknown, the longest took %s", s.commands.Load(), s.reads.Load(), s.unknown, s.worst.Round(time.Millisecond))
}

// moment waits for requests to be in progress.
func moment() { time.Sleep(300 * time.Millisecond) }
