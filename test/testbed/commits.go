package testbed

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/master/client"
)

// Commits sends the masters one harmless command after another, and measures how
// long they are not committed.
type Commits struct {
	masters *client.Client
	path    string
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu    sync.Mutex
	count int
	last  time.Time
	worst time.Duration
	err   error
}

// StartCommits starts sending. Each command repeats an existing mount: it changes
// nothing, but is written to the log like any other.
func StartCommits(masters *client.Client, path string) *Commits {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Commits{masters: masters, path: path, cancel: cancel, last: time.Now()}
	c.done.Go(func() { c.run(ctx) })
	return c
}

func (c *Commits) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := c.commit(ctx)
		c.mu.Lock()
		if err == nil {
			now := time.Now()
			c.worst = max(c.worst, now.Sub(c.last))
			c.count, c.last = c.count+1, now
		} else if ctx.Err() == nil {
			c.err = err
		}
		c.mu.Unlock()
		_ = pause(ctx, 2*time.Millisecond)
	}
}

func (c *Commits) commit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	view, err := c.masters.View(ctx)
	if err != nil {
		return err
	}
	for _, mount := range view.GetMounts() {
		if mount.GetPath() == c.path {
			mount.Id, mount.Epoch = "", 0 // set by the state machine
			_, _, err := c.masters.Mount(ctx, mount)
			return err
		}
	}
	return fmt.Errorf("nothing is mounted at %s", c.path)
}

// Wait blocks until n more commands were acknowledged.
func (c *Commits) Wait(ctx context.Context, n int) error {
	c.mu.Lock()
	want := c.count + n
	c.mu.Unlock()
	for {
		c.mu.Lock()
		count, err := c.count, c.err
		c.mu.Unlock()
		if count >= want {
			return nil
		}
		// The client has retried until its deadline, so the fault is not transient.
		if err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		if paused := pause(ctx, 5*time.Millisecond); paused != nil {
			return fmt.Errorf("wait for commits: %w", paused)
		}
	}
}

// Reset resets Worst.
func (c *Commits) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.worst, c.last = 0, time.Now()
}

// Worst returns the longest time between two acknowledged commands.
func (c *Commits) Worst() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.worst
}

// Stop ends the commands and waits.
func (c *Commits) Stop() {
	c.cancel()
	c.done.Wait()
}
