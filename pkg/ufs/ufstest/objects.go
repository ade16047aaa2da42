package ufstest

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func testRoundTrip(t *testing.T, f *fixture) {
	for _, test := range []struct {
		name string
		key  string
		size int
	}{
		{"empty", "empty", 0},
		{"one byte", "one", 1},
		{"deep", "a/b/c/d/e", 1000},
		{"big", "big", 5<<20 + 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := content(test.name, test.size)
			put := f.put(test.key, want)
			got, object := f.read(test.key, ufs.Whole, put.ETag)
			if got != want {
				t.Fatalf("read %d bytes that differ from the %d bytes put", len(got), len(want))
			}
			stat := f.stat(test.key)
			for from, o := range map[string]ufs.Object{"put": put, "get": object, "stat": stat} {
				if o.Key != test.key || o.Size != int64(test.size) || o.ETag == "" || o.ETag != put.ETag || strings.Contains(o.ETag, `"`) {
					t.Errorf("%s returns %+v, put %+v", from, o, put)
				}
			}
			if since := time.Since(stat.LastModified); since < -time.Hour || since > time.Hour {
				t.Errorf("last modified %v", stat.LastModified)
			}
		})
	}
	first := f.put("again", "one")
	if second := f.put("again", "two"); second.ETag == first.ETag {
		t.Errorf("different content of the same size has the same tag")
	}
}

// onlyReader hides the Seeker of a reader.
type onlyReader struct{ io.Reader }

