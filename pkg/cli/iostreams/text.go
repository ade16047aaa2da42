package iostreams

import (
	"regexp"
	"strings"
	"sync"

	"github.com/mattn/go-runewidth"
)

var escape = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("\x1b\\[[0-9;]*m") })

// Width returns the number of columns that a text takes. Colour takes none.
func Width(text string) int {
	condition := runewidth.Condition{}
	return condition.StringWidth(escape().ReplaceAllString(text, ""))
}

// Cut truncates a line to the width of the screen, with an ellipsis. A line that
// is truncated loses its colour.
func (s Screen) Cut(text string) string {
	if s.Width <= 0 || Width(text) <= s.Width {
		return text
	}
	condition := runewidth.Condition{}
	return condition.Truncate(escape().ReplaceAllString(text, ""), s.Width, s.Ellipsis())
}

// minWrap is the least number of columns that Wrap uses, however narrow the
// screen is.
const minWrap = 20

// Wrap breaks a text between words so that every line fits the screen beside an
// indent of that many columns. A word that is longer than a line is broken, and
// nothing is lost. Without a width the text is one line.
func (s Screen) Wrap(text string, indent int) []string {
	words := strings.Fields(text)
	if s.Width <= 0 {
		return []string{strings.Join(words, " ")}
	}
	limit := max(s.Width-indent, minWrap)
	var lines []string
	line := ""
	for _, word := range words {
		if line != "" && Width(line)+1+Width(word) <= limit {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for Width(word) > limit {
			head := prefix(word, limit)
			lines, word = append(lines, head), word[len(head):]
		}
		line = word
	}
	return append(lines, line)
}

// prefix returns as many characters as fit into limit columns, and at least one.
func prefix(word string, limit int) string {
	columns := 0
	for i, r := range word {
		columns += runewidth.RuneWidth(r)
		if columns > limit && i > 0 {
			return word[:i]
		}
	}
	return word
}
