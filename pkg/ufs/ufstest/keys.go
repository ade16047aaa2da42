package ufstest

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// oddKeys are accepted by every store.
var oddKeys = []string{
	"with space", " leading and trailing ", "plus+plus", "per%cent", "per%20cent", "per%2Fcent", "amp&er=sand?", "hash#", "quote\"'`",
	"<xml>&amp;", "semi;colon,comma", "back\\slash", "tilde~star*", "brackets[]{}()", "colon:@$!|^",
	"umlaut-äöü", "e\u0301-decomposed", "emoji-😀/inside", "日本語/の/鍵",
	"...", "a..b/.hidden", strings.Repeat("n", 255), strings.Repeat("deep/", 100) + "end",
}

// flatKeys are accepted only by a store without directories.
var flatKeys = []string{"a//b", "a/./b", "a/../b", "x//", ".", "..", "tail///", "both", "both/", "both/below", "tab\tkey"}

func testOddKeys(t *testing.T, f *fixture) {
	keys := slices.Clone(oddKeys)
	if !f.can().Tree {
		keys = append(keys, flatKeys...)
	}
	for _, key := range keys {
		f.put(key, "content of "+key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if got := f.get(key); got != "content of "+key {
			t.Errorf("%q holds %q", key, got)
		}
		if object := f.stat(key); object.Key != key {
			t.Errorf("stat of %q returns key %q", key, object.Key)
		}
		listed := f.keys(ufs.ListOptions{Prefix: key, MaxKeys: 1000})
		if !slices.Contains(listed, key) {
			t.Errorf("%q is not listed below itself: %q", key, listed)
		}
	}
	for _, limit := range []int{0, 1, 3} {
		if got := f.keys(ufs.ListOptions{MaxKeys: limit}); !slices.Equal(got, keys) {
			t.Errorf("%d per page:\ngot  %q\nwant %q", limit, got, keys)
		}
	}
	for _, key := range keys {
		if _, err := f.Copy(f.ctx, key, "", "copy", nil, ufs.Conditions{}); err != nil {
			t.Errorf("copying %q: %v", key, err)
		} else if got := f.get("copy"); got != "content of "+key {
			t.Errorf("the copy of %q holds %q", key, got)
		}
		if err := f.Delete(f.ctx, key, ufs.Conditions{}); err != nil {
			t.Errorf("deleting %q: %v", key, err)
		}
		if _, err := f.Stat(f.ctx, key); !errors.Is(err, ufs.ErrNotFound) {
			t.Errorf("stat of the deleted %q: %v", key, err)
		}
	}
	f.markers()
}

// markers tests the objects that consoles create as directories.
func (f *fixture) markers() {
	f.put("dir/", "")
	if object := f.stat("dir/"); object.Size != 0 || object.Key != "dir/" {
		f.t.Errorf("the marker is %+v", object)
	}
	f.put("dir/file", "x")
	if got := f.keys(ufs.ListOptions{Prefix: "dir/"}); !slices.Equal(got, []string{"dir/", "dir/file"}) {
		f.t.Errorf("a directory with a marker lists as %q", got)
	}
	if got := f.keys(ufs.ListOptions{Prefix: "dir/", MaxKeys: 1}); !slices.Equal(got, []string{"dir/", "dir/file"}) {
		f.t.Errorf("a directory with a marker lists by one as %q", got)
	}
	if got := f.keys(ufs.ListOptions{Prefix: "dir/", Delimiter: "/"}); !slices.Equal(got, []string{"dir/", "dir/file"}) {
		f.t.Errorf("a directory with a marker lists as %q", got)
	}
	if err := f.Delete(f.ctx, "dir/file", ufs.Conditions{}); err != nil {
		f.t.Fatal(err)
	}
	if got := f.keys(ufs.ListOptions{Prefix: "dir"}); !slices.Equal(got, []string{"dir/"}) {
		f.t.Errorf("a marker alone lists as %q", got)
	}
	f.put("dir/file", "x")
	if err := f.Delete(f.ctx, "dir/", ufs.Conditions{}); err != nil {
		f.t.Fatal(err)
	}
	if got := f.keys(ufs.ListOptions{Prefix: "dir"}); !slices.Equal(got, []string{"dir/file"}) {
		f.t.Errorf("a directory whose marker was deleted lists as %q", got)
	}
}

// testRefusedKeys checks that every method refuses keys that no store, or no
// tree, can hold, and changes nothing.
func testRefusedKeys(t *testing.T, f *fixture) {
	f.put("a/b", "kept")
	keys := []string{"", "/a", "/", "nul\x00", strings.Repeat("x/", 600)}
	never := len(keys)
	if f.can().Tree {
		keys = append(keys, "a/b/c", "a")
	}
	if f.can().Tree && !f.suite.Cleans {
		keys = append(keys, "a//b", "a/../b", "..", "../x", "a/.", "./a", strings.Repeat("n", 256))
	}
	for i, key := range keys {
		_, err := f.putIf(key, "x", ufs.Conditions{})
		f.want(err, ufs.ErrInvalid, "putting "+key)
		if i < never { // a tree may detect it only when the upload is complete
			_, err = f.CreateMultipart(f.ctx, key, nil)
			f.want(err, ufs.ErrInvalid, "uploading "+key)
		}
		_, err = f.Copy(f.ctx, "a/b", "", key, nil, ufs.Conditions{})
		f.want(err, ufs.ErrInvalid, "copying to "+key)
		_, err = f.Stat(f.ctx, key)
		if !errors.Is(err, ufs.ErrInvalid) && !errors.Is(err, ufs.ErrNotFound) {
			t.Errorf("stat of %q: %v", key, err)
		}
	}
	if got := f.keys(ufs.ListOptions{}); !slices.Equal(got, []string{"a/b"}) {
		t.Errorf("the remaining keys are %q", got)
	}
	if got := f.get("a/b"); got != "kept" {
		t.Errorf("the existing key holds %q", got)
	}
}

// testByteKeys checks that a key that is not UTF-8 is stored and found like any
// other, or refused and absent everywhere.
func testByteKeys(t *testing.T, f *fixture) {
	if f.suite.TextKeys {
		t.Skip("the server changes such keys in listings")
	}
	f.put("utf8", "kept")
	for _, key := range []string{"\xff", "sm\xf6rg", "d\xe9j\xe0/vu", "tail\xc3", "\xed\xa0\x80"} {
		_, err := f.putIf(key, "x", ufs.Conditions{})
		if err == nil {
			if got := f.get(key); got != "x" {
				t.Errorf("%q holds %q", key, got)
			}
			if got := f.keys(ufs.ListOptions{Prefix: key}); !slices.Equal(got, []string{key}) {
				t.Errorf("%q is listed as %q", key, got)
			}
			if err := f.Delete(f.ctx, key, ufs.Conditions{}); err != nil {
				t.Errorf("deleting %q: %v", key, err)
			}
		} else {
			f.want(err, ufs.ErrInvalid, "putting "+strconv.Quote(key))
		}
		if _, err := f.Stat(f.ctx, key); !errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrInvalidKey) {
			t.Errorf("stat of %q: %v", key, err)
		}
		if got := f.keys(ufs.ListOptions{Prefix: key}); len(got) != 0 {
			t.Errorf("%q is listed as %q", key, got)
		}
	}
	if got := f.keys(ufs.ListOptions{}); !slices.Equal(got, []string{"utf8"}) {
		t.Errorf("the remaining keys are %q", got)
	}
}
