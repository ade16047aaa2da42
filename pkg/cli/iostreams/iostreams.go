// Package iostreams describes the streams a command prints to: their width, and
// whether they show colour and more than ASCII. It also fits text into a screen
// and prints progress. A Screen is detected once for each stream and passed down;
// no other package reads the environment for it.
package iostreams

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// Screen describes a stream that text is printed to.
type Screen struct {
	// Width is in columns; 0 means no limit, as for a pipe or file.
	Width int
	// Height is in lines; 0 means no limit.
	Height int
	// TTY is true for a terminal.
	TTY     bool
	Colour  bool
	Unicode bool
}

// ColourFlag is the value of --color.
type ColourFlag string

// The values of --color.
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
	return clierror.Usagef("invalid colour mode %q: must be auto, always or never", text)
}

// String implements pflag.Value.
func (c *ColourFlag) String() string { return string(*c) }

// Type implements pflag.Value.
func (c *ColourFlag) Type() string { return "auto|always|never" }

// Detect returns the properties of out. For colour the flag takes precedence over
// NO_COLOR, which takes precedence over CLICOLOR_FORCE; without any of them a
// terminal shows colour unless TERM is dumb. COLUMNS overrides the width of a
// terminal.
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
	s.Unicode = acceptsUTF8(getenv)
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

// acceptsUTF8 reads the variables in the order of the C library.
func acceptsUTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(getenv(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// Mark is the symbol of a state at the start of a line.
type Mark int

// The marks.
const (
	Good Mark = iota
	Warn
	Bad
)

// Mark returns "+", "!" or "x", which are the only coloured text on a screen.
func (s Screen) Mark(m Mark) string {
	const reset = "\x1b[0m"
	text := [...]string{Good: "+", Warn: "!", Bad: "x"}[m]
	if !s.Colour {
		return text
	}
	return [...]string{Good: "\x1b[32m", Warn: "\x1b[33m", Bad: "\x1b[31m"}[m] + text + reset
}

// Arrow returns the symbol between a source and a target.
func (s Screen) Arrow() string { return s.pick("→", "->") }

// Dot returns the separator between parts of a line.
func (s Screen) Dot() string { return s.pick("·", "-") }

// Ellipsis returns the symbol for omitted text.
func (s Screen) Ellipsis() string { return s.pick("…", "...") }

// Bar returns a bar of that many columns, filled to a share between 0 and 1.
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
