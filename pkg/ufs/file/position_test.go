package file

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func FuzzParseToken(f *testing.F) {
	f.Add(position{key: "a/b"}.token())
	f.Add(position{key: "a/", prefix: true}.token())
	f.Add("")
	f.Add("a")
	f.Add("!!")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := parseToken(token)
		if err != nil {
			return
		}
		again, err := parseToken(p.token())
		if err != nil || again != p {
			t.Errorf("%q was parsed as %+v and encoded as %q", token, p, p.token())
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"a", "a/b/", "/", "..", "a/../b", "a//b", ".jindo-lock", "a\x00b", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		p, err := parse(key)
		if err != nil {
			return
		}
		if !filepath.IsLocal(p.path) || filepath.Clean(p.path) != p.path || strings.Contains(p.path, reserved) && strings.HasPrefix(p.base(), reserved) {
			t.Errorf("key %q became path %q", key, p.path)
		}
	})
}

func FuzzDecodeMetadata(f *testing.F) {
	f.Add([]byte(`{"mode":"420"}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"a":1}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		metadata, err := decodeMetadata(raw)
		if err == nil && metadata == nil {
			t.Errorf("%q became nil", raw)
		}
	})
}

// TestListingIsSorted compares pages with the sorted keys.
func TestListingIsSorted(t *testing.T) {
	base := t.TempDir()
	count := 0
	rapid.Check(t, func(t *rapid.T) {
		element := rapid.StringOfN(rapid.RuneFrom([]rune("ab!.é0")), 1, 3, -1).Filter(validElement)
		paths := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(element, 1, 3).Draw(t, "path"), "/")
		}), 0, 15).Draw(t, "paths")
		prefix := rapid.StringOfN(rapid.RuneFrom([]rune("ab/")), 0, 3, -1).Draw(t, "prefix")
		after := rapid.StringOfN(rapid.RuneFrom([]rune("ab/!")), 0, 3, -1).Draw(t, "after")
		delimiter := rapid.SampledFrom([]string{"", "/"}).Draw(t, "delimiter")
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		if delimiter != "" {
			after = "" // stores differ in how it applies to prefixes
		}
		count++
		dir, err := os.MkdirTemp(base, "list-")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		keys := createFiles(dir, paths)
		s, err := Open(ufs.Location{Scheme: "file", Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		want := expected(keys, prefix, delimiter, after)
		got := collect(t, s, ufs.ListOptions{Prefix: prefix, Delimiter: delimiter, StartAfter: after, MaxKeys: limit})
		if !slices.Equal(got, want) {
			t.Fatalf("of %q\ngot  %q\nwant %q", keys, got, want)
		}
	})
	if count == 0 {
		t.Error("nothing was checked")
	}
}

// createFiles creates files and returns their keys, without paths that conflict with
// others.
func createFiles(dir string, paths []string) []string {
	var keys []string
	for _, path := range paths {
		full := filepath.Join(dir, path)
		if os.MkdirAll(filepath.Dir(full), 0o755) != nil {
			continue
		}
		f, err := os.OpenFile(full, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			continue
		}
		_ = f.Close()
		keys = append(keys, path)
	}
	slices.Sort(keys)
	return keys
}

func expected(keys []string, prefix, delimiter, after string) []string {
	var all []string
	for _, key := range keys {
		rest, is := strings.CutPrefix(key, prefix)
		if !is || after != "" && key <= after {
			continue
		}
		if i := strings.IndexByte(rest, '/'); delimiter != "" && i >= 0 {
			key = prefix + rest[:i+1]
		}
		all = append(all, key)
	}
	return slices.Compact(all)
}

func collect(t *rapid.T, s *Store, options ufs.ListOptions) []string {
	var all []string
	for {
		page, err := s.List(context.Background(), options)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, o := range page.Objects {
			names = append(names, o.Key)
		}
		names = append(names, page.Prefixes...)
		slices.Sort(names)
		if len(names) > options.MaxKeys || page.Next != "" && len(names) == 0 {
			t.Fatalf("a page has %d names", len(names))
		}
		all = append(all, names...)
		if page.Next == "" {
			return all
		}
		options.Continuation = page.Next
	}
}

// TestNameCacheIsNeverStale checks that a listing after a change shows the change,
// regardless of the cache.
func TestNameCacheIsNeverStale(t *testing.T) {
	dir := t.TempDir()
	for i := range minCached + 10 {
		if err := os.WriteFile(filepath.Join(dir, "f"+strings.Repeat("0", i%7)+string(rune('a'+i%26))+strings.Repeat("x", i/26%40)+string(rune('A'+i%25))), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(ufs.Location{Scheme: "file", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	size := func() int {
		total := 0
		options := ufs.ListOptions{}
		for {
			page, err := s.List(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			total += len(page.Objects)
			if page.Next == "" {
				return total
			}
			options.Continuation = page.Next
		}
	}
	before := size()
	for i := range 20 {
		name := filepath.Join(dir, "zz"+string(rune('a'+i)))
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := size(); got != before+i+1 {
			t.Fatalf("after %d new files the listing has %d, before %d", i+1, got, before)
		}
	}
}
