package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

	// acknowledged is the highest epoch that any command returned.
	acknowledged atomic.Uint64
	commands     atomic.Int64
	reads        atomic.Int64

	mu sync.Mutex
	// returned counts how often each epoch was returned.
	returned map[uint64]int
	unknown  int
}

// startStream starts writers and readers on a mount.
func startStream(c *cluster, path string, writers, readers int) *stream {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	s := &stream{t: c.t, path: path, stop: cancel, returned: map[uint64]int{}}
	s.acknowledged.Store(c.mount(path).GetEpoch())
	for i := range writers {
		who := c.client(mtls.Peer{Role: mtls.Admin, Name: fmt.Sprintf("writer-%d", i)})
		s.wait.Go(func() { s.write(ctx, who) })
	}
	for i := range readers {
		who := c.client(mtls.Peer{Role: mtls.Fuse, Name: fmt.Sprintf("reader-%d", i)})
		s.wait.Go(func() { s.read(ctx, who) })
	}
	return s
}

func (s *stream) write(ctx context.Context, who *client.Client) {
	for ctx.Err() == nil {
		before := s.acknowledged.Load()
		// Not ctx: a command that was sent is waited for.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), waitTimeout)
		epoch, err := who.Invalidate(limited, s.path)
		cancel()
		switch {
		case err == nil && epoch <= before:
			s.t.Errorf("a command returned epoch %d, after %d had been acknowledged", epoch, before)
		case errors.Is(err, client.ErrUnknownOutcome):
			s.mu.Lock()
			s.unknown++
			s.mu.Unlock()
		case err != nil:
			s.t.Errorf("a command failed: %v", err)
		}
		if err != nil {
			continue
		}
		s.commands.Add(1)
		s.mu.Lock()
		s.returned[epoch]++
		s.mu.Unlock()
		for old := s.acknowledged.Load(); epoch > old && !s.acknowledged.CompareAndSwap(old, epoch); old = s.acknowledged.Load() {
		}
	}
}

func (s *stream) read(ctx context.Context, who *client.Client) {
	for ctx.Err() == nil {
		before := s.acknowledged.Load()
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), waitTimeout)
		view, err := who.View(limited)
		cancel()
		if err != nil {
			s.t.Errorf("a read failed: %v", err)
			continue
		}
		s.reads.Add(1)
		for _, m := range view.GetMounts() {
			if m.GetPath() == s.path && m.GetEpoch() < before {
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

// finish stops the stream and checks the counts: each acknowledged command was
// executed, once.
func (s *stream) finish(c *cluster) {
	c.t.Helper()
	s.stop()
	s.wait.Wait()
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
	c.t.Logf("%d commands, %d reads, %d unknown", s.commands.Load(), s.reads.Load(), s.unknown)
}

// moment waits for requests to be in progress.
func moment() { time.Sleep(300 * time.Millisecond) }
