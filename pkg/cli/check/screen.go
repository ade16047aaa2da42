package check

import (
	"fmt"
	"io"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
)

// label is the width of the first column.
const label = 14

// defaultWidth wraps sentences where the width is unlimited.
const defaultWidth = 120

// Draw writes a line for each check, and the totals. Checks that did not run
// because a fatal one failed are one line.
func Draw(w io.Writer, screen iostreams.Screen, r *CheckReport) error {
	var out strings.Builder
	last, notShown, reason := "", 0, ""
	for _, c := range r.Checks {
		if why, skipped := strings.CutPrefix(c.Message, notRun); skipped {
			notShown, reason = notShown+1, why
			continue
		}
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
		text, remedy, hasRemedy := strings.Cut(text, ": kubectl ")
		lines := wrap(text, width(screen)-label-2)
		if hasRemedy { // commands stay in one line, to be copied
			lines = append(lines, "kubectl "+remedy)
		}
		fmt.Fprintf(&out, "%-*s%s %s\n", label, name, mark(screen, c.State), lines[0])
		indent := strings.Repeat(" ", label+2)
		for _, line := range lines[1:] {
			out.WriteString(indent + line + "\n")
		}
		if c.State == Failed || c.State == Warning {
			out.WriteString(indent + "see " + c.See + "\n")
		}
	}
	if notShown > 0 {
		fmt.Fprintf(&out, "%-*s%s %s not run: %s\n", label, "", printer.None, printer.Plural(notShown, "check"), reason)
	}
	out.WriteString("Result: " + sum(r) + "\n")
	return write(w, out.String())
}

// DrawShort writes a line for each failure and warning, and the totals.
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
		return fmt.Errorf("write the screen: %w", err)
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

// sum returns "1 failed, 1 warning, 14 passed, 2 skipped".
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

// wrap splits a sentence into lines between words; a longer word stays whole.
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