func testBody(t *testing.T, f *fixture) {
	if _, err := f.Put(f.ctx, "stream", onlyReader{strings.NewReader("streamed")}, 8, nil, ufs.Conditions{}); err != nil {
		t.Errorf("putting from a reader that cannot seek: %v", err)
	} else if got := f.get("stream"); got != "streamed" {
		t.Errorf("streamed %q", got)
	}
	for name, body := range map[string]io.Reader{
		"seeker": strings.NewReader("abc"), "stream": onlyReader{strings.NewReader("abc")},
	} {
		if _, err := f.Put(f.ctx, "short", body, 5, nil, ufs.Conditions{}); err == nil {
			t.Errorf("%s: Put of 3 bytes with size 5 succeeded", name)
		}
	}
	broken := io.MultiReader(strings.NewReader("abc"), brokenReader{})
	if _, err := f.Put(f.ctx, "short", broken, 5, nil, ufs.Conditions{}); !errors.Is(err, errBroken) {
		t.Errorf("a body that fails: Put returned %v", err)
	}
	_, err := f.Stat(f.ctx, "short")
	f.want(err, ufs.ErrNotFound, "stat after a failed put")
	// A seeker is read from its current offset.
	seeker := strings.NewReader("skipped|kept")
	if _, err := seeker.Seek(8, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Put(f.ctx, "seeker", seeker, 4, nil, ufs.Conditions{}); err != nil {
		t.Errorf("putting the rest of a seeker: %v", err)
	} else if got := f.get("seeker"); got != "kept" {
		t.Errorf("put %q from the rest of a seeker", got)
	}
}

var errBroken = errors.New("broken")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func testRanges(t *testing.T, f *fixture) {
	const whole = "0123456789"
	tag := f.put("digits", whole).ETag
	f.put("empty", "")
	for _, test := range []struct {
		name string
		key  string
		r    ufs.Range
		want string
		kind error
	}{
		{"whole", "digits", ufs.Whole, whole, nil},
		{"exactly whole", "digits", ufs.Range{Offset: 0, Length: 10}, whole, nil},
		{"first byte", "digits", ufs.Range{Offset: 0, Length: 1}, "0", nil},
		{"last byte", "digits", ufs.Range{Offset: 9, Length: 1}, "9", nil},
		{"to the end", "digits", ufs.Range{Offset: 4, Length: -1}, "456789", nil},
		{"past the end", "digits", ufs.Range{Offset: 8, Length: 100}, "89", nil},
		{"middle", "digits", ufs.Range{Offset: 3, Length: 4}, "3456", nil},
		{"no byte", "digits", ufs.Range{Offset: 3, Length: 0}, "", nil},
		{"at the end", "digits", ufs.Range{Offset: 10, Length: 1}, "", ufs.ErrInvalidRange},
		{"at the end, to the end", "digits", ufs.Range{Offset: 10, Length: -1}, "", ufs.ErrInvalidRange},
		{"far past the end", "digits", ufs.Range{Offset: 1 << 40, Length: 5}, "", ufs.ErrInvalidRange},
		{"negative", "digits", ufs.Range{Offset: -1, Length: 5}, "", ufs.ErrInvalid},
		{"negative length", "digits", ufs.Range{Offset: 0, Length: -2}, "", ufs.ErrInvalid},
		{"all of an empty object", "empty", ufs.Whole, "", nil},
		{"range of an empty object", "empty", ufs.Range{Offset: 0, Length: 5}, "", nil},
		{"past the end of an empty object", "empty", ufs.Range{Offset: 1, Length: 5}, "", ufs.ErrInvalidRange},
	} {
		t.Run(test.name, func(t *testing.T) {
			body, object, err := f.Get(f.ctx, test.key, test.r, "")
			if test.kind != nil {
				if !errors.Is(err, test.kind) {
					t.Fatalf("got %v, want %v", err, test.kind)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(body)
			_ = body.Close()
			if err != nil || string(got) != test.want {
				t.Fatalf("got %q, %v, want %q", got, err, test.want)
			}
			if test.key == "digits" && (object.Size != 10 || object.ETag != tag) {
				t.Errorf("the object of a range is %+v", object)
			}
		})
	}
}

func testIfMatch(t *testing.T, f *fixture) {
	old := f.put("key", "old bytes").ETag
	now := f.put("key", "new bytes").ETag
	for _, r := range []ufs.Range{ufs.Whole, {Offset: 2, Length: 3}, {Offset: 2, Length: 0}} {
		_, _, err := f.Get(f.ctx, "key", r, old)
		f.want(err, ufs.ErrPrecondition, "get of a replaced version")
		_, _, err = f.Get(f.ctx, "nothing", r, old)
		f.want(err, ufs.ErrNotFound, "get of a version of a missing object")
	}
	if got, _ := f.read("key", ufs.Range{Offset: 0, Length: 3}, now); got != "new" {
		t.Errorf("read %q of the current version", got)
	}
	if err := f.Delete(f.ctx, "key", ufs.Conditions{}); err != nil {
		t.Fatal(err)
	}
	_, _, err := f.Get(f.ctx, "key", ufs.Whole, now)
	f.want(err, ufs.ErrNotFound, "get of a deleted version")
}

// testReplacedWhileRead checks that a body continues with the bytes of its
// version or fails.
func testReplacedWhileRead(t *testing.T, f *fixture) {
	const size = 8 << 20
	before, after := content("before", size), content("after", size)
	tag := f.put("key", before).ETag
	body, _, err := f.Get(f.ctx, "key", ufs.Whole, tag)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	begin := make([]byte, 1000)
	if _, err := io.ReadFull(body, begin); err != nil {
		t.Fatal(err)
	}
	f.put("key", after)
	rest, err := io.ReadAll(body)
	got := string(begin) + string(rest)
	if !strings.HasPrefix(before, got) || err == nil && got != before {
		t.Errorf("read %d bytes (%v) that differ from the bytes of the version", len(got), err)
	}
}

func testNotFound(t *testing.T, f *fixture) {
	f.put("dir/file", "x")
	for _, key := range []string{"nothing", "dir", "dir/", "dir/fil", "dir/file/below", "no/such/dir/file", "dir/file/"} {
		_, err := f.Stat(f.ctx, key)
		f.want(err, ufs.ErrNotFound, "stat of "+key)
		_, _, err = f.Get(f.ctx, key, ufs.Whole, "")
		f.want(err, ufs.ErrNotFound, "get of "+key)
		if err != nil && !strings.Contains(err.Error(), key) {
			t.Errorf("the error does not name %q: %v", key, err)
		}
		_, err = f.Copy(f.ctx, key, "", "copy", nil, ufs.Conditions{})
		f.want(err, ufs.ErrNotFound, "copy of "+key)
	}
	_, err := f.Stat(f.ctx, "copy")
	f.want(err, ufs.ErrNotFound, "stat of the copy of a missing object")
}

func testDelete(t *testing.T, f *fixture) {
	f.put("a/b", "1")
	f.put("a/c", "2")
	for range 2 { // the second object does not exist, which is not an error
		if err := f.Delete(f.ctx, "a/b", ufs.Conditions{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.Stat(f.ctx, "a/b")
	f.want(err, ufs.ErrNotFound, "stat of a deleted object")
	if err := f.Delete(f.ctx, "a", ufs.Conditions{}); err != nil {
		t.Errorf("deleting a key that is only a prefix: %v", err)
	}
	if got := f.get("a/c"); got != "2" {
		t.Errorf("the other object holds %q", got)
	}
	if err := f.Delete(f.ctx, "a/c", ufs.Conditions{}); err != nil {
		t.Fatal(err)
	}
	if keys := f.keys(ufs.ListOptions{Delimiter: "/"}); len(keys) != 0 {
		t.Errorf("left after everything was deleted: %q", keys)
	}
	if keys := f.keys(ufs.ListOptions{}); len(keys) != 0 {
		t.Errorf("left after everything was deleted: %q", keys)
	}
}

func testMetadata(t *testing.T, f *fixture) {
	want := map[string]string{"mode": "33188", "uid": "1000", "some-name": "a value with  spaces; = and %20 and +"}
	_, err := f.Put(f.ctx, "key", strings.NewReader("x"), 1, want, ufs.Conditions{})
	if !f.can().Metadata {
		f.want(err, ufs.ErrUnsupported, "putting metadata")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	sameMetadata(t, f.stat("key").Metadata, want)
	f.put("key", "y")
	if got := f.stat("key").Metadata; len(got) != 0 {
		t.Errorf("a new version has the metadata of the old one: %v", got)
	}
	f.put("plain", "y")
	if got := f.stat("plain").Metadata; len(got) != 0 {
		t.Errorf("an object that was put without metadata has %v", got)
	}
}

func sameMetadata(t testing.TB, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("metadata is %v, want %v", got, want)
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("metadata %s is %q, want %q", key, got[key], value)
		}
	}
}
