package client

import (
	"context"
	"fmt"
	"time"
)

// Current brings View up to what the masters say at the time of the call, or
// answers why it may be older than that. Those who call at once share a
// question, which is put after all of them called. Masters that did not answer
// are not asked again for Config.Poll, so that nobody waits for them time and
// again.
func (c *Client) Current(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case c.asks <- answer:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the masters' view: %w", context.Cause(ctx))
	case <-c.ctx.Done():
		return fmt.Errorf("asking the masters for the view: %w", context.Cause(c.ctx))
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the masters' view: %w", context.Cause(ctx))
	}
}

// answerCallers of Current until the client is closed.
func (c *Client) answerCallers() {
	var failure error
	var failed time.Time
	for {
		var callers []chan<- error
		select {
		case <-c.ctx.Done():
			return
		case caller := <-c.asks:
			callers = append(callers, caller)
		}
		for more := true; more; {
			select {
			case caller := <-c.asks:
				callers = append(callers, caller)
			default:
				more = false
			}
		}
		if failure == nil || c.config.Clock().Sub(failed) >= c.config.Poll {
			failure = c.askMasters(c.ctx)
			failed = c.config.Clock()
		}
		for _, caller := range callers {
			caller <- failure
		}
	}
}
