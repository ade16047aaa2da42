package status

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/report"
)

const (
	// settle is how long further changes are gathered before an update.
	settle = 200 * time.Millisecond
	// tick is how often the ages on a terminal are updated.
	tick = time.Second
	// restartDelay is how long after the end of a watch the next one starts.
	restartDelay = time.Second
)

// followSource is a source that reports changes.
type followSource interface {
	Follow(ctx context.Context, namespace string, changed func()) error
}

// snapshot is the result of one collection.
type snapshot struct {
	reports []report.Runtime
	one     bool
}

// watcher collects again when something changes, or at the interval where changes
// are not reported. On a terminal it draws over the previous screen and truncates
// it to the terminal's height; elsewhere it prints every screen that differs.
type watcher struct {
	*options
	collect func(context.Context) (snapshot, error)
	// follow calls changed until it returns; nil when changes are not reported.
	follow func(ctx context.Context, changed func()) error
	// polls is true when members are queried, which report no changes.
	polls  bool
	screen iostreams.Screen
	last   string
}

func (o *options) newWatcher(source report.Source, collect func(context.Context) (snapshot, error)) *watcher {
	w := &watcher{options: o, collect: collect, screen: o.session.Screen(), polls: o.format.Is(output.Wide)}
	if f, ok := source.(followSource); ok {
		w.follow = func(ctx context.Context, changed func()) error {
			return f.Follow(ctx, o.namespace(), changed)
		}
	}
	return w
}

// run watches until the context ends, which is no error, or until everything is
// healthy if so configured.
func (w *watcher) run(ctx context.Context, args []string) error {
	const enter, leave = "\x1b[?1049h", "\x1b[?1049l"
	if w.screen.TTY {
		_, _ = io.WriteString(w.session.Streams.Out, enter)
		defer func() { _, _ = io.WriteString(w.session.Streams.Out, leave) }()
	}
	var deadline <-chan time.Time
	if w.timeout > 0 {
		deadline = time.After(w.timeout)
	}
	ctx, cancel := context.WithCancel(ctx)
	c := w.listen(ctx)
	defer c.listening.Wait()
	defer cancel()
	for {
		found, err := w.collect(ctx)
		if ctx.Err() != nil {
			return nil // interrupted by the user
		}
		if err != nil {
			return err
		}
		if err := w.draw(found); err != nil {
			return err
		}
		if w.until == untilHealthy && len(found.reports) > 0 && allHealthy(found.reports) {
			return nil
		}
		switch outcome, err := w.wait(ctx, c, found, deadline); {
		case err != nil:
			return err
		case outcome == ended:
			return nil
		case outcome == expired:
			return w.timedOut(args, found)
		}
	}
}

// outcome is why wait returned.
type outcome int

const (
	due     outcome = iota // it is time to collect again
	ended                  // the context has ended
	expired                // the timeout has expired
)

// changes receives the changes that a source reports.
type changes struct {
	changed chan struct{}
	// ended receives the result of a watch that has ended.
	ended chan error
	// running is true while a watch runs.
	running   bool
	listening sync.WaitGroup
}

func (w *watcher) listen(ctx context.Context) *changes {
	c := &changes{changed: make(chan struct{}, 1), ended: make(chan error, 1)}
	c.start(ctx, w.follow)
	return c
}

func (c *changes) start(ctx context.Context, follow func(context.Context, func()) error) {
	if follow == nil || c.running {
		return
	}
	c.running = true
	c.listening.Go(func() {
		c.ended <- follow(ctx, func() {
			select {
			case c.changed <- struct{}{}:
			default: // one update shows both changes
			}
		})
	})
}

// wait blocks until it is time to collect again. Meanwhile it keeps the ages on a
// terminal current.
func (w *watcher) wait(ctx context.Context, c *changes, found snapshot, deadline <-chan time.Time) (outcome, error) {
	var poll <-chan time.Time
	if !c.running || w.polls {
		poll = time.After(w.interval)
	}
	ages := time.NewTicker(tick)
	defer ages.Stop()
	for {
		select {
		case <-ctx.Done():
			return ended, nil
		case <-deadline:
			return expired, nil
		case <-c.changed:
			return c.gather(ctx), nil
		case err := <-c.ended:
			c.running = false
			if err != nil {
				w.follow = nil // watching is not possible: poll from now on
				poll = time.After(w.interval)
			} else {
				poll = time.After(min(restartDelay, w.interval))
			}
		case <-poll:
			c.start(ctx, w.follow)
			return due, nil
		case now := <-ages.C:
			if !w.screen.TTY {
				continue // elsewhere only changes are printed
			}
			if err := w.draw(found.at(now)); err != nil {
				return ended, err
			}
		}
	}
}

// gather waits a moment for further changes.
func (c *changes) gather(ctx context.Context) outcome {
	select {
	case <-ctx.Done():
		return ended
	case <-time.After(settle):
	}
	select {
	case <-c.changed:
	default:
	}
	return due
}

// at returns the same snapshot as of another time.
func (s snapshot) at(now time.Time) snapshot {
	s.reports = slices.Clone(s.reports)
	for i := range s.reports {
		s.reports[i].Collected = metav1.NewTime(now.UTC())
	}
	return s
}

func (w *watcher) draw(found snapshot) error {
	const home = "\x1b[H\x1b[J"
	var drawn bytes.Buffer
	if len(found.reports) == 0 {
		drawn.WriteString(w.nothing())
	} else if err := w.print(&drawn, found.reports, found.one); err != nil {
		return err
	}
	text := clip(drawn.String(), w.screen.Height)
	var err error
	switch {
	case text == w.last:
	case w.screen.TTY:
		_, err = io.WriteString(w.session.Streams.Out, home+text)
	default:
		_, err = fmt.Fprintln(w.session.Streams.Out, text)
	}
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	w.last = text
	return nil
}

// clip returns the first lines of a text, without a final line break.
func clip(text string, height int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	return strings.Join(lines, "\n")
}
