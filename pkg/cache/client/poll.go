package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// minAsk is the least time between two questions that hints lead to.
const minAsk = 20 * time.Millisecond

// keepUp keeps the view new: at the start from the masters or any worker, then
// on hints, then every Config.Poll.
func (c *Client) keepUp() {
	retry := 100 * time.Millisecond
	err := c.refresh(c.ctx)
	for {
		wait := c.config.Poll
		if c.current.Load() == nil {
			// Nobody had a view: soon again.
			wait, retry = min(retry, c.config.Poll), min(2*retry, 2*time.Second)
			c.config.Logger.Debug("no view yet", "reason", err)
		}
		select {
		case <-c.ctx.Done():
			return
		case <-c.hurry:
			if err = c.askMasters(c.ctx); err != nil {
				c.config.Logger.Debug("the masters did not tell the view", "reason", err)
			}
			c.rest(minAsk)
		case name := <-c.hints:
			c.follow(name)
		case <-time.After(wait):
			if c.current.Load() == nil {
				err = c.refresh(c.ctx)
			} else if err = c.poll(c.ctx); err != nil {
				c.config.Logger.Debug("nobody told the epochs", "reason", err)
			}
		}
	}
}

// follow a hint. Others that came meanwhile are dropped: if they still hold,
// the next answers give them again. After one that led to nothing there is a
// pause, so that a worker that is wrong about its epochs is not asked with
// every answer.
func (c *Client) follow(name string) {
	before := c.View().GetIndex()
	err := c.viewOf(c.ctx, name)
	pause := minAsk
	if c.View().GetIndex() == before {
		c.config.Logger.Debug("a worker that seemed to know more did not", "worker", name, "reason", err)
		pause = c.config.Poll
	}
	c.rest(pause)
	for {
		select {
		case <-c.hints:
		default:
			return
		}
	}
}

func (c *Client) rest(pause time.Duration) {
	select {
	case <-time.After(pause):
	case <-c.ctx.Done():
	}
}

// askMasters for the view.
func (c *Client) askMasters(ctx context.Context) error {
	if c.config.Masters == nil {
		return errors.New("this client knows no masters")
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.AskTimeout)
	defer cancel()
	v, err := c.config.Masters.View(ctx)
	if err != nil {
		return fmt.Errorf("asking the masters for the view: %w", err)
	}
	_, err = c.adopt(v, true)
	return err
}

// firstAsked is how many workers are asked at once by a client that knows no
// view; others the next time.
const firstAsked = 5

// refresh asks the masters and some workers for the view, all at once. The
// first answer is enough: polling brings what is newer.
func (c *Client) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.AskTimeout)
	defer cancel()
	var questions []func() error
	if c.config.Masters != nil {
		questions = append(questions, func() error { return c.askMasters(ctx) })
	}
	workers := c.everybody(strconv.FormatUint(rand.Uint64(), 16))
	for _, m := range workers[:min(len(workers), firstAsked)] {
		questions = append(questions, func() error { return c.viewOf(ctx, m.GetName()) })
	}
	answers := make(chan error, len(questions))
	for _, ask := range questions {
		c.work.Go(func() { answers <- ask() })
	}
	var failed []error
	for range questions {
		err := <-answers
		if err == nil && c.current.Load() != nil {
			return nil
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// poll asks one worker after another for its epochs, until one answers; then
// the masters, if none does.
func (c *Client) poll(ctx context.Context) error {
	var failed []error
	for _, m := range c.everybody(strconv.FormatUint(rand.Uint64(), 16)) {
		err := c.epochsOf(ctx, m)
		if err == nil {
			return nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			return errors.Join(failed...)
		}
	}
	if c.config.Masters != nil {
		err := c.askMasters(ctx)
		if err == nil {
			return nil
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

func (c *Client) epochsOf(ctx context.Context, m *commonv1.RingMember) error {
	w, err := c.worker(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.AskTimeout)
	defer cancel()
	var came trace
	answer, err := workerv1.NewCacheClient(w.conn).GetEpochs(ctx, &workerv1.GetEpochsRequest{}, came.options()...)
	if err != nil {
		return w.outcome(ctx, err, came)
	}
	w.succeeded(calls)
	if c.behind(answer) {
		return c.viewOf(ctx, m.GetName())
	}
	return nil
}

// behind tells whether a worker knows more than this client.
func (c *Client) behind(e *workerv1.GetEpochsResponse) bool {
	v := c.current.Load()
	if v == nil || e.GetViewIndex() > v.GetIndex() || e.GetRing() > v.GetRing().GetEpoch() {
		return true
	}
	for id, epoch := range e.GetMounts() {
		if epoch > v.epochs[id] {
			return true
		}
	}
	return false
}

// viewOf asks one worker for its view.
func (c *Client) viewOf(ctx context.Context, name string) error {
	member := c.member(name)
	if member == nil {
		return fmt.Errorf("worker %s is not known any more", name)
	}
	w, err := c.worker(member)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.AskTimeout)
	defer cancel()
	var came trace
	answer, err := workerv1.NewCacheClient(w.conn).GetView(ctx, &workerv1.GetViewRequest{}, came.options()...)
	if err != nil {
		return w.outcome(ctx, err, came)
	}
	w.succeeded(calls)
	if answer.GetView() == nil {
		return &Error{Worker: name, Kind: ErrUnavailable, Message: "it knows no view yet"}
	}
	if _, err := c.adopt(answer.GetView(), true); err != nil {
		return &Error{Worker: name, Kind: ErrGarbled, Message: err.Error()}
	}
	return nil
}

func (c *Client) member(name string) *commonv1.RingMember {
	for _, m := range c.everybody("") {
		if m.GetName() == name {
			return m
		}
	}
	return nil
}

// note the epochs that came with an answer of a worker.
func (c *Client) note(worker string, ringEpoch uint64, mount string, mountEpoch, index uint64) {
	v := c.current.Load()
	if v != nil && ringEpoch <= v.GetRing().GetEpoch() && mountEpoch <= v.epochs[mount] && index <= v.GetIndex() {
		return
	}
	select {
	case c.hints <- worker:
	default: // Enough hints wait already.
	}
}
