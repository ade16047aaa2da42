package reader

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// maxOthers bounds the workers tried in one round that do not own the range.
const maxOthers = 3

// minWait and maxWait bound the backoff between rounds.
const (
	minWait = 50 * time.Millisecond
	maxWait = 2 * time.Second
)

// rangeRead reads one range from the ladder. It is used by one goroutine.
type rangeRead struct {
	reader *Reader
	object client.Object
	offset int64
	to     destination
	// progress, unless nil, is called after every n bytes are in place.
	progress func(n int)
	// rounds is the maximal number of rounds; 0 means until the deadline.
	rounds int
	// attempts is what each rung attempts last.
	attempts []attempt
	// wait is the largest Retry-After of this round.
	wait time.Duration
	// ownerFetching is set when the owner is fetching the bytes, so that in this
	// round no other source fetches them from the store too.
	ownerFetching bool
	// store collects what the sources of this round report about the store.
	store storeState
}

type attempt struct {
	rung string
	err  error
}

// fill reads all bytes of the range. It returns ErrStale as soon as one rung
// reports that the version does not exist in the store; any other error contains
// the last error of every rung.
func (c *rangeRead) fill(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.reader.config.ReadTimeout, errTimeout)
	defer cancel()
	wait := minWait
	c.store.began = c.reader.config.Clock()
	for round := 0; ; round++ {
		missing := c.to.missing
		err := c.round(ctx, round)
		if err != nil || c.to.missing == 0 {
			return err
		}
		if c.rounds > 0 && round+1 >= c.rounds {
			return c.failed(fmt.Errorf("no bytes in %d rounds", c.rounds))
		}
		if c.to.missing < missing {
			wait = minWait
		}
		pause := time.NewTimer(max(wait/2+rand.N(wait), min(c.wait, maxWait)))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return c.failed(context.Cause(ctx))
		}
		wait = min(2*wait, maxWait)
	}
}

// round tries every rung once. An owner that is fetching the bytes gets one more
// round before another source fetches them from the store; otherwise a slow store
// would receive every request several times. round returns nil when bytes are
// missing and another round may find them.
func (c *rangeRead) round(ctx context.Context, round int) error {
	c.wait, c.ownerFetching = 0, false
	c.store.reset()
	leave, err := c.enter(ctx, round)
	if leave == nil {
		return err
	}
	defer leave()
	candidates := c.reader.config.Cluster.Candidates(c.object, c.offset)
	var later []client.Candidate
	try := func(candidate client.Candidate) error {
		n, err := c.fetchWorker(ctx, candidate, round, c.ownerFetching)
		c.advance(n)
		return c.classify(ctx, string(candidate.Rung)+" "+candidate.Worker(), candidate.Rung, err)
	}
	others := 0
	for _, candidate := range candidates {
		if !candidate.Admit() {
			later = append(later, candidate)
			continue
		}
		if candidate.Rung == client.Other {
			if others++; others > maxOthers {
				break
			}
		}
		if err := try(candidate); err != nil || c.to.missing == 0 {
			return err
		}
	}
	if c.reader.stores.usable() && !c.ownerFetching {
		n, err := c.fetchStore(ctx, round)
		c.advance(n)
		if err := c.classify(ctx, string(rungStore), rungStore, err); err != nil || c.to.missing == 0 {
			return err
		}
	}
	// Workers that failed recently are tried last.
	for _, candidate := range later[:min(len(later), maxOthers)] {
		if err := try(candidate); err != nil || c.to.missing == 0 {
			return err
		}
	}
	// While the owner is fetching, not every source was tried, so that the
	// verdict waits for the next round.
	verdict := c.store.verdict(c.reader.config.Clock(), c.reader.config.RefusedTimeout)
	switch {
	case verdict != nil && !c.ownerFetching:
		return c.failed(verdict)
	case !c.reader.hasMount(c.object.Mount):
		return c.failed(errors.New("the mount does not exist any more"))
	}
	return nil
}

// cachedRound requests the missing bytes from the caches of their current and
// previous owners. It returns nil when bytes are missing.
func (c *rangeRead) cachedRound(ctx context.Context, round int) error {
	for _, candidate := range c.reader.config.Cluster.Candidates(c.object, c.offset) {
		if candidate.Rung == client.Other || !candidate.Admit() {
			continue
		}
		n, err := c.fetchWorker(ctx, candidate, round, true)
		c.advance(n)
		if errors.Is(err, client.ErrNotCached) {
			continue
		}
		if err := c.classify(ctx, string(candidate.Rung)+" "+candidate.Worker(), candidate.Rung, err); err != nil || c.to.missing == 0 {
			return err
		}
	}
	return nil
}

// fetchWorker requests the missing bytes from one worker, or those that it has
// cached.
func (c *rangeRead) fetchWorker(ctx context.Context, candidate client.Candidate, round int, cachedOnly bool) (int, error) {
	config := c.reader.config
	n, _, err := config.Cluster.Fetch(ctx, candidate, c.object, c.offset, &c.to, client.Terms{
		Silence:    config.StallTimeout << min(round, 4),
		Total:      config.AttemptTimeout << min(round, 2),
		CachedOnly: cachedOnly,
		Progress:   c.progress,
	})
	c.reader.metrics.bytes.WithLabelValues(string(candidate.Rung)).Add(float64(n))
	var failure *client.Error
	if errors.As(err, &failure) {
		c.wait = max(c.wait, failure.RetryAfter)
		if candidate.Rung == client.Owner && failure.Responded && round == 0 {
			c.ownerFetching = true
		}
	}
	return n, err
}

func (c *rangeRead) advance(n int) {
	c.offset += int64(n)
	c.to.advance(n)
}

// classify records the result of one rung. It returns an error when the read must
// end.
func (c *rangeRead) classify(ctx context.Context, name string, rung client.Rung, err error) error {
	if err == nil {
		c.reader.metrics.reads.WithLabelValues(string(rung)).Inc()
		return nil
	}
	c.note(name, err)
	if c.to.failed != nil {
		return c.failed(c.to.failed)
	}
	if ctx.Err() != nil {
		return c.failed(context.Cause(ctx))
	}
	if isStale(err) {
		return fmt.Errorf("read %q of mount %s: %w: %w", c.object.Key, c.object.Mount, ErrStale, err)
	}
	c.store.add(err)
	c.reader.metrics.errors.WithLabelValues(string(rung), reason(err)).Inc()
	c.reader.config.Logger.Debug("rung failed", "key", c.object.Key, "offset", c.offset, "rung", name, "error", err)
	return nil
}

// isStale reports whether the store has reported that the version does not exist
// any more.
func isStale(err error) bool {
	return errors.Is(err, client.ErrStale) || errors.Is(err, client.ErrNotFound) ||
		errors.Is(err, ufs.ErrPrecondition) || errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket)
}

func (c *rangeRead) note(rung string, err error) {
	for i := range c.attempts {
		if c.attempts[i].rung == rung {
			c.attempts[i].err = err
			return
		}
	}
	c.attempts = append(c.attempts, attempt{rung, err})
}

// failed returns the error of a read that every rung failed, for the given cause.
func (c *rangeRead) failed(cause error) error {
	parts := make([]string, len(c.attempts))
	for i, s := range c.attempts {
		parts[i] = s.rung + ": " + s.err.Error()
	}
	if len(parts) == 0 {
		parts = []string{"no source is known"}
	}
	return fmt.Errorf("read %d bytes at %d of %q of mount %s: %w; %s",
		c.to.missing, c.offset, c.object.Key, c.object.Mount, cause, strings.Join(parts, "; "))
}
