package ossserver

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestListingIsSorted compares pages of every size with a listing that is
// made by sorting and grouping.
func TestListingIsSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.RuneFrom([]rune("ab/é!")), 1, 6, -1)
		keys := rapid.SliceOfNDistinct(name, 0, 20, rapid.ID[string]).Draw(t, "keys")
		prefix := rapid.StringOfN(rapid.RuneFrom([]rune("ab/")), 0, 2, -1).Draw(t, "prefix")
		delimiter := rapid.SampledFrom([]string{"", "/"}).Draw(t, "delimiter")
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		m := newMemory(time.Now)
		for _, key := range keys {
			if _, err := m.put(context.Background(), key, strings.NewReader(""), 0, nil, false); err != nil {
				t.Fatal(err)
			}
		}
		want := sorted(keys, prefix, delimiter)
		var got []string
		q := query{prefix: prefix, delimiter: delimiter, limit: limit}
		for {
			page, err := m.list(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.objects {
				got = append(got, o.key)
			}
			got = append(got, page.prefixes...)
			if len(page.objects)+len(page.prefixes) > limit {
				t.Fatalf("a page of %d", len(page.objects)+len(page.prefixes))
			}
			if page.next == "" {
				break
			}
			token, err := parseToken(newToken(page.next))
			if err != nil {
				t.Fatal(err)
			}
			q.continuation = token
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func sorted(keys []string, prefix, delimiter string) []string {
	var all []string
	for _, key := range keys {
		rest, is := strings.CutPrefix(key, prefix)
		if !is {
			continue
		}
		if i := strings.Index(rest, "/"); delimiter != "" && i >= 0 {
			key = prefix + rest[:i+1]
		}
		all = append(all, key)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func FuzzToken(f *testing.F) {
	f.Add(newToken("kabc"))
	f.Add(newToken("p日本/"))
	f.Add("MQ==")
	f.Add("!")
	f.Fuzz(func(t *testing.T, token string) {
		next, err := parseToken(token)
		if err != nil {
			return
		}
		m := newMemory(time.Now)
		for _, key := range []string{"a", "abc", "b/c"} {
			_, _ = m.put(context.Background(), key, strings.NewReader(""), 0, nil, false)
		}
		page, err := m.list(context.Background(), query{continuation: next, limit: 10})
		if err != nil || len(page.objects) > 3 {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

func TestSpan(t *testing.T) {
	for _, test := range []struct {
		header        string
		standard      bool
		begin, length int64
		status        int
	}{
		{"", true, 0, 10, 200},
		{"bytes=0-0", true, 0, 1, 206},
		{"bytes=3-", true, 3, 7, 206},
		{"bytes=-3", true, 7, 3, 206},
		{"bytes=-30", true, 0, 10, 206},
		{"bytes=8-20", true, 8, 2, 206},
		{"bytes=8-20", false, 0, 10, 200},
		{"bytes=10-", false, 0, 10, 200},
		{"bytes=10-", true, 0, 0, 0},
		{"bytes=5-4", true, 0, 10, 200},
		{"bytes=x-4", true, 0, 10, 200},
		{"bytes=1-2,4-5", true, 0, 10, 200},
		{"lines=1-2", true, 0, 10, 200},
	} {
		begin, length, status, err := span(test.header, 10, test.standard)
		if (err != nil) != (test.status == 0) || begin != test.begin || length != test.length || status != test.status {
			t.Errorf("%q, standard %v: %d+%d, %d, %v", test.header, test.standard, begin, length, status, err)
		}
	}
}
