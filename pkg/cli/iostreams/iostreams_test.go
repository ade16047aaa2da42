package iostreams

import (
	"bytes"
	"testing"
)

func TestColourOrder(t *testing.T) {
	for name, test := range map[string]struct {
		flag ColourFlag
		tty  bool
		env  map[string]string
		want bool
	}{
		"a pipe":                         {flag: Auto},
		"a terminal":                     {flag: Auto, tty: true, want: true},
		"a dumb terminal":                {flag: Auto, tty: true, env: map[string]string{"TERM": "dumb"}},
		"NO_COLOR on a terminal":         {flag: Auto, tty: true, env: map[string]string{"NO_COLOR": "1"}},
		"CLICOLOR_FORCE in a pipe":       {flag: Auto, env: map[string]string{"CLICOLOR_FORCE": "1"}, want: true},
		"CLICOLOR_FORCE=0 in a pipe":     {flag: Auto, env: map[string]string{"CLICOLOR_FORCE": "0"}},
		"NO_COLOR precedes the force":    {flag: Auto, env: map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}},
		"the flag precedes NO_COLOR":     {flag: Always, env: map[string]string{"NO_COLOR": "1"}, want: true},
		"the flag precedes the force":    {flag: Never, tty: true, env: map[string]string{"CLICOLOR_FORCE": "1"}},
		"the flag precedes the terminal": {flag: Never, tty: true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := colours(test.flag, test.tty, func(name string) string { return test.env[name] }); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestDetect(t *testing.T) {
	env := map[string]string{"COLUMNS": "77", "LANG": "en_US.UTF-8", "LC_ALL": "C"}
	s := Detect(&bytes.Buffer{}, Auto, func(name string) string { return env[name] })
	if s.TTY || s.Width != 77 || s.Unicode {
		t.Errorf("got %+v, want a pipe of 77 columns in ASCII: LC_ALL precedes LANG", s)
	}
	delete(env, "LC_ALL")
	env["COLUMNS"] = "-3"
	s = Detect(&bytes.Buffer{}, Auto, func(name string) string { return env[name] })
	if s.Width != 0 || !s.Unicode {
		t.Errorf("got %+v", s)
	}
}

func TestBar(t *testing.T) {
	ascii, unicode := Screen{}, Screen{Unicode: true}
	for _, test := range []struct {
		screen  Screen
		share   float64
		columns int
		want    string
	}{
		{ascii, 0.5, 4, "##.."}, {ascii, 0, 3, "..."}, {ascii, 1, 3, "###"}, {ascii, 7, 3, "###"}, {ascii, -1, 3, "..."}, {unicode, 0.34, 3, "█░░"},
	} {
		if got := test.screen.Bar(test.share, test.columns); got != test.want {
			t.Errorf("%v of %d: got %q, want %q", test.share, test.columns, got, test.want)
		}
	}
}

func TestColourFlag(t *testing.T) {
	var flag ColourFlag
	if err := flag.Set("always"); err != nil || flag != Always {
		t.Errorf("got %q, error %v", flag, err)
	}
	if err := flag.Set("green"); err == nil || flag != Always {
		t.Errorf("got %q, error %v", flag, err)
	}
}
