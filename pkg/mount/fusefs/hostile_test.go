//go:build linux

package fusefs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// hostileNames are names that are not UTF-8 or break encodings.
func hostileNames() []string {
	return []string{
		"\xff", "latin-\xf6", "\xed\xa0\x80", "\xc0\xaf", "line\nfeed", "\r\n", "\x01\x1b[31m\x7f", " ", "%", "%2e%2e", `"`, `\`, "...",
		"\u00e4", "a\u0308", "\ufffd", "\xef\xbf", strings.Repeat("\xff", nameMax),
	}
}

// TestMountHostileNames checks names of any bytes through the kernel, and after a
// takeover.
func TestMountHostileNames(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	source.page = 3
	names := hostileNames()
	for _, name := range names {
		source.put("m", "d\xff/"+name, "e\xff\n", 5)
	}
	slices.Sort(names)
	h := newTestMount(t)
	_, stop := h.start(t, source, nil)
	dir := filepath.Join(h.point, "d\xff")
	open, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	before, err := open.Readdirnames(4)
	if err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(entries, names, func(e os.DirEntry, name string) bool { return e.Name() == name }) {
			t.Errorf("the directory has %q", entries)
		}
		for _, name := range names {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Size() != 5 {
				t.Errorf("stat of %q: %v, %v", name, info, err)
			}
			if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(data) != 5 {
				t.Errorf("%q has %d bytes, error %v", name, len(data), err)
			}
		}
		for _, absent := range []string{"\xfe", "b\u0308", "no\nname"} {
			if _, err := os.Stat(filepath.Join(dir, absent)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("stat of %q: %v", absent, err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, strings.Repeat("\xff", nameMax+1))); !errors.Is(err, syscall.ENAMETOOLONG) {
			t.Errorf("stat of a name that is too long: %v", err)
		}
	}
	check()
	stop()
	h.start(t, source, nil)
	rest, err := open.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	got := append(before, rest...)
	slices.Sort(got)
	if !slices.Equal(got, names) {
		t.Errorf("a handle kept over a takeover lists %q", got)
	}
	check()
}

// countedSource has totals, or hangs.
type countedSource struct {
	*fakeSource
	totals   reader.Totals
	hang     atomic.Bool
	requests atomic.Int64
}

func (c *countedSource) Totals(ctx context.Context, _ string) (reader.Totals, error) {
	c.requests.Add(1)
	if c.hang.Load() {
		<-ctx.Done()
		return reader.Totals{}, ctx.Err()
	}
	return c.totals, nil
}

// TestStatFs checks that the totals are reported, and that unknown ones do not make
// statfs wait for them: holders use it to check that a mount responds.
func TestStatFs(t *testing.T) {
	for name, hang := range map[string]bool{"known": false, "unknown": true} {
		t.Run(name, func(t *testing.T) {
			source := &countedSource{fakeSource: newFakeSource(reader.Mount{ID: "m", Path: "/"}), totals: reader.Totals{Objects: 7, Bytes: 10<<30 + 1}}
			source.hang.Store(hang)
			point, _ := mounted(t, source, func(c *Config) {
				if hang {
					c.waits.usage = time.Millisecond
				}
			})
			var used uint64
			began := time.Now()
			for range 100 {
				var s unix.Statfs_t
				if err := unix.Statfs(point, &s); err != nil {
					t.Fatal(err)
				}
				if s.Bfree == 0 || s.Bavail == 0 || s.Ffree == 0 || s.Blocks < s.Bfree || s.Files < s.Ffree {
					t.Fatalf("the file system is full: %+v", s)
				}
				used = (s.Blocks - s.Bfree) * uint64(s.Bsize)
				if files := s.Files - s.Ffree; !hang && files != 7 || hang && files != 0 {
					t.Fatalf("%d files are used", files)
				}
			}
			if !hang && used != 10<<30+blockSize || hang && used != 0 {
				t.Errorf("%d bytes are used", used)
			}
			// On a busy machine the calls may outlast the request, or its result.
			if n := source.requests.Load(); n != 1 && time.Since(began) < usageTimeout {
				t.Errorf("100 calls made %d requests", n)
			}
		})
	}
}
