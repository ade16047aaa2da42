package wire

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// TestTag checks what becomes of the tags that stores send, and which of them a
// store may be asked to compare.
func TestTag(t *testing.T) {
	when := time.Unix(1000, 0)
	for _, test := range []struct{ sent, want, condition string }{
		{`"abc"`, `abc`, `"abc"`},
		{`abc`, `abc`, `"abc"`},
		{"\n  \"abc\" ", `abc`, `"abc"`},
		{`"*"`, `*`, `"*"`},
		{`"d41d8cd9-2"`, `d41d8cd9-2`, `"d41d8cd9-2"`},
		{`W/"abc"`, `W/"abc"`, ``},
		{`"W/abc"`, `W/abc`, ``},
		{`"a"b"`, `"a"b"`, ``},
		{`"a`, `"a`, ``},
		{`"`, `"`, ``},
		{`a b`, `a b`, ``},
		{"a\r\nX-Evil: 1", "a\r\nX-Evil: 1", ``},
		{"a\x00b", "a\x00b", ``},
		{"tag-\xf6", "tag-\xf6", ``},
		{`"~7-8"`, `~7-8`, ``},
		{``, `~1000-5`, ``},
		{`""`, `~1000-5`, ``},
		{`W/""`, `~1000-5`, ``},
	} {
		got, err := Tag(test.sent, 5, when)
		if err != nil || got != test.want {
			t.Errorf("Tag(%q) is %q, %v, want %q", test.sent, got, err, test.want)
		}
		condition := ""
		if c := Condition(got); c != nil {
			condition = *c
		}
		if condition != test.condition {
			t.Errorf("Condition(%q) is %q, want %q", got, condition, test.condition)
		}
		header := http.Header{}
		header.Set("If-Match", condition)
		if strings.ContainsAny(header.Get("If-Match"), "\r\n\x00") {
			t.Errorf("%q ends the header", test.sent)
		}
	}
	long, err := Tag(`"`+strings.Repeat("x", 1<<20)+`"`, 5, when)
	other, _ := Tag(`"`+strings.Repeat("x", 1<<20)+`y"`, 5, when)
	if err != nil || len(long) > maxTag || long == other || Condition(long) != nil {
		t.Errorf("a long tag is %q, another %q, %v", long, other, err)
	}
	later, _ := Tag("", 5, when.Add(time.Second))
	larger, _ := Tag("", 6, when)
	if later == larger || later == "~1000-5" || larger == "~1000-5" {
		t.Errorf("made tags do not change: %q, %q", later, larger)
	}
	if tag, err := Tag("", 5, time.Time{}); !errors.Is(err, ufs.ErrUnavailable) {
		t.Errorf("without a tag and a time: %q, %v", tag, err)
	}
}

func TestSameVersion(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{`abc`, `abc`, true},
		{`W/"abc"`, `W/"abc"`, true},
		{`abc`, `W/"abc"`, true},
		{`W/abc`, `W/"abc"`, true},
		{`abc`, `abd`, false},
		{`W/"abc"`, `W/"abd"`, false},
		{`abc`, ``, false},
		{`~1-5`, `~1-6`, false},
		{`abc`, `w/"abc"`, false},
	} {
		if got := SameVersion(test.a, test.b); got != test.same {
			t.Errorf("%q and %q: %v", test.a, test.b, got)
		}
		if got := SameVersion(test.b, test.a); got != test.same {
			t.Errorf("%q and %q: %v", test.b, test.a, got)
		}
	}
}

// TestPartTags checks that a store gets the tags of parts as it sent them.
func TestPartTags(t *testing.T) {
	for _, sent := range []string{`"abc"`, `W/"abc"`, `"a"b"`} {
		tag, err := PartTag(sent)
		if err != nil || QuotePart(tag) != sent {
			t.Errorf("%s is sent back as %s, %v", sent, QuotePart(tag), err)
		}
	}
	if _, err := PartTag(""); !errors.Is(err, ufs.ErrUnavailable) {
		t.Errorf("a part without a tag: %v", err)
	}
}

func FuzzCondition(f *testing.F) {
	f.Add(`"abc"`)
	f.Add("W/\"a\"")
	f.Add("a\r\nb")
	f.Fuzz(func(t *testing.T, sent string) {
		tag, err := Tag(sent, 1, time.Unix(1, 0))
		if err != nil || tag == "" {
			t.Fatalf("Tag(%q) is %q, %v", sent, tag, err)
		}
		if c := Condition(tag); c != nil && (len(*c) < 3 || strings.ContainsFunc((*c)[1:len(*c)-1], func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' })) {
			t.Errorf("Condition(%q) is %q", tag, *c)
		}
	})
}
