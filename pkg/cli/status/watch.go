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
	// settle is how long changes are gathered before they are looked at.
	settle = 200 * time.Millisecond
	// tick is how often ages are counted on.
	tick = time.Second
	// again is how long after a watch has ended the next begins.
	again = time.Second
)

// following is a source that tells of changes.
type following interface {
	Follow(ctx context.Context, namespace string, changed func()) error
}

// screenful is what one look has found.
type screenful struct {
	reports []report.Runtime
	one     bool
}

// redraw looks again whenever something has changed; where nobody tells it, at
// the interval. On a terminal it draws over the screen before, clipped at the
// bottom; elsewhere it writes a screen whenever it has changed.
type redraw struct {
	*options
	look func(context.Context) (screenful, error)
	// follow tells of changes until it comes back; nil is nobody does.
	follow func(ctx context.Context, changed func()) error
	// polls even while changes are told: members tell only who asks.
	polls  bool
	screen iostreams.Screen
	last   string
}

func (o *options) newRedraw(source report.Source, look func(context.Context) (screenful, error)) *redraw {
	d := &redraw{options: o, look: look, screen: o.session.Screen(), polls: o.format.Is(output.Wide)}
	if f, ok := source.(following); ok {
		d.follow = func(ctx context.Context, changed func()) error {
			namespace := o.session.InNamespace()
			if o.everyone {
				namespace = ""
			}
			return f.Follow(ctx, namespace, changed)
		}
	}
	return d
}

func (d *redraw) run(ctx context.Context) error {
	const enter, leave = "\x1b[?1049h", "\x1b[?1049l"
	if d.screen.TTY {
		_, _ = io.WriteString(d.session.Streams.Out, enter)
		defer func() { _, _ = io.WriteString(d.session.Streams.Out, leave) }()
	}
	ctx, cancel := context.WithCancel(ctx)
	news := d.listen(ctx)
	defer news.listening.Wait()
	defer cancel()
	for {
		seen, err := d.look(ctx)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how one leaves
		}
		if err != nil {
			return err
		}
		if err := d.draw(seen); err != nil {
			return err
		}
		if d.until == "healthy" && allHealthy(seen.reports) {
			return nil
		}
		if more, err := d.wait(ctx, news, seen); err != nil || !more {
			return err
		}
	}
}

// news of changes.
type news struct {
	changed chan struct{}
	// ended says that nobody tells of changes any more, and why.
	ended chan error
	// on while somebody does.
	on        bool
	listening sync.WaitGroup
}

func (d *redraw) listen(ctx context.Context) *news {
	n := &news{changed: make(chan struct{}, 1), ended: make(chan error, 1)}
	n.start(ctx, d.follow)
	return n
}

func (n *news) start(ctx context.Context, follow func(context.Context, func()) error) {
	if follow == nil || n.on {
		return
	}
	n.on = true
	n.listening.Go(func() {
		n.ended <- follow(ctx, func() {
			select {
			case n.changed <- struct{}{}:
			default: // one look sees both
			}
		})
	})
}

// wait until it is time to look again; false when it is time to leave.
func (d *redraw) wait(ctx context.Context, n *news, seen screenful) (bool, error) {
	var poll <-chan time.Time
	if !n.on || d.polls {
		poll = time.After(d.interval)
	}
	ages := time.NewTicker(tick)
	defer ages.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case <-n.changed:
			return n.gather(ctx), nil
		case err := <-n.ended:
			n.on = false
			if err != nil {
				d.follow = nil // it is not possible: ask from now on
				poll = time.After(d.interval)
			} else {
				poll = time.After(min(again, d.interval))
			}
		case <-poll:
			n.start(ctx, d.follow)
			return true, nil
		case now := <-ages.C:
			if !d.screen.TTY {
				continue // a pipe gets what has changed
			}
			if err := d.draw(seen.at(now)); err != nil {
				return false, err
			}
		}
	}
}

// gather changes that come close together.
func (n *news) gather(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(settle):
	}
	select {
	case <-n.changed:
	default:
	}
	return true
}

// at is the same a moment later.
func (s screenful) at(now time.Time) screenful {
	s.reports = slices.Clone(s.reports)
	for i := range s.reports {
		s.reports[i].Collected = metav1.NewTime(now.UTC())
	}
	return s
}

func (d *redraw) draw(seen screenful) error {
	const home = "\x1b[H\x1b[J"
	var drawn bytes.Buffer
	var err error
	if len(seen.reports) == 0 {
		drawn.WriteString(d.nothing())
	} else if err = d.print(&drawn, seen.reports, seen.one); err != nil {
		return err
	}
	text := clip(drawn.String(), d.screen.Height)
	switch {
	case text == d.last:
	case d.screen.TTY:
		_, err = io.WriteString(d.session.Streams.Out, home+text)
	default:
		_, err = fmt.Fprintln(d.session.Streams.Out, text)
	}
	if err != nil {
		return fmt.Errorf("writing the screen: %w", err)
	}
	d.last = text
	return nil
}

// clip keeps the lines that fit, from the top, and no final line break.
func clip(text string, height int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	return strings.Join(lines, "\n")
}
