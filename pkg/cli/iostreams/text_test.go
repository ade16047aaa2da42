package iostreams_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
)

func TestWrap(t *testing.T) {
	for name, test := range map[string]struct {
		text          string
		width, indent int
		want          []string
	}{
		"no width":       {"one  two\nthree", 0, 10, []string{"one two three"}},
		"it fits":        {"one two", 30, 10, []string{"one two"}},
		"between words":  {"the store refuses the credentials", 32, 10, []string{"the store refuses the", "credentials"}},
		"a long word":    {"see https://example.org/a/very/long/path", 30, 10, []string{"see", "https://example.org/", "a/very/long/path"}},
		"wide runes":     {"数据数据数据数据数据数据", 30, 10, []string{"数据数据数据数据数据", "数据"}},
		"a narrow place": {"one two three four five six", 12, 10, []string{"one two three four", "five six"}},
		"empty":          {"", 80, 10, []string{""}},
	} {
		if got := (iostreams.Screen{Width: test.width}).Wrap(test.text, test.indent); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestWrapLosesNothing: at every width all words are printed and no line is too long.
func TestWrapLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("ab数 "))).Draw(t, "text")
		width, indent := rapid.IntRange(1, 60).Draw(t, "width"), rapid.IntRange(0, 15).Draw(t, "indent")
		lines := iostreams.Screen{Width: width}.Wrap(text, indent)
		if got, want := strings.ReplaceAll(strings.Join(lines, ""), " ", ""), strings.ReplaceAll(text, " ", ""); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
		for _, line := range lines {
			if iostreams.Width(line) > max(width-indent, 20) {
				t.Fatalf("%q is too long for %d columns", line, width-indent)
			}
		}
	})
}
