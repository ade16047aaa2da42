package raft

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// follow prints the groups every interval until the context is cancelled. On a
// terminal each screen replaces the one before; elsewhere a screen is written
// when it has changed. It stops at the first error of the source.
func (o *statusOptions) follow(ctx context.Context, source report.Source, name string) error {
	last := ""
	for {
		found, failed, err := o.collect(ctx, source, name)
		if ctx.Err() != nil {
			return nil // interrupted
		}
		if err != nil {
			return err
		}
		var screen strings.Builder
		if err := o.print(ctx, &screen, found); err != nil {
			return err
		}
		for _, err := range failed {
			fmt.Fprintf(&screen, "! %v\n", err)
		}
		if text := screen.String(); text != last {
			if err := o.redraw(text); err != nil {
				return err
			}
			last = text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.interval):
		}
	}
}

func (o *statusOptions) redraw(text string) error {
	const home = "\x1b[H\x1b[J"
	if o.session.Screen().TTY {
		text = home + text
	} else {
		text += "\n"
	}
	if _, err := io.WriteString(o.session.Streams.Out, text); err != nil {
		return fmt.Errorf("write the screen: %w", err)
	}
	return nil
}
