package dirstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// childrenOf is a direct implementation of the rules of this package.
func childrenOf(keys []string, dir string) []string {
	out := map[string]bool{}
	for _, key := range keys {
		rest, ok := strings.CutPrefix(key, prefixOf(dir))
		if !ok {
			continue
		}
		name, _, isDir := strings.Cut(rest, "/")
		if wire.IsName(name) {
			out[name] = out[name] || isDir
		}
	}
	shown := []string{}
	for _, name := range slices.Sorted(maps.Keys(out)) {
		shown = append(shown, show(name, out[name]))
	}
	return shown
}

// TestAnyKeysInAnyPages checks that a directory shows the names that the rules yield, cached
// or not, for any size of page.
func TestAnyKeysInAnyPages(t *testing.T) {
	element := rapid.SampledFrom([]string{"a", "b", "a-", "a.b", "a!", "a0", "ab", "-", ".", "..", "", "ü", "a-b-c", " "})
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(element, 1, 3).Draw(t, "elements"), "/")
		}), 0, 20).Draw(rt, "keys")
		keys = slices.DeleteFunc(keys, func(key string) bool { return key == "" })
		b := newBucket(keys...)
		b.pageMax = rapid.IntRange(1, 5).Draw(rt, "the store's pages")
		limit := rapid.IntRange(1, 5).Draw(rt, "pages")
		dir := rapid.SampledFrom([]string{"", "a", "a/a"}).Draw(rt, "directory")
		want := childrenOf(keys, dir)
		kept := rapid.Bool().Draw(rt, "kept")
		config := Config{Clock: newClock().read, ListAfter: 1 << 30, ListingWait: time.Hour, MaxEntries: 1}
		if kept {
			config.MaxEntries = 1000
		}
		s, err := Open(config)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		m := Mount{ID: "m1", Epoch: 1, Store: b}
		got, last := []string{}, ""
		for {
			page, err := s.List(context.Background(), m, dir, last, limit)
			if err != nil {
				rt.Fatal(err)
			}
			if len(page.Entries) > limit || page.More && len(page.Entries) == 0 {
				rt.Fatalf("a page of %d entries, limit %d, more %v", len(page.Entries), limit, page.More)
			}
			for _, e := range page.Entries {
				last = string(e.GetName())
				got = append(got, show(last, len(e.GetKey()) == 0))
			}
			if !page.More {
				break
			}
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("keys %q, directory %q: got %q, want %q", keys, dir, got, want)
		}
		for _, name := range append([]string{"a", "a-", "nothing", "b"}, want...) {
			name = strings.TrimSuffix(name, "/")
			a, err := s.Lookup(context.Background(), m, dir, name)
			if err != nil {
				rt.Fatal(err)
			}
			shown := ""
			if a.Found {
				shown = show(name, len(a.Entry.GetKey()) == 0)
			}
			if is := slices.Contains(want, shown); is != a.Found || !a.Found && (slices.Contains(want, name) || slices.Contains(want, name+"/")) {
				rt.Fatalf("keys %q, directory %q: lookup of %q returned %q, the listing is %q", keys, dir, name, shown, want)
			}
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add(header{generation: 7, epoch: 2, boot: 1 << 60, listed: time.Unix(1, 2), took: time.Second, count: 9}.encode())
	f.Add(header{tooBig: true}.encode())
	f.Add([]byte{})
	f.Add(seal([]byte{0xff}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, b := range [][]byte{raw, seal(raw[:len(raw):len(raw)])} {
			h, err := decodeHeader(b)
			if err != nil {
				continue
			}
			again, err := decodeHeader(h.encode())
			if err != nil || fmt.Sprint(again) != fmt.Sprint(h) {
				t.Fatalf("%+v was decoded again as %+v, %v", h, again, err)
			}
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(entry{kind: file, size: 5, etag: "e", modified: 6}.encode())
	f.Add(entry{kind: directory}.encode())
	f.Add(entry{kind: unknown}.encode())
	f.Add(seal([]byte{9}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, b := range [][]byte{raw, seal(raw[:len(raw):len(raw)])} {
			e, err := decodeEntry(b)
			if err != nil {
				continue
			}
			if again, err := decodeEntry(e.encode()); err != nil || again != e {
				t.Fatalf("%+v was decoded again as %+v, %v", e, again, err)
			}
		}
	})
}

func FuzzDecodeTotals(f *testing.F) {
	f.Add(totals{Totals: Totals{Objects: 1, Bytes: 2, AtLeast: true, Hidden: 7}, at: time.Unix(3, 4), took: 5, epoch: 6, spent: 8, failed: 9}.encode())
	f.Add(totals{Totals: unknownTotals}.encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, b := range [][]byte{raw, seal(raw[:len(raw):len(raw)])} {
			v, err := decodeTotals(b)
			if err != nil {
				continue
			}
			if again, err := decodeTotals(v.encode()); err != nil || fmt.Sprint(again) != fmt.Sprint(v) {
				t.Fatalf("%+v was decoded again as %+v, %v", v, again, err)
			}
		}
	})
}

func FuzzDirID(f *testing.F) {
	f.Add(dirID{"m1", "a/b"}.header())
	f.Add([]byte("d\x00\x01m\x00\x09a"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		id, err := dirIDOf(raw)
		if err == nil && string(id.header()) != string(raw) {
			t.Fatalf("%q was decoded as %+v", raw, id)
		}
	})
}
