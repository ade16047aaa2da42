// Package progress shows on stderr how something gets on: on a terminal a few
// lines that are drawn over and over, elsewhere one line whenever one changes,
// so that a log of CI can be read afterwards.
package progress

import (
	"fmt"
	"io"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/cli/table"
)

// Line about one thing.
type Line struct {
	// Name of the thing: dataset.data.fluid.io/hbase.
	Name string
	Mark iostreams.Mark
	// Text says how it is.
	Text string
}

// Progress of several things. It is not for several goroutines.
type Progress struct {
	w      io.Writer
	screen iostreams.Screen
	last   map[string]string
	drawn  int
}

// New shows progress on the session's stderr.
func New(s *session.Session) *Progress {
	return On(s.Streams.ErrOut, iostreams.Detect(s.Streams.ErrOut, s.Colour, s.Getenv))
}

// On shows progress on w, which is such a screen.
func On(w io.Writer, screen iostreams.Screen) *Progress {
	return &Progress{w: w, screen: screen, last: map[string]string{}}
}

// Show how everything is now.
func (p *Progress) Show(lines []Line) {
	if p.screen.TTY {
		p.redraw(lines)
		return
	}
	for _, line := range lines {
		text := line.Name + ": " + line.Text
		if p.last[line.Name] == text {
			continue
		}
		p.last[line.Name] = text
		_, _ = fmt.Fprintln(p.w, text)
	}
}

func (p *Progress) redraw(lines []Line) {
	var out strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", p.drawn)
	}
	for _, line := range lines {
		text := p.screen.Mark(line.Mark) + " " + line.Name + ": " + line.Text
		out.WriteString("\x1b[2K" + table.Cut(text, p.screen) + "\n")
	}
	if len(lines) < p.drawn {
		out.WriteString("\x1b[J")
	}
	p.drawn = len(lines)
	_, _ = io.WriteString(p.w, out.String())
}
