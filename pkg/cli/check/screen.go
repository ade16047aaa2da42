package check

import (
	"fmt"
	"io"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/printer"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
)

// label is the width of the categories at the left.
const label = 14

// defaultWidth is used where a line has no limit, for breaking sentences.
const defaultWidth = 120

// Draw writes a line a check, below its category, and the sum.
func Draw(w io.Writer, screen iostreams.Screen, r *CheckReport) error {
	var out strings.Builder
	last := ""
	for _, c := range r.Checks {
		name := ""
		if c.Category != last {
			name, last = c.Category, c.Category
			if iostreams.Width(name) >= label {
				out.WriteString(screen.Cut(name) + "\n")
				name = ""
			}
		}
		text := c.Message
		if c.State == Skipped {
			text = "skipped: " + text
		}
		lines := wrap(text, width(screen)-label-2)
		fmt.Fprintf(&out, "%-*s%s %s\n", label, name, mark(screen, c.State), lines[0])
		indent := strings.Repeat(" ", label+2)
		for _, line := range lines[1:] {
			out.WriteString(indent + line + "\n")
		}
		if c.State == Failed || c.State == Warning {
			out.WriteString(indent + "see " + c.See + "\n")
		}
	}
	out.WriteString("Result: " + sum(r) + "\n")
	return write(w, out.String())
}

// DrawShort writes only what failed or might fail, a line each without colour's
// help, fit for a message to somebody.
func DrawShort(w io.Writer, screen iostreams.Screen, r *CheckReport) error {
	var out strings.Builder
	for _, c := range r.Checks {
		if c.State == Failed || c.State == Warning {
			fmt.Fprintf(&out, "%s %s/%s: %s\n", mark(screen, c.State), c.Category, c.Name, c.Message)
		}
	}
	out.WriteString("Result: " + sum(r) + "\n")
	return write(w, out.String())
}

func write(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("writing the screen: %w", err)
	}
	return nil
}

func mark(screen iostreams.Screen, s State) string {
	switch s {
	case Passed:
		return screen.Mark(iostreams.Good)
	case Warning:
		return screen.Mark(iostreams.Warn)
	case Failed:
		return screen.Mark(iostreams.Bad)
	case Skipped:
	}
	return printer.None
}

// sum is "1 failed, 1 warning, 14 passed, 2 skipped".
func sum(r *CheckReport) string {
	text := fmt.Sprintf("%d failed, %s, %d passed", r.Failed, printer.Plural(r.Warnings, "warning"), r.Passed)
	if r.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", r.Skipped)
	}
	return text
}

func width(screen iostreams.Screen) int {
	if screen.Width <= 0 {
		return defaultWidth
	}
	return screen.Width
}

// wrap breaks a sentence between words; a word that is longer stays whole.
func wrap(text string, columns int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case iostreams.Width(line)+1+iostreams.Width(word) <= columns:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
