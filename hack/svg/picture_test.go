package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPicture(t *testing.T) {
	text := "Health    \x1b[32m+\x1b[0m Healthy   <3 & \"all\"\n\n名 \x1b[31mx\x1b[0m lost\n"
	got := picture{title: "A <runtime>", command: "kubectl jindo status", text: text}.draw()
	wellFormed(t, got)
	for _, want := range []string{
		"<title id=\"title\">A &lt;runtime&gt;</title>",
		`<tspan x="100" textLength="8.4" lengthAdjust="spacingAndGlyphs" class="g">+</tspan>`,
		// A wide character takes two columns.
		`<tspan x="41.2" textLength="8.4" lengthAdjust="spacingAndGlyphs" class="r">x</tspan>`,
		"&lt;3 &amp; &#34;all&#34;", "prefers-color-scheme:dark", "$ kubectl jindo status",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.ContainsRune(got, '\x1b') {
		t.Error("an escape is in the picture")
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	for decoder := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
}

func TestRun(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		in   string
		want string
	}{
		"no title":     {nil, "x", "-title is missing"},
		"no text":      {[]string{"-title", "x"}, "", "no text"},
		"unknown flag": {[]string{"-out", "x"}, "x", "parse the flags"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(test.args, strings.NewReader(test.in), io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	var out bytes.Buffer
	if err := run([]string{"-title", "x"}, strings.NewReader("a\x00\x08\xff\x1b[2Jb\x1b]0;title\x07c"), &out); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, out.String())
	if !strings.Contains(out.String(), ">b<") || strings.Contains(out.String(), "0;title") {
		t.Errorf("got %s", out.String())
	}
}
