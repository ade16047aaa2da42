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

// minRequestPause is the shortest pause between two requests that hints cause.
const minRequestPause = 20 * time.Millisecond

// keepUp keeps the view current: at the start from the masters or any worker,
// then on hints, and every Config.Poll.
func (c *Client) keepUp() {
	retry := 100 * time.Millisecond
	err := c.refresh(c.ctx)
	for {
		wait := c.config.Poll
		if c.current.Load() == nil {
			// No view was returned: retry soon.
			wait, retry = min(retry, c.config.Poll), min(2*retry, 2*time.Second)
			c.config.Logger.Debug("no view yet", "error", err)
		}
		select {
		case <-c.ctx.Done():
			return
		case <-c.hurry:
			if err = c.viewFromMasters(c.ctx); err != nil {
				c.config.Logger.Debug("cannot get the view from the masters", "error", err)
			}
			c.rest(minRequestPause)
		case name := <-c.hints:
			c.follow(name)
		case <-time.After(wait):
			if c.current.Load() == nil {
				err = c.refresh(c.ctx)
			} else if err = c.poll(c.ctx); err != nil {
				c.config.Logger.Debug("cannot get the epochs from any worker", "error", err)
			}
		}
	}
}

// follow requests the view from the worker of a hint, and drops the other hints
// received meanwhile: if they are still valid, the next responses repeat them.
// After a hint without a newer view there is a pause, so that a worker with
// wrong epochs does not cause a request per response.
func (c *Client) follow(name string) {
	before := c.View().GetIndex()
	err := c.viewOf(c.ctx, name)
	pause := minRequestPause
	if c.View().GetIndex() == before {
		c.config.Logger.Debug("a worker with newer epochs has no newer view", "worker", name, "error", err)
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

// viewFromMasters requests the view from the masters and adopts it.
func (c *Client) viewFromMasters(ctx context.Context) error {
	if c.config.Masters == nil {
		return errors.New("no masters are configured")
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.ViewTimeout)
	defer cancel()
	v, err := c.config.Masters.View(ctx)
	if err != nil {
		return fmt.Errorf("get the view from the masters: %w", err)
	}
	_, err = c.adopt(v, true)
	return err
}

// firstWorkers is the number of workers from which a client without a view
// requests it at a time.
const firstWorkers = 5

// refresh requests the view from the masters and some workers concurrently. The
// first one suffices: polling finds a newer one.
func (c *Client) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.ViewTimeout)
	defer cancel()
	var requests []func() error
	if c.config.Masters != nil {
		requests = append(requests, func() error { return c.viewFromMasters(ctx) })
	}
	workers := c.ordered(strconv.FormatUint(rand.Uint64(), 16))
	for _, m := range workers[:min(len(workers), firstWorkers)] {
		requests = append(requests, func() error { return c.viewOf(ctx, m.GetName()) })
	}
	results := make(chan error, len(requests))
	for _, request := range requests {
		c.work.Go(func() { results <- request() })
	}
	var failed []error
	for range requests {
		err := <-results
		if err == nil && c.current.Load() != nil {
			return nil
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// poll requests the epochs from one worker after another until one responds, and
// from the masters if none does.
func (c *Client) poll(ctx context.Context) error {
	var failed []error
	for _, m := range c.ordered(strconv.FormatUint(rand.Uint64(), 16)) {
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
		err := c.viewFromMasters(ctx)
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
	attempt, cancel := context.WithTimeout(ctx, c.config.ViewTimeout)
	defer cancel()
	var response trace
	began := time.Now()
	request := &workerv1.GetEpochsRequest{}
	if c.config.MountState != nil {
		request.Mount = c.config.MountState()
	}
	epochs, err := workerv1.NewCacheClient(w.conn).GetEpochs(attempt, request, response.options()...)
	if err != nil {
		return w.outcome(ctx, attempt, err, response, began, c.config.Silence)
	}
	w.succeeded(calls)
	if c.behind(epochs) {
		return c.viewOf(ctx, m.GetName())
	}
	return nil
}

// behind reports whether a worker has a newer view than this client.
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

// viewOf requests the view from one worker and adopts it.
func (c *Client) viewOf(ctx context.Context, name string) error {
	member := c.member(name)
	if member == nil {
		return fmt.Errorf("unknown worker %s", name)
	}
	w, err := c.worker(member)
	if err != nil {
		return err
	}
	attempt, cancel := context.WithTimeout(ctx, c.config.ViewTimeout)
	defer cancel()
	var metadata trace
	began := time.Now()
	response, err := workerv1.NewCacheClient(w.conn).GetView(attempt, &workerv1.GetViewRequest{}, metadata.options()...)
	if err != nil {
		return w.outcome(ctx, attempt, err, metadata, began, c.config.Silence)
	}
	w.succeeded(calls)
	if response.GetView() == nil {
		return &Error{Worker: name, Kind: ErrUnavailable, Message: "the worker has no view yet"}
	}
	if _, err := c.adopt(response.GetView(), true); err != nil {
		return &Error{Worker: name, Kind: ErrGarbled, Message: err.Error()}
	}
	return nil
}

func (c *Client) member(name string) *commonv1.RingMember {
	for _, m := range c.ordered("") {
		if m.GetName() == name {
			return m
		}
	}
	return nil
}

// note compares the epochs in a response of a worker with the view.
func (c *Client) note(worker string, ringEpoch uint64, mount string, mountEpoch, index uint64) {
	v := c.current.Load()
	if v != nil && ringEpoch <= v.GetRing().GetEpoch() && mountEpoch <= v.epochs[mount] && index <= v.GetIndex() {
		return
	}
	select {
	case c.hints <- worker:
	default: // Enough hints are queued already.
	}
}
