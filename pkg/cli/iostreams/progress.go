package iostreams

import (
	"fmt"
	"io"
	"strings"
)

// Line is the state of one object in a Progress.
type Line struct {
	// Name of the object, such as dataset.data.fluid.io/hbase. It must be unique.
	Name string
	Mark Mark
	// Text describes the state.
	Text string
}

// Progress prints the state of several objects as it changes: on a terminal it
// redraws a few lines in place, elsewhere it prints a line whenever one changes,
// which keeps the log of a CI job readable. It is not safe for concurrent use.
type Progress struct {
	w      io.Writer
	screen Screen
	last   map[string]string
	drawn  int
}

// NewProgress returns a Progress that prints to w, whose properties are screen.
func NewProgress(w io.Writer, screen Screen) *Progress {
	return &Progress{w: w, screen: screen, last: map[string]string{}}
}

// Show prints the present state. Errors of the writer are ignored: progress is
// not the result of a command.
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
		out.WriteString("\x1b[2K" + p.screen.Cut(text) + "\n")
	}
	if len(lines) < p.drawn {
		out.WriteString("\x1b[J")
	}
	p.drawn = len(lines)
	_, _ = io.WriteString(p.w, out.String())
}
