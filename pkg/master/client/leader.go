package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/jindo-io/jindo/pkg/mtls"
)

const (
	// failingFor is how long a master that did not respond is tried last.
	failingFor = time.Second
	// minSilence is the shortest time without a response that counts against a
	// master.
	minSilence = attemptTimeout / 4
	// Backoff between rounds in which no master responded as the leader. It is
	// at most earlyBackoff during the first electionTime of a call, in which an
	// election usually ends.
	minBackoff   = 20 * time.Millisecond
	maxBackoff   = 250 * time.Millisecond
	earlyBackoff = 50 * time.Millisecond
	electionTime = 2 * time.Second
)

// leader tracks which master is the leader, as far as the client knows. The
// zero value knows none.
type leader struct {
	mu      sync.Mutex
	name    string
	failing map[string]time.Time
	next    int
}

// pick returns the master to try next: the leader if it is known, otherwise one
// that has not failed recently. tried holds those that were tried in this
// round.
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

// markLeader records that a master responded as the leader.
func (l *leader) markLeader(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.name = name
	delete(l.failing, name)
}

// hint records the leader that a master named, and reports whether it should be
// tried immediately.
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

// markFailing records that a master did not respond.
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

// attempt is one call of one master.
type attempt func(ctx context.Context, conn *grpc.ClientConn) error

// outcome is the end of a call; it succeeded when neither refusal nor err is
// set.
type outcome struct {
	// refusal is the refusal of a master.
	refusal *RefusedError
	// err reports that no master responded before ctx was done.
	err error
	// uncertain reports whether an attempt without a response may have been
	// executed.
	uncertain bool
}

// failure returns nil for a call that succeeded.
func (e outcome) failure() error {
	if e.refusal != nil {
		return e.refusal
	}
	return e.err
}

// call repeats an attempt until the leader has responded or ctx is done.
func (c *Client) call(ctx context.Context, try attempt) outcome {
	if len(c.members.all()) == 0 {
		return outcome{err: errNoMasters}
	}
	failures := map[string]*RefusedError{}
	limits := map[string]time.Duration{}
	uncertain := false
	begin := time.Now()
	for backoff := minBackoff; ; backoff = nextBackoff(backoff, time.Since(begin)) {
		tried := map[string]bool{}
		for redirects := 0; ; {
			m := c.leader.pick(c.members.all(), tried, time.Now())
			if m == nil {
				break
			}
			tried[m.Name] = true
			limit := max(limits[m.Name], attemptTimeout)
			v, refusal := c.try(ctx, m, limit, try, tried, &redirects)
			switch v {
			case succeeded:
				return outcome{uncertain: uncertain}
			case refused, invalid:
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

// nextBackoff returns the backoff after one of a call that has lasted for a time.
func nextBackoff(last, lasted time.Duration) time.Duration {
	if lasted < electionTime {
		return min(2*last, earlyBackoff)
	}
	return min(2*last, maxBackoff)
}

// try makes one attempt and updates leader with the result.
func (c *Client) try(ctx context.Context, m *member, limit time.Duration, try attempt, tried map[string]bool, redirects *int) (verdict, *RefusedError) {
	seen := &sent{}
	limited, cancel := context.WithTimeout(context.WithValue(ctx, sentKey{}, seen), limit)
	defer cancel()
	began := time.Now()
	mtls.Reconnect(m.conn)
	v, redirect, refusal := classify(try(limited, m.conn), seen.get())
	switch v {
	case succeeded, refused:
		c.leader.markLeader(m.Name)
	case elsewhere:
		c.learn(redirect)
		// The master that it names may be tried again in this round, at most
		// twice, because leadership may have moved since.
		if c.leader.hint(m.Name, redirect.GetLeader(), time.Now()) && *redirects < 2 {
			*redirects++
			delete(tried, redirect.GetLeader())
		}
	case invalid:
	default:
		if errors.Is(ctx.Err(), context.Canceled) || ctx.Err() != nil && time.Since(began) < minSilence {
			// The caller does not wait any more, or not long enough for a good
			// master to respond.
			break
		}
		c.leader.markFailing(m.Name, time.Now())
		c.config.Logger.Debug("master did not respond", "member", m.Name, "error", refusal)
	}
	return v, refusal
}

// timeoutError names the masters that were tried. It wraps no refusal, because
// none was final.
func (c *Client) timeoutError(ctx context.Context, failures map[string]*RefusedError) error {
	var all []string
	for _, m := range c.members.all() {
		if failure := failures[m.Name]; failure != nil {
			all = append(all, m.Name+": "+failure.Message)
		}
	}
	return fmt.Errorf("no master responded as the leader: %w (%s)", ctx.Err(), strings.Join(all, "; "))
}

// read makes a call that changes nothing.
func (c *Client) read(ctx context.Context, try attempt) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return c.call(ctx, try).failure()
}

// sleep returns false when ctx is done first.
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
