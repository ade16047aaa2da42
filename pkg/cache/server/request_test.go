package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// TestParseObject covers what the block store requires beyond package wire.
func TestParseObject(t *testing.T) {
	for name, c := range map[string]struct {
		path, etag, size string
		code             wire.Code // "" if the request is valid
	}{
		"valid":           {"/v1/objects/m/a", `"e"`, "10", ""},
		"malformed":       {"/v1/objects/m", `"e"`, "10", wire.CodeInvalid},
		"long mount":      {"/v1/objects/" + strings.Repeat("m", 300) + "/a", `"e"`, "10", wire.CodeInvalid},
		"long key":        {"/v1/objects/m/" + strings.Repeat("a", 9000), `"e"`, "10", wire.CodeInvalid},
		"long entity tag": {"/v1/objects/m/a", `"` + strings.Repeat("e", 2000) + `"`, "10", wire.CodeInvalid},
		"huge size":       {"/v1/objects/m/a", `"e"`, "9223372036854775807", wire.CodeInvalid},
	} {
		h := http.Header{"If-Match": {c.etag}, "Range": {"bytes=1-4"}, wire.HeaderSize: {c.size}}
		r, f := parseObject(c.path, h)
		switch {
		case f == nil && c.code != "":
			t.Errorf("%s: accepted as %+v", name, r)
		case f != nil && f.Code != c.code:
			t.Errorf("%s: code %q (%s), want %q", name, f.Code, f.Message, c.code)
		}
	}
}

func FuzzParseObject(f *testing.F) {
	f.Add("/v1/objects/m/a", `"e"`, "bytes=0-9", "10")
	f.Add("/v1/objects/m%2F/%00/..//a", `"\"`, "bytes=9-99999999999999999999", "1")
	f.Add("/v1/objects/m/a", `"e"`, "bytes=0-9", "9223372036854775807")
	f.Fuzz(func(t *testing.T, path, tag, span, size string) {
		r, failure := parseObject(path, http.Header{"If-Match": {tag}, "Range": {span}, wire.HeaderSize: {size}})
		if failure != nil {
			return
		}
		if err := keyOf(r).Validate(); err != nil {
			t.Error(err)
		}
	})
}
