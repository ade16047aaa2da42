package wire

import (
	"errors"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func TestCheckSpan(t *testing.T) {
	for _, test := range []struct {
		name         string
		r            ufs.Range
		status       int
		length       int64
		contentRange string
		want         Span
		refused      bool
	}{
		{"whole", ufs.Whole, 200, 10, "", Span{10, 10}, false},
		{"a range", ufs.Range{Offset: 2, Length: 3}, 206, 3, "bytes 2-4/10", Span{3, 10}, false},
		{"cut at the end", ufs.Range{Offset: 8, Length: 5}, 206, 2, "bytes 8-9/10", Span{2, 10}, false},
		{"to the end", ufs.Range{Offset: 8, Length: -1}, 206, 2, "bytes 8-9/10", Span{2, 10}, false},
		{"ignored at the start", ufs.Range{Offset: 0, Length: 3}, 200, 10, "", Span{3, 10}, false},
		{"ignored at the start of less", ufs.Range{Offset: 0, Length: 30}, 200, 10, "", Span{10, 10}, false},
		{"ignored elsewhere", ufs.Range{Offset: 2, Length: 3}, 200, 10, "", Span{}, true},
		{"elsewhere", ufs.Range{Offset: 2, Length: 3}, 206, 3, "bytes 3-5/10", Span{}, true},
		{"shorter", ufs.Range{Offset: 2, Length: 3}, 206, 2, "bytes 2-3/10", Span{}, true},
		{"longer", ufs.Range{Offset: 2, Length: 3}, 206, 4, "bytes 2-5/10", Span{}, true},
		{"length contradicts", ufs.Range{Offset: 2, Length: 3}, 206, 2, "bytes 2-4/10", Span{}, true},
		{"no range", ufs.Range{Offset: 2, Length: 3}, 206, 3, "", Span{}, true},
		{"unknown size", ufs.Range{Offset: 2, Length: 3}, 206, 3, "bytes 2-4/*", Span{}, true},
		{"no length", ufs.Whole, 200, -1, "", Span{}, true},
		{"another status", ufs.Whole, 204, 0, "", Span{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := CheckSpan(test.r, test.status, test.length, test.contentRange)
			if test.refused {
				if !errors.Is(err, ufs.ErrUnavailable) {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestRangeHeader(t *testing.T) {
	for want, r := range map[string]ufs.Range{
		"":           ufs.Whole,
		"bytes=0-0":  {Offset: 0, Length: 1},
		"bytes=5-":   {Offset: 5, Length: -1},
		"bytes=5-14": {Offset: 5, Length: 10},
	} {
		if got := RangeHeader(r); got != want {
			t.Errorf("%+v is written %q, want %q", r, got, want)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-9/10", "bytes 0-9/*", "bytes */10", "", "bytes 9-0/10", "bytes 0-9223372036854775807/9223372036854775808", "bytes -1-2/3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		first, last, size, ok := parseContentRange(header)
		if ok && (first < 0 || first > last || last >= size) {
			t.Errorf("%q was read as %d-%d/%d", header, first, last, size)
		}
		if ok && SizeOf(header) != size {
			t.Errorf("%q has size %d", header, SizeOf(header))
		}
	})
}
