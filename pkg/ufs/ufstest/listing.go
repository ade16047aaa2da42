package ufstest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// tree holds names around the slash in byte order, in which drivers that walk
// directories make mistakes.
var tree = []string{
	"a-b/deep/er/1", "a.txt", "a/1", "a/2", "a/b/1", "a/b/2", "a/b.txt", "a0", "b", "c/1",
	"d d/e+f", "Z", "é", "日本/語", "zz",
}

func (f *fixture) putTree() []string {
	for _, key := range tree {
		f.put(key, key)
	}
	return slices.Sorted(slices.Values(tree))
}

func testList(t *testing.T, f *fixture) {
	all := f.putTree()
	for _, test := range []struct {
		name    string
		options ufs.ListOptions
		want    []string
	}{
		{"everything", ufs.ListOptions{}, all},
		{"top", ufs.ListOptions{Delimiter: "/"}, []string{"Z", "a-b/", "a.txt", "a/", "a0", "b", "c/", "d d/", "zz", "é", "日本/"}},
		{"directory", ufs.ListOptions{Prefix: "a/", Delimiter: "/"}, []string{"a/1", "a/2", "a/b.txt", "a/b/"}},
		{"below", ufs.ListOptions{Prefix: "a/"}, []string{"a/1", "a/2", "a/b.txt", "a/b/1", "a/b/2"}},
		{"half a name", ufs.ListOptions{Prefix: "a"}, []string{"a-b/deep/er/1", "a.txt", "a/1", "a/2", "a/b.txt", "a/b/1", "a/b/2", "a0"}},
		{"half a name, top", ufs.ListOptions{Prefix: "a", Delimiter: "/"}, []string{"a-b/", "a.txt", "a/", "a0"}},
		{"half a name, deep", ufs.ListOptions{Prefix: "a/b", Delimiter: "/"}, []string{"a/b.txt", "a/b/"}},
		{"a whole key", ufs.ListOptions{Prefix: "a.txt"}, []string{"a.txt"}},
		{"below a file", ufs.ListOptions{Prefix: "b/"}, nil},
		{"no match", ufs.ListOptions{Prefix: "no/such/prefix/", Delimiter: "/"}, nil},
		{"a space and a plus", ufs.ListOptions{Prefix: "d d/e+"}, []string{"d d/e+f"}},
		{"not ASCII", ufs.ListOptions{Prefix: "日本/", Delimiter: "/"}, []string{"日本/語"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := f.keys(test.options); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
	page, err := f.List(f.ctx, ufs.ListOptions{Prefix: "a/1"})
	if err != nil || len(page.Objects) != 1 {
		t.Fatalf("listing one: %+v, %v", page, err)
	}
	listed, stat := page.Objects[0], f.stat("a/1")
	if listed.ETag != stat.ETag || listed.Size != stat.Size || listed.LastModified.Unix() != stat.LastModified.Unix() {
		t.Errorf("listed %+v, but Stat returns %+v", listed, stat)
	}
}

// testListPages ends pages at, before and within prefixes.
func testListPages(t *testing.T, f *fixture) {
	all := f.putTree()
	for _, options := range []ufs.ListOptions{
		{}, {Delimiter: "/"}, {Prefix: "a"}, {Prefix: "a", Delimiter: "/"}, {Prefix: "a/", Delimiter: "/"}, {Prefix: "a/"},
	} {
		want := f.keys(options)
		for limit := 1; limit <= len(all)+1; limit++ {
			options.MaxKeys = limit
			if got := f.keys(options); !slices.Equal(got, want) {
				t.Errorf("%+v:\ngot  %q\nwant %q", options, got, want)
			}
		}
	}
}

func testListStartAfter(t *testing.T, f *fixture) {
	all := f.putTree()
	starts := append([]string{"A", "a", "a/", "a/b", "a/b/", "a/b/11", "b/", "zz0"}, all...)
	for _, start := range starts {
		var want []string
		for _, key := range all {
			if key > start {
				want = append(want, key)
			}
		}
		for _, limit := range []int{0, 2} {
			got := f.keys(ufs.ListOptions{StartAfter: start, MaxKeys: limit})
			if !slices.Equal(got, want) {
				t.Errorf("after %q, %d per page:\ngot  %q\nwant %q", start, limit, got, want)
			}
		}
	}
	got := f.keys(ufs.ListOptions{Prefix: "a/", Delimiter: "/", StartAfter: "a/1"})
	if want := []string{"a/2", "a/b.txt", "a/b/"}; !slices.Equal(got, want) {
		t.Errorf("a directory, started after its first name: got %q, want %q", got, want)
	}
}

// testListWhileChanging checks that keys that exist throughout are listed once
// each while others are created and deleted.
func testListWhileChanging(t *testing.T, f *fixture) {
	var stay []string
	for i := range 20 {
		key := fmt.Sprintf("dir-%02d/stay", i)
		f.put(key, "x")
		f.put(fmt.Sprintf("dir-%02d/go", i), "x")
		stay = append(stay, key)
	}
	options := ufs.ListOptions{MaxKeys: 3}
	var got []string
	for i := 0; ; i++ {
		page, err := f.List(f.ctx, options)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range merge(t, page) {
			if strings.HasSuffix(key, "/stay") {
				got = append(got, key)
			}
		}
		if page.Next == "" {
			break
		}
		options.Continuation = page.Next
		if err := f.Delete(f.ctx, fmt.Sprintf("dir-%02d/go", i%20), ufs.Conditions{}); err != nil {
			t.Fatal(err)
		}
		f.put(fmt.Sprintf("dir-%02d/new", (i*7)%20), "x")
	}
	if !slices.Equal(got, stay) {
		t.Errorf("got  %q\nwant %q", got, stay)
	}
}

func testListMany(t *testing.T, f *fixture, many int) {
	want := make([]string, many)
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := w; i < many; i += 8 {
				want[i] = fmt.Sprintf("many/%c/%06d", 'a'+i*3/many, i)
				if _, err := f.putIf(want[i], "x", ufs.Conditions{}); err != nil {
					t.Errorf("putting %s: %v", want[i], err)
					return
				}
			}
		})
	}
	group.Wait()
	if got := f.keys(ufs.ListOptions{Prefix: "many/"}); !slices.Equal(got, want) {
		t.Errorf("listed %d of %d", len(got), len(want))
	}
	if got := f.keys(ufs.ListOptions{Prefix: "many/", MaxKeys: 100000}); !slices.Equal(got, want) {
		t.Errorf("listed %d of %d with big pages", len(got), len(want))
	}
	page, err := f.List(f.ctx, ufs.ListOptions{Prefix: "many/"})
	if err != nil || len(page.Objects) > 1000 || page.Next == "" {
		t.Errorf("a page of %d, next %q, %v", len(page.Objects), page.Next, err)
	}
	if got := f.keys(ufs.ListOptions{Prefix: "many/", Delimiter: "/"}); !slices.Equal(got, []string{"many/a/", "many/b/", "many/c/"}) {
		t.Errorf("the common prefixes are %q", got)
	}
}

func testListBadContinuation(t *testing.T, f *fixture) {
	f.put("a", "x")
	// A store may refuse a continuation that it did not issue, or list something,
	// but must not loop.
	_, err := f.List(f.ctx, ufs.ListOptions{Continuation: "!!! not a continuation \x01"})
	if err != nil {
		f.want(err, ufs.ErrInvalid, "listing with an invalid continuation")
	}
	_, err = f.List(f.ctx, ufs.ListOptions{Delimiter: "ab"})
	f.want(err, ufs.ErrInvalid, "listing with an unsupported delimiter")
}
