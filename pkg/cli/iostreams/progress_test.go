package iostreams_test

import (
	"bytes"
	"testing"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
)

func show(screen iostreams.Screen, steps ...[]iostreams.Line) string {
	var out bytes.Buffer
	p := iostreams.NewProgress(&out, screen)
	for _, step := range steps {
		p.Show(step)
	}
	return out.String()
}

func TestShow(t *testing.T) {
	first := []iostreams.Line{{Name: "a", Text: "0/2", Mark: iostreams.Warn}, {Name: "b", Text: "waits", Mark: iostreams.Warn}}
	second := []iostreams.Line{{Name: "a", Text: "2/2"}, {Name: "b", Text: "waits", Mark: iostreams.Warn}}
	for name, test := range map[string]struct {
		screen iostreams.Screen
		want   string
	}{
		"a pipe gets a line a change": {iostreams.Screen{}, "a: 0/2\nb: waits\na: 2/2\n"},
		"a terminal is drawn over": {
			iostreams.Screen{TTY: true, Width: 80},
			"\x1b[2K! a: 0/2\n\x1b[2K! b: waits\n\x1b[2A\x1b[2K+ a: 2/2\n\x1b[2K! b: waits\n\x1b[2A\x1b[2K+ a: 2/2\n\x1b[2K! b: waits\n",
		},
		"no line is longer than the terminal": {
			iostreams.Screen{TTY: true, Width: 6},
			"\x1b[2K! a...\n\x1b[2K! b...\n\x1b[2A\x1b[2K+ a...\n\x1b[2K! b...\n\x1b[2A\x1b[2K+ a...\n\x1b[2K! b...\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := show(test.screen, first, second, second); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
