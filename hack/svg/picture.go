package main

import (
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
)

// Sizes in pixels: of one cell, and of the margin.
const (
	cell   = 8.4
	line   = 19
	margin = 16
)

// picture is the output of one command.
type picture struct{ title, command, text string }

// stretch is a part of a line in one colour.
type stretch struct {
	column int
	class  string
	text   string
}

const style = `<style>
.page{fill:#f6f8fa;stroke:#d0d7de}
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;fill:#1f2328;white-space:pre}
.r{fill:#cf222e}.g{fill:#1a7f37}.y{fill:#9a6700}.b{fill:#0969da}.m{fill:#8250df}.c{fill:#1b7c83}.dim{fill:#656d76}.bold{font-weight:bold}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117;stroke:#30363d}
text{fill:#e6edf3}
.r{fill:#ff7b72}.g{fill:#3fb950}.y{fill:#d29922}.b{fill:#58a6ff}.m{fill:#bc8cff}.c{fill:#39c5cf}.dim{fill:#8d96a0}
}
</style>
`

func (p picture) draw() string {
	lines := parse(p.text)
	if p.command != "" {
		lines = append([][]stretch{{{0, "dim", "$"}, {2, "bold", clean(p.command)}}}, lines...)
	}
	columns := 0
	for _, l := range lines {
		for _, s := range l {
			columns = max(columns, s.column+width(s.text))
		}
	}
	w, h := 2*margin+float64(columns)*cell, 2*margin+line*len(lines)
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%d" viewBox="0 0 %s %d" role="img" aria-labelledby="title desc">`+"\n",
		pixels(w), h, pixels(w), h)
	fmt.Fprintf(&out, "<title id=\"title\">%s</title>\n", html.EscapeString(clean(p.title)))
	fmt.Fprintf(&out, "<desc id=\"desc\">%s</desc>\n", html.EscapeString(plain(lines)))
	out.WriteString(style)
	fmt.Fprintf(&out, `<rect class="page" x="0.5" y="0.5" width="%s" height="%d" rx="8"/>`+"\n", pixels(w-1), h-1)
	for i, l := range lines {
		if len(l) == 0 {
			continue
		}
		fmt.Fprintf(&out, `<text y="%d" xml:space="preserve">`, margin+line*i+14)
		for _, s := range l {
			drawStretch(&out, s)
		}
		out.WriteString("</text>\n")
	}
	out.WriteString("</svg>\n")
	return out.String()
}

// drawStretch fixes the text to its columns, independently of the font.
func drawStretch(out *strings.Builder, s stretch) {
	class := ""
	if s.class != "" {
		class = fmt.Sprintf(` class="%s"`, s.class)
	}
	fmt.Fprintf(out, `<tspan x="%s" textLength="%s" lengthAdjust="spacingAndGlyphs"%s>%s</tspan>`,
		pixels(margin+float64(s.column)*cell), pixels(float64(width(s.text))*cell), class, html.EscapeString(s.text))
}

func pixels(x float64) string { return strconv.FormatFloat(x, 'f', -1, 32) }

func width(text string) int {
	condition := runewidth.Condition{}
	return condition.StringWidth(text)
}

var escapes = regexp.MustCompile("\x1b\\[([0-9;?]*)([A-Za-z])|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)")

// parse splits text into lines of stretches, without cursor movements.
func parse(text string) [][]stretch {
	var lines [][]stretch
	colour := ""
	for raw := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		var found []stretch
		column := 0
		add := func(part string) {
			part = clean(part)
			trimmed := strings.TrimLeft(part, " ")
			column += width(part) - width(trimmed)
			if shown := strings.TrimRight(trimmed, " "); shown != "" {
				found = append(found, stretch{column, colour, shown})
			}
			column += width(trimmed)
		}
		rest := raw
		for at := escapes.FindStringSubmatchIndex(rest); at != nil; at = escapes.FindStringSubmatchIndex(rest) {
			add(rest[:at[0]])
			if at[4] >= 0 && rest[at[4]:at[5]] == "m" {
				colour = paint(colour, rest[at[2]:at[3]])
			}
			rest = rest[at[1]:]
		}
		add(rest)
		lines = append(lines, found)
	}
	return lines
}

// paint returns the class after a change of colour.
func paint(before, codes string) string {
	now := before
	for code := range strings.SplitSeq(codes, ";") {
		switch code {
		case "", "0", "39", "22":
			now = ""
		case "1":
			now = strings.TrimSpace("bold " + now)
		case "2", "90":
			now = "dim"
		case "31", "91":
			now = "r"
		case "32", "92":
			now = "g"
		case "33", "93":
			now = "y"
		case "34", "94":
			now = "b"
		case "35", "95":
			now = "m"
		case "36", "96":
			now = "c"
		}
	}
	return now
}

// clean removes characters that XML does not allow.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ', r == 0x7f, r == 0xfffe, r == 0xffff:
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// plain returns the text for screen readers.
func plain(lines [][]stretch) string {
	var out strings.Builder
	for _, l := range lines {
		for i, s := range l {
			if i > 0 {
				out.WriteByte(' ')
			}
			out.WriteString(s.text)
		}
		out.WriteByte('\n')
	}
	return strings.TrimSpace(out.String())
}
