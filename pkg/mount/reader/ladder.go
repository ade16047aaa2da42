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

// maxOthers is how many workers that own nothing of a range are asked for it
// in one round.
const maxOthers = 3

// Waits between rounds.
const (
	minWait = 50 * time.Millisecond
	maxWait = 2 * time.Second
)

// climb is one range on its way up the ladder. Used by one goroutine.
type climb struct {
	reader *Reader
	object client.Object
	offset int64
	p      []byte // what is missing
	// progress, unless nil, is told of every n bytes that are in place.
	progress func(n int)
	// rounds before it gives up; 0 goes on until the time is over.
	rounds int
	// said is what each rung said last.
	said []said
	// wait that a rung asked for.
	wait time.Duration
	// patient: the owner is getting the bytes, so that in this round nobody
	// else is to get them from the store too.
	patient bool
	// store is what this round's sources report about the store.
	store storeState
}

type said struct {
	rung string
	err  error
}

// fill gets all bytes of the range, or says what every rung said. ErrStale as
// soon as one knows from the store that the version is gone.
func (c *climb) fill(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.reader.config.ReadTimeout, errTimeout)
	defer cancel()
	wait := minWait
	c.store.began = c.reader.config.Clock()
	for round := 0; ; round++ {
		missing := len(c.p)
		err := c.round(ctx, round)
		if err != nil || len(c.p) == 0 {
			return err
		}
		if c.rounds > 0 && round+1 >= c.rounds {
			return c.failed(fmt.Errorf("in %d rounds", c.rounds))
		}
		if len(c.p) < missing {
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

// round asks every rung once, except that an owner that has said that it gets
// the bytes is given one more round before anybody else gets them from the
// store: else a slow store is asked for everything several times. It answers nil when bytes are missing and a next
// round may find them.
func (c *climb) round(ctx context.Context, round int) error {
	c.wait, c.patient = 0, false
	candidates := c.reader.config.Cluster.Candidates(c.object, c.offset)
	var later []client.Candidate
	c.store.reset()
	try := func(candidate client.Candidate) error {
		n, err := c.ask(ctx, candidate, round)
		c.advance(n)
		return c.judge(ctx, string(candidate.Rung)+" "+candidate.Worker(), candidate.Rung, err)
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
		if err := try(candidate); err != nil || len(c.p) == 0 {
			return err
		}
	}
	if c.reader.stores.usable() && !c.patient {
		n, err := c.askStore(ctx, round)
		c.advance(n)
		if err := c.judge(ctx, string(rungStore), rungStore, err); err != nil || len(c.p) == 0 {
			return err
		}
	}
	// Those that failed a moment ago are better than nobody.
	for _, candidate := range later[:min(len(later), maxOthers)] {
		if err := try(candidate); err != nil || len(c.p) == 0 {
			return err
		}
	}
	// While the owner is spared, not every source was tried, so that the
	// verdict has to wait for the next round.
	verdict := c.store.verdict(c.reader.config.Clock(), c.reader.config.RefusedTimeout)
	switch {
	case verdict != nil && !c.patient:
		return c.failed(verdict)
	case !c.reader.mounted(c.object.Mount):
		return c.failed(errors.New("the mount is gone"))
	}
	return nil
}

// ask one worker.
func (c *climb) ask(ctx context.Context, candidate client.Candidate, round int) (int, error) {
	config := c.reader.config
	n, _, err := config.Cluster.Fetch(ctx, candidate, c.object, c.offset, c.p, client.Terms{
		Silence:    config.Silence << min(round, 4),
		Total:      config.Attempt << min(round, 2),
		CachedOnly: c.patient,
		Progress:   c.progress,
	})
	c.reader.metrics.bytes.WithLabelValues(string(candidate.Rung)).Add(float64(n))
	var failure *client.Error
	if errors.As(err, &failure) {
		c.wait = max(c.wait, failure.RetryAfter)
		if candidate.Rung == client.Owner && failure.Responded && round == 0 {
			c.patient = true
		}
	}
	return n, err
}

func (c *climb) advance(n int) {
	c.offset += int64(n)
	c.p = c.p[n:]
}

// judge what a rung said: an error ends the read.
func (c *climb) judge(ctx context.Context, name string, rung client.Rung, err error) error {
	if err == nil {
		c.reader.metrics.reads.WithLabelValues(string(rung)).Inc()
		return nil
	}
	c.note(name, err)
	if ctx.Err() != nil {
		return c.failed(context.Cause(ctx))
	}
	if isGone(err) {
		return fmt.Errorf("reading %q of mount %s: %w: %w", c.object.Key, c.object.Mount, ErrStale, err)
	}
	c.store.add(err)
	c.reader.metrics.errors.WithLabelValues(string(rung), reason(err)).Inc()
	c.reader.config.Logger.Debug("a rung failed", "key", c.object.Key, "offset", c.offset, "rung", name, "reason", err)
	return nil
}

// isGone: the store has answered that the version is not there any more.
func isGone(err error) bool {
	return errors.Is(err, client.ErrStale) || errors.Is(err, client.ErrNotFound) ||
		errors.Is(err, ufs.ErrPrecondition) || errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket)
}

func (c *climb) note(rung string, err error) {
	for i := range c.said {
		if c.said[i].rung == rung {
			c.said[i].err = err
			return
		}
	}
	c.said = append(c.said, said{rung, err})
}

// failed is the error of a read that nobody could answer.
func (c *climb) failed(why error) error {
	parts := make([]string, len(c.said))
	for i, s := range c.said {
		parts[i] = s.rung + ": " + s.err.Error()
	}
	if len(parts) == 0 {
		parts = []string{"there is nobody to ask"}
	}
	return fmt.Errorf("reading %d bytes at %d of %q of mount %s: %w; %s",
		len(c.p), c.offset, c.object.Key, c.object.Mount, why, strings.Join(parts, "; "))
}
