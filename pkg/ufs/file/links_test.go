package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// TestAbsoluteLinks checks that an absolute link into the directory works like a
// relative one, under the directory's path as configured and without links, and
// that one that leaves it is refused whatever its form.
func TestAbsoluteLinks(t *testing.T) {
	base := t.TempDir()
	dir, alias := filepath.Join(base, "data"), filepath.Join(base, "alias")
	lay(t, base, "data-other/file", "secret")
	lay(t, base, "outside/file", "secret")
	lay(t, dir, "v1/deep/file", "content")
	link(t, base, dir, "alias")
	for name, target := range map[string]string{
		"current": filepath.Join(dir, "v1"), "file": filepath.Join(dir, "v1/deep/file"), "by-alias": filepath.Join(alias, "v1"),
		"chain": filepath.Join(dir, "current"), "dots": dir + "/v1/../v1/./deep/", "v1/up": dir + "/v1", "slashes": dir + "//v1//deep",
		"sibling": filepath.Join(base, "data-other"), "out": filepath.Join(base, "outside"), "climbs": dir + "/../outside",
		"back": "../data/v1", "loop": filepath.Join(dir, "loop"), "nowhere": filepath.Join(dir, "v2"),
		"via": dir + "/out/file", "self": dir,
	} {
		link(t, dir, target, name)
	}
	s := open(t, alias)
	for _, key := range []string{"current/deep/file", "file", "by-alias/deep/file", "chain/deep/file", "dots/file", "slashes/file", "self/current/deep/file"} {
		if got, err := read(s, key); err != nil || got != "content" {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	for _, key := range []string{"sibling/file", "out/file", "climbs/file", "back/deep/file", "via"} {
		if got, err := read(s, key); !errors.Is(err, ufs.ErrPermission) {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	for _, key := range []string{"loop", "loop/x", "nowhere", "nowhere/x"} {
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, ufs.ErrNotFound) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if got, want := list(t, s, ufs.ListOptions{Delimiter: "/"}), []string{"by-alias/", "chain/", "current/", "dots/", "file", "slashes/", "v1/"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if got, want := list(t, s, ufs.ListOptions{Prefix: "current/"}), []string{"current/deep/file"}; !slices.Equal(got, want) {
		t.Errorf("listed below a link %q, want %q", got, want)
	}
	put(t, s, "current/new", "x")
	if got, err := os.ReadFile(filepath.Join(dir, "v1/new")); err != nil || string(got) != "x" {
		t.Errorf("a put through a link: %q, %v", got, err)
	}
	if _, err := s.Put(t.Context(), "out/new", strings.NewReader("x"), 1, nil, ufs.Conditions{}); err == nil {
		t.Error("a file was put outside")
	}
	if err := s.Delete(t.Context(), "out/file", ufs.Conditions{}); err == nil {
		t.Error("a file outside was deleted")
	}
}

// TestNamesAreBytes checks names in another encoding than UTF-8.
func TestNamesAreBytes(t *testing.T) {
	dir := t.TempDir()
	keys := []string{"\xff", "d\xe9j\xe0/vu\xff", "latin\xf6", "tail\xc3"}
	for _, key := range keys {
		lay(t, dir, key, "content of "+key)
	}
	s := open(t, dir)
	slices.Sort(keys)
	for _, limit := range []int{0, 1} {
		if got := list(t, s, ufs.ListOptions{MaxKeys: limit}); !slices.Equal(got, keys) {
			t.Errorf("%d per page: listed %q, want %q", limit, got, keys)
		}
	}
	if got := list(t, s, ufs.ListOptions{Prefix: "d\xe9j\xe0/", Delimiter: "/"}); !slices.Equal(got, []string{"d\xe9j\xe0/vu\xff"}) {
		t.Errorf("listed %q", got)
	}
	for _, key := range keys {
		if got, err := read(s, key); err != nil || got != "content of "+key {
			t.Errorf("%q: %q, %v", key, got, err)
		}
	}
	id, err := s.CreateMultipart(t.Context(), "up\xff", nil)
	if err != nil {
		t.Fatal(err)
	}
	part, err := s.UploadPart(t.Context(), "up\xff", id, 1, strings.NewReader("part"), 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CompleteMultipart(t.Context(), "up\xff", id, []ufs.Part{part}, ufs.Conditions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := read(s, "up\xff"); err != nil || got != "part" {
		t.Errorf("uploaded %q, %v", got, err)
	}
}
