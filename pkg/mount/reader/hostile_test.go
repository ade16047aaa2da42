package reader

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// hostileNames are names of files that are not UTF-8 or break encodings.
func hostileNames() []string {
	return []string{
		"\xff", "latin-\xf6", "\xed\xa0\x80", "\xc0\xaf", "line\nfeed", "a\r\nX-Injected: 1", "\x01\x1b[31m\x7f", " ", "%", "%2e%2e", "%00",
		`"`, `\`, "...", "?q#f", "\u00e4", "a\u0308", "\ufffd", "\xef\xbf", strings.Repeat("\xff", wire.MaxName), strings.Repeat("%", wire.MaxName),
	}
}

// wantNoneAvoided fails the test if a worker is tried last.
func (f *real) wantNoneAvoided(what string) {
	f.Helper()
	for _, c := range f.client.Candidates(client.Object{Mount: "m1", Key: "k", ETag: "e", Size: 1}, 0) {
		if !c.Admit() {
			f.Errorf("%s: worker %s is avoided", what, c.Worker())
		}
	}
}

// TestRealHostileNames checks that names of any bytes are listed, found and read
// through real workers, that absent ones do not exist, and that none of them makes
// a worker be avoided.
func TestRealHostileNames(t *testing.T) {
	f := newReal(t, 3)
	names := hostileNames()
	const dir = "d\xff\n"
	if err := os.Mkdir(filepath.Join(f.store, dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for _, path := range []string{name, dir + "/" + name} {
			if err := os.WriteFile(filepath.Join(f.store, path), []byte("bytes of "+path), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(names)
	for _, in := range []string{"", dir} {
		for range 2 { // found one by one, then in the listing
			for _, name := range names {
				want := []byte("bytes of " + strings.TrimPrefix(in+"/"+name, "/"))
				f.mustRead(f.lookup(in, name), want)
			}
			page, err := f.reader.List(t.Context(), "m1", in, "")
			if err != nil || page.More {
				t.Fatalf("list %q: more %v, error %v", in, page.More, err)
			}
			got := slices.DeleteFunc(page.Entries, func(e Entry) bool { return e.Dir })
			if !slices.EqualFunc(got, names, func(e Entry, name string) bool { return e.Name == name }) {
				t.Errorf("%q has %v", in, got)
			}
		}
		// Paging from any name continues with the next one.
		page, err := f.reader.List(t.Context(), "m1", in, names[len(names)-2])
		rest := page.Entries
		if err != nil || len(rest) == 0 || rest[len(rest)-1].Name != names[len(names)-1] {
			t.Errorf("after %q there are %v, error %v", names[len(names)-2], rest, err)
		}
	}
	for _, absent := range []string{"\xfe", "b\u0308", "nul\x00", "", ".", "..", "a/b", strings.Repeat("n", wire.MaxName+1)} {
		if _, err := f.reader.Lookup(t.Context(), "m1", dir, absent); !errors.Is(err, ErrNotExist) {
			t.Errorf("lookup of %q: %v", absent, err)
		}
	}
	if _, err := f.reader.Lookup(t.Context(), "m1", strings.TrimSuffix(strings.Repeat("long/", wire.MaxKey), "/"), "x"); !errors.Is(err, ErrNotExist) {
		t.Errorf("lookup below a path that is too long: %v", err)
	}
	v := f.lookup(dir, "\xff")
	if err := os.WriteFile(filepath.Join(f.store, dir, "\xff"), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.reader.Forget(t.Context(), v)
	f.mustRead(f.lookup(dir, "\xff"), []byte("other"))
	f.wantNoneAvoided("after all names")
}

// hostileStore is an S3 store whose keys and tags are not what a file system or a
// header can hold. It rejects a request about a key with control characters.
type hostileStore struct {
	objects map[string]string // key to tag
}

const hostileBody = "hello"

func (s hostileStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-amz-request-id", "r")
	key := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/bucket"), "/")
	about := key + r.URL.Query().Get("prefix")
	if strings.ContainsAny(about, "\x01\x02") {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("<Error><Code>InvalidURI</Code><Message>no</Message></Error>"))
		return
	}
	if key == "" {
		s.list(w, r.URL.Query())
		return
	}
	tag, ok := s.objects[key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		if r.Method != http.MethodHead {
			_, _ = w.Write([]byte("<Error><Code>NoSuchKey</Code><RequestId>r</RequestId></Error>"))
		}
		return
	}
	if match := r.Header.Get("If-Match"); strings.HasPrefix(match, "W/") {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	r.Header.Del("If-Match")
	w.Header().Set("ETag", tag)
	http.ServeContent(w, r, "", time.Unix(1700000000, 0), strings.NewReader(hostileBody))
}

func (s hostileStore) list(w http.ResponseWriter, q url.Values) {
	w.Header().Set("Content-Type", "application/xml")
	var contents, prefixes strings.Builder
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		tag := s.objects[key]
		rest, ok := strings.CutPrefix(key, q.Get("prefix"))
		if !ok {
			continue
		}
		if head, _, deeper := strings.Cut(rest, "/"); deeper && q.Get("delimiter") != "" {
			if !seen[head] {
				fmt.Fprintf(&prefixes, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", url.QueryEscape(q.Get("prefix")+head+"/"))
			}
			seen[head] = true
			continue
		}
		fmt.Fprintf(&contents, `<Contents><Key>%s</Key><ETag>%s</ETag><Size>%d</Size><LastModified>2023-11-14T22:13:20Z</LastModified></Contents>`,
			url.QueryEscape(key), strings.ReplaceAll(tag, `"`, "&quot;"), len(hostileBody))
	}
	fmt.Fprintf(w, "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>%s%s</ListBucketResult>", contents.String(), prefixes.String())
}

