package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
)

const (
	// suspectFor is how long a master that did not answer is asked last.
	failingFor = time.Second
	// Pauses between rounds in which no master answered.
	minBackoff = 20 * time.Millisecond
	maxBackoff = 250 * time.Millisecond
)

// leader is what is believed of who leads. The zero value knows nothing.
type leader struct {
	mu      sync.Mutex
	name    string
	failing map[string]time.Time
	next    int
}

// pick chooses whom to ask, preferring the one that leads, then one that has
// not failed lately. tried are those already asked in this round.
func (l *leader) pick(members []*member, tried map[string]bool, now time.Time) *member {
	l.mu.Lock()
	defer l.mu.Unlock()
	eligible := func(m *member) bool { return !tried[m.Name] && now.After(l.failing[m.Name]) }
	for _, m := range members {
		if m.Name == l.name && eligible(m) {
			return m
		}
	}
	for _, accept := range []func(*member) bool{eligible, func(m *member) bool { return !tried[m.Name] }} {
		for i := range members {
			if m := members[(l.next+i)%len(members)]; accept(m) {
				l.next = (l.next + i + 1) % len(members)
				return m
			}
		}
	}
	return nil
}

// leads notes that a master answered as the leader.
func (l *leader) markLeader(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.name = name
	delete(l.failing, name)
}

// hint notes whom a master believes to lead, and tells whether that is worth
// following at once.
func (l *leader) hint(from, name string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.failing, from)
	if name == from || name == "" {
		if l.name == from {
			l.name = ""
		}
		return false
	}
	l.name = name
	return now.After(l.failing[name])
}

// suspect notes that a master did not answer.
func (l *leader) markFailing(name string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing == nil {
		l.failing = map[string]time.Time{}
	}
	l.failing[name] = now.Add(failingFor)
	if l.name == name {
		l.name = ""
	}
}

// attempt is one call at one master.
type attempt func(ctx context.Context, conn *grpc.ClientConn) error

// ending is how a call ended: answered, when it has neither refusal nor err.
type outcome struct {
	// refusal is a master's no.
	refusal *RefusedError
	// err says that there was no answer before ctx ended.
	err error
	// maybe tells whether an attempt that was not answered may have been
	// executed.
	uncertain bool
}

// failure is nil for a call that was answered.
func (e outcome) failure() error {
	if e.refusal != nil {
		return e.refusal
	}
	return e.err
}

// call repeats an attempt until the leader has answered it or ctx ends.
func (c *Client) call(ctx context.Context, try attempt) outcome {
	if len(c.members) == 0 {
		return outcome{err: errNoMasters}
	}
	failures := map[string]*RefusedError{}
	limits := map[string]time.Duration{}
	uncertain := false
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		tried := map[string]bool{}
		for redirects := 0; ; {
			m := c.leader.pick(c.members, tried, time.Now())
			if m == nil {
				break
			}
			tried[m.Name] = true
			limit := max(limits[m.Name], attemptTimeout)
			v, refusal := c.try(ctx, m, limit, try, tried, &redirects)
			switch v {
			case succeeded:
				return outcome{uncertain: uncertain}
			case refused:
				return outcome{refusal: refusal, uncertain: uncertain}
			case unknown:
				uncertain = true
				limits[m.Name] = min(2*limit, maxAttemptTimeout)
			}
			failures[m.Name] = refusal
			if ctx.Err() != nil {
				return outcome{err: c.timeoutError(ctx, failures), uncertain: uncertain}
			}
		}
		if !sleep(ctx, backoff/2+rand.N(backoff)) {
			return outcome{err: c.timeoutError(ctx, failures), uncertain: uncertain}
		}
	}
}

// try makes one attempt and learns from how it ended.
func (c *Client) try(ctx context.Context, m *member, limit time.Duration, try attempt, tried map[string]bool, redirects *int) (verdict, *RefusedError) {
	seen := &sent{}
	limited, cancel := context.WithTimeout(context.WithValue(ctx, sentKey{}, seen), limit)
	defer cancel()
	m.conn.ResetConnectBackoff()
	v, redirect, refusal := classify(try(limited, m.conn), seen.get())
	switch v {
	case succeeded, refused:
		c.leader.markLeader(m.Name)
	case elsewhere:
		// The one it names may be asked again in this round, once or twice:
		// leadership may have moved since.
		if c.leader.hint(m.Name, redirect.GetLeader(), time.Now()) && *redirects < 2 {
			*redirects++
			delete(tried, redirect.GetLeader())
		}
	default:
		c.leader.markFailing(m.Name, time.Now())
		c.config.Logger.Debug("a master did not answer", "master", m.Name, "reason", refusal)
	}
	return v, refusal
}

// gaveUp says whom was asked in vain. It wraps no refusal: those were no
// answers.
func (c *Client) timeoutError(ctx context.Context, failures map[string]*RefusedError) error {
	var all []string
	for _, m := range c.members {
		if failure := failures[m.Name]; failure != nil {
			all = append(all, m.Name+": "+failure.Message)
		}
	}
	return fmt.Errorf("no master has answered as the leader: %w (%s)", ctx.Err(), strings.Join(all, "; "))
}

// read makes a call that changes nothing.
func (c *Client) read(ctx context.Context, try attempt) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return c.call(ctx, try).failure()
}

// sleep answers false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
