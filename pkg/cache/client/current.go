package client

import (
	"context"
	"fmt"
	"time"
)

// Current updates View to what the masters return during the call, or returns
// why View may be older. Concurrent callers share a request, which is sent after
// all of them called. While the masters are unreachable they are retried in the
// background, and callers fail immediately: only the first to notice waits.
func (c *Client) Current(ctx context.Context) error {
	result := make(chan error, 1)
	select {
	case c.waiters <- result:
	case <-ctx.Done():
		return fmt.Errorf("wait for the masters' view: %w", context.Cause(ctx))
	case <-c.ctx.Done():
		return fmt.Errorf("get the view from the masters: %w", context.Cause(c.ctx))
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the masters' view: %w", context.Cause(ctx))
	case <-c.ctx.Done():
		return fmt.Errorf("get the view from the masters: %w", context.Cause(c.ctx))
	}
}

// retryInterval is the pause between requests to unreachable masters. It is
// short, because callers fail until a request succeeds.
const retryInterval = 200 * time.Millisecond

// serveCurrent serves the callers of Current until the client is closed.
func (c *Client) serveCurrent() {
	var (
		// waiting called before the current request was sent, next after it.
		waiting, next []chan<- error
		requesting    bool
		results       = make(chan error, 1)
		// failed is the error of the last request, nil after a success.
		failed error
		retry  <-chan time.Time
	)
	for {
		send := false
		select {
		case <-c.ctx.Done():
			return
		case caller := <-c.waiters:
			if failed != nil {
				caller <- failed
				continue
			}
			next = append(next, caller)
		case <-retry:
			send = true
		case failed = <-results:
			requesting = false
			if failed != nil {
				waiting, next = append(waiting, next...), nil
				retry = time.After(retryInterval)
			}
			for _, caller := range waiting {
				caller <- failed
			}
			waiting = nil
		}
		if !requesting && (send || len(next) > 0) {
			requesting = true
			waiting, next = next, nil
			c.work.Go(func() { results <- c.viewFromMasters(c.ctx) })
		}
	}
}