// newHostile starts workers over such a store.
func newHostile(t *testing.T, objects map[string]string) *real {
	t.Helper()
	s := httptest.NewServer(hostileStore{objects})
	t.Cleanup(s.Close)
	return newRealOf(t, 2, func(f *real) {
		f.view.Mounts[0].Uri = "s3://bucket/"
		f.view.Mounts[0].Options = map[string]string{
			"fs.s3.endpoint": s.URL, "fs.s3.region": "us-east-1", "fs.s3.accessKeyId": "a", "fs.s3.accessKeySecret": "b", "fs.s3.pathStyle": "true",
		}
	})
}

// TestRealHostileKeys checks that keys and tags that a store returns do not make
// their directory unlistable, nor other names unreadable.
func TestRealHostileKeys(t *testing.T) {
	tag := func(text string) string { return `"` + text + `"` }
	f := newHostile(t, map[string]string{
		"dir/good": tag("a"), "dir/sm\xf6rg": tag("b"), "dir/line\nfeed": tag("c"), "dir/weak": `W/"d"`, "dir/tag": tag("\u00e4 %22"),
		"dir//empty": tag("f"), "dir/../up": tag("g"), "dir/.": tag("h"), "dir/" + strings.Repeat("n", wire.MaxName+1): tag("i"),
		"dir/huge-tag": tag(strings.Repeat("t", wire.MaxETag+1)), "dir/sub/x": tag("j"),
	})
	page, err := f.reader.List(t.Context(), "m1", "dir", "")
	if err != nil || page.More {
		t.Fatalf("list: more %v, error %v", page.More, err)
	}
	var got []string
	for _, e := range page.Entries {
		got = append(got, e.Name)
	}
	if want := []string{"good", "huge-tag", "line\nfeed", "sm\xf6rg", "sub", "tag", "weak"}; !slices.Equal(got, want) {
		t.Errorf("the directory has %q, want %q", got, want)
	}
	for _, name := range []string{"good", "sm\xf6rg", "line\nfeed", "weak", "tag", "huge-tag"} {
		f.mustRead(f.lookup("dir", name), []byte(hostileBody))
	}
	deadline := time.Now().Add(30 * time.Second)
	for totals, err := f.client.Totals(t.Context(), "m1"); totals.GetHidden() != 4; totals, err = f.client.Totals(t.Context(), "m1") {
		if time.Now().After(deadline) {
			t.Fatalf("the totals are %v, %v; want 4 hidden keys", totals, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.wantNoneAvoided("after hostile keys")
}

// TestRealUnrepresentableNames checks that names that the store's protocol cannot
// carry, or that are too long for it, do not exist.
func TestRealUnrepresentableNames(t *testing.T) {
	f := newHostile(t, map[string]string{"dir/good": `"a"`})
	deep := strings.TrimSuffix(strings.Repeat(strings.Repeat("d", 200)+"/", 4), "/")
	for _, c := range []struct{ dir, name string }{
		{"", "\x01"}, {"dir", "a\x02b"}, {"\x01", "x"}, {deep, strings.Repeat("n", 250)}, {deep + "/" + deep, "n"},
	} {
		if _, err := f.reader.Lookup(t.Context(), "m1", c.dir, c.name); !errors.Is(err, ErrNotExist) {
			t.Errorf("lookup of %.20q in %.20q: %v", c.name, c.dir, err)
		}
		if page, err := f.reader.List(t.Context(), "m1", strings.TrimPrefix(c.dir+"/"+c.name, "/"), ""); err != nil || page.More || len(page.Entries) > 0 {
			t.Errorf("list of %.20q in %.20q: %d entries, more %v, %v", c.name, c.dir, len(page.Entries), page.More, err)
		}
	}
	f.mustRead(f.lookup("dir", "good"), []byte(hostileBody))
	f.wantNoneAvoided("after names that the store rejects")
}

// TestRejectedReadEndsAtOnce checks that a read that every worker rejects is not
// repeated until the deadline.
func TestRejectedReadEndsAtOnce(t *testing.T) {
	f := newReal(t, 2, func(c *Config) { c.ReadTimeout = 10 * time.Minute })
	file, err := f.reader.Open(t.Context(), Version{Mount: "m1", Key: strings.Repeat("k", wire.MaxKey+1), ETag: "e", Size: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := file.ReadAt(ctx, make([]byte, 5), 0); !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("got %.300v", err)
	}
	f.wantNoneAvoided("after a read that workers reject")
}

// TestRealTotals checks that the totals reach the reader.
func TestRealTotals(t *testing.T) {
	f := newReal(t, 2)
	f.put("a", []byte("12345"))
	f.put("dir/\xff", []byte("123"))
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got, err := f.reader.Totals(t.Context(), "m1")
		if err == nil && got.Objects >= 0 {
			break // counted, perhaps before the files were written
		}
		if time.Now().After(deadline) {
			t.Fatalf("the totals are %+v, %v", got, err)
		}
	}
	if _, err := f.reader.Totals(t.Context(), "other"); err == nil {
		t.Error("an unknown mount has totals")
	}
}
