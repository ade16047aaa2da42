// Package iostreams is what a command may assume of the place its result goes
// to: how wide it is, whether it shows colour, whether it shows more than
// ASCII. It is decided once and passed down; nothing asks the environment
// twice.
package iostreams

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// Screen is where a result goes.
type Screen struct {
	// Width in columns; 0 is no limit, as for a pipe or file.
	Width int
	// Height in lines; 0 is no limit.
	Height int
	// TTY: a person looks at it.
	TTY     bool
	Colour  bool
	Unicode bool
}

// ColourFlag is the value of --color.
type ColourFlag string

// Values of --color.
const (
	Auto   ColourFlag = "auto"
	Always ColourFlag = "always"
	Never  ColourFlag = "never"
)

// Set implements pflag.Value.
func (c *ColourFlag) Set(text string) error {
	switch ColourFlag(text) {
	case Auto, Always, Never:
		*c = ColourFlag(text)
		return nil
	}
	return clierror.Usagef("%q is none of auto, always, never", text)
}

// String implements pflag.Value.
func (c *ColourFlag) String() string { return string(*c) }

// Type implements pflag.Value.
func (c *ColourFlag) Type() string { return "auto|always|never" }

// Detect decides what out can show. The flag goes before NO_COLOR, that before
// CLICOLOR_FORCE, that before whether out is a terminal that is not dumb.
// COLUMNS overrides the width of a terminal.
func Detect(out io.Writer, colour ColourFlag, getenv func(string) string) Screen {
	var s Screen
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		s.TTY = true
		if width, height, err := term.GetSize(int(file.Fd())); err == nil {
			s.Width, s.Height = width, height
		}
	}
	if columns, err := strconv.Atoi(getenv("COLUMNS")); err == nil && columns > 0 {
		s.Width = columns
	}
	s.Unicode = speaksUTF8(getenv)
	s.Colour = colours(colour, s.TTY, getenv)
	return s
}

func colours(flag ColourFlag, tty bool, getenv func(string) string) bool {
	force := getenv("CLICOLOR_FORCE")
	switch {
	case flag == Always:
		return true
	case flag == Never, getenv("NO_COLOR") != "":
		return false
	case force != "" && force != "0":
		return true
	}
	return tty && getenv("TERM") != "dumb"
}

// speaksUTF8 follows the order in which the C library looks at the variables.
func speaksUTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(getenv(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// Mark is a symbol in front of a line.
type Mark int

// The marks.
const (
	Good Mark = iota
	Warn
	Bad
)

// Mark as text: "+", "!" or "x", the only coloured things on a screen.
func (s Screen) Mark(m Mark) string {
	const reset = "\x1b[0m"
	text := [...]string{Good: "+", Warn: "!", Bad: "x"}[m]
	if !s.Colour {
		return text
	}
	return [...]string{Good: "\x1b[32m", Warn: "\x1b[33m", Bad: "\x1b[31m"}[m] + text + reset
}

// Arrow leads from one thing to another. It, Dot and Ellipsis have an ASCII
// form.
func (s Screen) Arrow() string { return s.pick("→", "->") }

// Dot separates parts of a line.
func (s Screen) Dot() string { return s.pick("·", "-") }

// Ellipsis stands for what was cut.
func (s Screen) Ellipsis() string { return s.pick("…", "...") }

// Bar draws a share between 0 and 1 over the given number of columns.
func (s Screen) Bar(share float64, columns int) string {
	share = min(max(share, 0), 1)
	full := int(share*float64(columns) + 0.5)
	return strings.Repeat(s.pick("█", "#"), full) + strings.Repeat(s.pick("░", "."), columns-full)
}

func (s Screen) pick(unicode, ascii string) string {
	if s.Unicode {
		return unicode
	}
	return ascii
}
