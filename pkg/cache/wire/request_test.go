package wire

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseRequest(t *testing.T) {
	const path = "/v1/objects/m/a"
	set := func(name, value string) func(http.Header) {
		return func(h http.Header) { h.Set(name, value) }
	}
	remove := func(name string) func(http.Header) {
		return func(h http.Header) { h.Del(name) }
	}
	for _, c := range []struct {
		name, path string
		change     func(http.Header)
		code       Code // "" if the request is valid
	}{
		{"plain", path, nil, ""},
		{"escaped", "/v1/objects/m/a%2Fb/%20//c", nil, ""},
		{"no key", "/v1/objects/m", nil, CodeInvalid},
		{"empty key", "/v1/objects/m/", nil, CodeInvalid},
		{"no mount", "/v1/objects//a", nil, CodeInvalid},
		{"invalid escape", "/v1/objects/m/%zz", nil, CodeInvalid},
		{"another path", "/v2/objects/m/a", nil, CodeInvalid},
		{"no tag", path, remove("If-Match"), CodeInvalid},
		{"any tag", path, set("If-Match", "*"), CodeInvalid},
		{"weak tag", path, set("If-Match", `W/"e"`), CodeInvalid},
		{"two tags", path, set("If-Match", `"e", "f"`), CodeInvalid},
		{"empty tag", path, set("If-Match", `""`), CodeInvalid},
		{"no size", path, remove(HeaderSize), CodeInvalid},
		{"signed size", path, set(HeaderSize, "+10"), CodeInvalid},
		{"size out of range", path, set(HeaderSize, "9223372036854775808"), CodeInvalid},
		{"no range", path, remove("Range"), CodeInvalid},
		{"open range", path, set("Range", "bytes=1-"), CodeInvalid},
		{"suffix range", path, set("Range", "bytes=-5"), CodeInvalid},
		{"two ranges", path, set("Range", "bytes=1-2,4-5"), CodeInvalid},
		{"reversed range", path, set("Range", "bytes=4-1"), CodeInvalid},
		{"range past the end", path, set("Range", "bytes=10-11"), CodeInvalidRange},
		{"range that reaches past the end", path, set("Range", "bytes=9-99"), ""},
		{"range of an empty object", path, set(HeaderSize, "0"), CodeInvalidRange},
		{"only if cached", path, set(HeaderOnlyIfCached, "1"), ""},
		{"only if cached, invalid", path, set(HeaderOnlyIfCached, "yes"), CodeInvalid},
		{"invalid ring epoch", path, set(HeaderRingEpoch, "-1"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{"If-Match": {`"e"`}, "Range": {"bytes=1-4"}, HeaderSize: {"10"}}
			if c.change != nil {
				c.change(h)
			}
			r, f := ParseRequest(c.path, h)
			switch {
			case f == nil && c.code != "":
				t.Errorf("accepted: %+v", r)
			case f != nil && f.Code != c.code:
				t.Errorf("code %q (%s), want %q", f.Code, f.Message, c.code)
			}
		})
	}
}

// The names are part of the protocol: workers and clients of different versions
// run side by side.
func TestNamesOnTheWire(t *testing.T) {
	r := Request{Mount: "m 1", Key: "dir/ä b//?#%", ETag: "e", Size: 10, First: 1, Last: 4, OnlyIfCached: true, RingEpoch: 7}
	request, err := NewHTTPRequest(t.Context(), "worker-0:18005", r)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := request.URL.String(), "https://worker-0:18005/v1/objects/m%201/dir/%C3%A4%20b//%3F%23%25"; got != want {
		t.Errorf("URL is %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"If-Match": `"e"`, "Range": "bytes=1-4", "Jindo-Size": "10", "Jindo-Ring-Epoch": "7", "Jindo-Only-If-Cached": "1",
	} {
		if got := request.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	h := http.Header{}
	Epochs{Ring: 1, Mount: 2, View: 3}.SetHeader(h)
	Content{ETag: "e", First: 1, Last: 4, Size: 10, Source: "store"}.SetHeader(h)
	for name, want := range map[string]string{
		"Jindo-Ring-Epoch": "1", "Jindo-Mount-Epoch": "2", "Jindo-View-Index": "3", "Jindo-Source": "store",
		"Content-Range": "bytes 1-4/10", "Content-Length": "4", "ETag": `"e"`,
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name := range h {
		if http.CanonicalHeaderKey(name) != name {
			t.Errorf("%s is not in canonical form", name)
		}
	}
}

// drawTag draws an entity tag, which may hold any byte.
func drawTag(t *rapid.T) string {
	return string(rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "etag"))
}

func TestRequestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 1<<46).Draw(t, "size")
		want := Request{
			Mount: string(rapid.SliceOfN(rapid.Byte(), 1, 10).Draw(t, "mount")),
			Key:   string(rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "key")),
			ETag:  drawTag(t), Size: size, First: rapid.Int64Range(0, size-1).Draw(t, "first"),
			OnlyIfCached: rapid.Bool().Draw(t, "cached"), RingEpoch: rapid.Uint64().Draw(t, "epoch"),
		}
		want.Last = rapid.Int64Range(want.First, size-1).Draw(t, "last")
		request, err := NewHTTPRequest(t.Context(), "127.0.0.1:1", want)
		if err != nil {
			t.Fatal(err)
		}
		got, f := ParseRequest(request.URL.EscapedPath(), request.Header)
		if f != nil || got != want {
			t.Fatalf("decoded %+v, %+v, want %+v", got, f, want)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	f.Add("/v1/objects/m/a", `"e"`, "bytes=0-9", "10", "", "3")
	f.Add("/v1/objects/m%2F/%00/..//a", `"\"`, "bytes=9-99999999999999999999", "1", "1", "-1")
	f.Add("/v1/objects/"+strings.Repeat("a/", 5000), `"`+strings.Repeat("e", 5000)+`"`, "bytes=0-0", "9223372036854775807", "1", "")
	f.Add("", "", "bytes=-", "-1", "0", "18446744073709551616")
	f.Fuzz(func(t *testing.T, path, tag, span, size, cached, epoch string) {
		h := http.Header{"If-Match": {tag}, "Range": {span}, HeaderSize: {size}, HeaderOnlyIfCached: {cached}, HeaderRingEpoch: {epoch}}
		r, failure := ParseRequest(path, h)
		if failure != nil {
			if failure.Message == "" || !failure.Code.fits(failure.Status) {
				t.Errorf("failure %+v", failure)
			}
			return
		}
		if r.Mount == "" || r.Key == "" || r.ETag == "" || r.First < 0 || r.First > r.Last || r.Last >= r.Size || r.Length() <= 0 {
			t.Errorf("accepted %+v", r)
		}
		again, failure := ParseRequest(ObjectPath(r.Mount, r.Key), http.Header{
			"If-Match": {formatETag(r.ETag)}, "Range": {formatRange(r.First, r.Last)}, HeaderSize: {strconv.FormatInt(r.Size, 10)},
			HeaderOnlyIfCached: {cached}, HeaderRingEpoch: {epoch},
		})
		if failure != nil || again != r {
			t.Errorf("encoded again: %+v, %+v, want %+v", again, failure, r)
		}
	})
}
