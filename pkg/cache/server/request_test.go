package server

import (
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseObject(t *testing.T) {
	good := func() http.Header {
		return http.Header{"If-Match": {`"e"`}, "Range": {"bytes=1-4"}, headerSize: {"10"}}
	}
	for _, c := range []struct {
		name, path string
		change     func(http.Header)
		code       string // "" for a good one
	}{
		{"plain", "/v1/objects/m/a", nil, ""},
		{"escaped", "/v1/objects/m/a%2Fb/%20//c", nil, ""},
		{"no key", "/v1/objects/m", nil, codeInvalid},
		{"empty key", "/v1/objects/m/", nil, codeInvalid},
		{"no mount", "/v1/objects//a", nil, codeInvalid},
		{"bad escape", "/v1/objects/m/%zz", nil, codeInvalid},
		{"another path", "/v2/objects/m/a", nil, codeInvalid},
		{"no tag", "/v1/objects/m/a", func(h http.Header) { h.Del("If-Match") }, codeInvalid},
		{"any tag", "/v1/objects/m/a", func(h http.Header) { h.Set("If-Match", "*") }, codeInvalid},
		{"weak tag", "/v1/objects/m/a", func(h http.Header) { h.Set("If-Match", `W/"e"`) }, codeInvalid},
		{"two tags", "/v1/objects/m/a", func(h http.Header) { h.Set("If-Match", `"e", "f"`) }, codeInvalid},
		{"empty tag", "/v1/objects/m/a", func(h http.Header) { h.Set("If-Match", `""`) }, codeInvalid},
		{"no size", "/v1/objects/m/a", func(h http.Header) { h.Del(headerSize) }, codeInvalid},
		{"signed size", "/v1/objects/m/a", func(h http.Header) { h.Set(headerSize, "+10") }, codeInvalid},
		{"huge size", "/v1/objects/m/a", func(h http.Header) { h.Set(headerSize, "9223372036854775807") }, codeInvalid},
		{"no range", "/v1/objects/m/a", func(h http.Header) { h.Del("Range") }, codeInvalid},
		{"open range", "/v1/objects/m/a", func(h http.Header) { h.Set("Range", "bytes=1-") }, codeInvalid},
		{"suffix range", "/v1/objects/m/a", func(h http.Header) { h.Set("Range", "bytes=-5") }, codeInvalid},
		{"two ranges", "/v1/objects/m/a", func(h http.Header) { h.Set("Range", "bytes=1-2,4-5") }, codeInvalid},
		{"backwards", "/v1/objects/m/a", func(h http.Header) { h.Set("Range", "bytes=4-1") }, codeInvalid},
		{"past the end", "/v1/objects/m/a", func(h http.Header) { h.Set("Range", "bytes=10-11") }, codeInvalidRange},
		{"reaching past the end", "/v1/objects/m/a", func(h http.Header) { h.Set("Range", "bytes=9-99") }, ""},
		{"of an empty object", "/v1/objects/m/a", func(h http.Header) { h.Set(headerSize, "0") }, codeInvalidRange},
		{"only cached", "/v1/objects/m/a", func(h http.Header) { h.Set(headerCached, "1") }, ""},
		{"only cached, somehow", "/v1/objects/m/a", func(h http.Header) { h.Set(headerCached, "yes") }, codeInvalid},
		{"long key", "/v1/objects/m/" + strings.Repeat("a", 9000), nil, codeInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := good()
			if c.change != nil {
				c.change(h)
			}
			r, f := parseObject(c.path, h)
			switch {
			case f == nil && c.code != "":
				t.Errorf("accepted: %+v", r)
			case f != nil && f.Code != c.code:
				t.Errorf("refused with %s: %s", f.Code, f.Message)
			}
		})
	}
}

func TestPathsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mount, key := rapid.StringN(1, 10, -1).Draw(t, "mount"), rapid.StringN(1, 40, -1).Draw(t, "key")
		gotMount, gotKey, ok := parsePath(objectPath(mount, key))
		if !ok || gotMount != mount || gotKey != key {
			t.Fatalf("got %q %q %v", gotMount, gotKey, ok)
		}
	})
}

func FuzzParseObject(f *testing.F) {
	f.Add("/v1/objects/m/a", `"e"`, "bytes=0-9", "10", "")
	f.Add("/v1/objects/m%2F/%00/..//a", `"\"`, "bytes=9-99999999999999999999", "1", "1")
	f.Add("", "", "bytes=-", "-1", "0")
	f.Fuzz(func(t *testing.T, path, tag, span, size, cached string) {
		h := http.Header{"If-Match": {tag}, "Range": {span}, headerSize: {size}, headerCached: {cached}}
		r, refused := parseObject(path, h)
		if refused != nil {
			if refused.Status < 400 || refused.Code == "" {
				t.Errorf("refused with %+v", refused)
			}
			return
		}
		if err := r.key.Validate(); err != nil {
			t.Error(err)
		}
		if r.first < 0 || r.first > r.last || r.last >= r.key.Size {
			t.Errorf("range %d-%d of %d", r.first, r.last, r.key.Size)
		}
	})
}

func FuzzParseContentRange(f *testing.F) {
	f.Add("bytes 0-9/10")
	f.Add("bytes */10")
	f.Add("bytes 5-4/3")
	f.Fuzz(func(t *testing.T, s string) {
		if first, last, size, ok := parseContentRange(s); ok && (first < 0 || first > last || last >= size) {
			t.Errorf("%q: %d-%d/%d", s, first, last, size)
		}
	})
}

func FuzzDecodeView(f *testing.F) {
	good, err := encodeView(oneMount())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(viewMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if view, err := decodeView(raw); err == nil && view == nil {
			t.Error("neither a view nor an error")
		}
	})
}
