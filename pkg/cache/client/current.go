package client

import (
	"context"
	"fmt"
	"time"
)

// Current brings View up to what the masters say at the time of the call, or
// answers why it may be older than that. Those who call at once share a
// question, which is put after all of them called. While masters do not answer
// they are asked on, and nobody waits for that: only the first who finds them
// away does.
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
	case <-c.ctx.Done():
		return fmt.Errorf("asking the masters for the view: %w", context.Cause(c.ctx))
	}
}

// askAgain is the pause between questions to masters that are away. It is short,
// because whoever calls meanwhile is answered from what was known before, also
// when they have just come back.
const askAgain = 200 * time.Millisecond

// answerCallers of Current until the client is closed.
func (c *Client) answerCallers() {
	var (
		// waiting called before the question that is under way, next after it.
		waiting, next []chan<- error
		asking        bool
		answers       = make(chan error, 1)
		// away is why the masters did not answer last.
		away  error
		again <-chan time.Time
	)
	for {
		ask := false
		select {
		case <-c.ctx.Done():
			return
		case caller := <-c.asks:
			if away != nil {
				caller <- away
				continue
			}
			next = append(next, caller)
		case <-again:
			ask = true
		case away = <-answers:
			asking = false
			if away != nil {
				waiting, next = append(waiting, next...), nil
				again = time.After(askAgain)
			}
			for _, caller := range waiting {
				caller <- away
			}
			waiting = nil
		}
		if !asking && (ask || len(next) > 0) {
			asking = true
			waiting, next = next, nil
			c.work.Go(func() { answers <- c.askMasters(c.ctx) })
		}
	}
}
