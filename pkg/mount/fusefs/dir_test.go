//go:build linux

package fusefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// directoryOf creates a directory of n files and returns their names, sorted.
func directoryOf(n int) (*fakeSource, []string) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("name-%06d", i)
		source.put("m", "dir/"+names[i], "1", int64(i))
	}
	return source, names
}

// openDir opens a directory without the buffering of package os.
func openDir(t *testing.T, name string) int {
	t.Helper()
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// readEntries reads at least n entries, up to the end of the last reply.
func readEntries(t *testing.T, fd, n, buffer int) []dirent {
	t.Helper()
	var all []dirent
	p := make([]byte, buffer)
	for len(all) < n {
		got, err := unix.Getdents(fd, p)
		if err != nil {
			t.Fatal(err)
		}
		if got == 0 {
			break
		}
		all = append(all, parseDirents(p[:got])...)
	}
	return all
}

// readRest reads the remaining entries.
func readRest(t *testing.T, fd, buffer int) []dirent {
	t.Helper()
	all, err := direntsOf(fd, buffer)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func namesOf(entries []dirent) []string {
	var names []string
	for _, e := range entries {
		if e.name != "." && e.name != ".." {
			names = append(names, e.name)
		}
	}
	return names
}

func seekTo(t *testing.T, fd int, cookie int64) {
	t.Helper()
	if _, err := unix.Seek(fd, cookie, 0); err != nil {
		t.Fatal(err)
	}
}

func TestBigDirectory(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 5_000
	}
	source, names := directoryOf(n)
	source.page = 1000
	point, s := mounted(t, source, nil)
	fd := openDir(t, filepath.Join(point, "dir"))
	entries := readRest(t, fd, 32<<10)
	if !slices.Equal(namesOf(entries), names) {
		t.Fatalf("got %d names, want %d in order", len(namesOf(entries)), len(names))
	}
	if entries[0].name != "." || entries[1].name != ".." {
		t.Errorf("the first entries are %q and %q, want . and ..", entries[0].name, entries[1].name)
	}
	for _, e := range []dirent{entries[2], entries[len(entries)-1]} {
		var stat unix.Stat_t
		if err := unix.Stat(filepath.Join(point, "dir", e.name), &stat); err != nil || stat.Ino != e.ino {
			t.Errorf("%s: readdir returned inode %d, stat %d, error %v", e.name, e.ino, stat.Ino, err)
		}
	}
	// The stream is a window, which must not hold the whole directory.
	h, _ := s.files.table.handle(firstHandle(s))
	h.stream.mu.Lock()
	defer h.stream.mu.Unlock()
	if size := len(h.stream.items); size > maxKept+3*source.page {
		t.Errorf("the stream holds %d entries, want at most %d", size, maxKept+3*source.page)
	}
}

// TestListingHasAttributes checks that a program which reads all names, and then the
// attributes of each, needs no lookup.
func TestListingHasAttributes(t *testing.T) {
	source, names := directoryOf(2000)
	point, _ := mounted(t, source, nil)
	fd := openDir(t, filepath.Join(point, "dir"))
	readRest(t, fd, 8<<10)
	for i, name := range names {
		var stat unix.Stat_t
		if err := unix.Fstatat(fd, name, &stat, 0); err != nil || stat.Size != int64(i) {
			t.Fatalf("%s has %d bytes of %d, error %v", name, stat.Size, i, err)
		}
		if n := source.counted("dir/" + name); n != 0 {
			t.Fatalf("%s was looked up %d times after the listing", name, n)
		}
	}
}

func firstHandle(s *Server) uint64 {
	s.files.table.mu.Lock()
	defer s.files.table.mu.Unlock()
	for id := range s.files.table.handles {
		return id
	}
	return 0
}

func TestSeeking(t *testing.T) {
	source, names := directoryOf(1000)
	point, _ := mounted(t, source, nil)
	fd := openDir(t, filepath.Join(point, "dir"))
	all := readRest(t, fd, 4096)
	for _, i := range []int{0, 1, 2, 500, 37, 998, 1001} {
		seekTo(t, fd, all[i].cookie)
		if got, want := namesOf(readRest(t, fd, 4096)), namesOf(all[i+1:]); !slices.Equal(got, want) {
			t.Errorf("after entry %d: got %d names, want %d", i, len(got), len(want))
		}
	}
	seekTo(t, fd, 0)
	if got := namesOf(readRest(t, fd, 4096)); !slices.Equal(got, names) {
		t.Errorf("after rewinding: got %d names, want %d", len(got), len(names))
	}
}

// TestChangingDirectory checks that names which exist throughout a listing are
// returned once, while other names are added and removed.
func TestChangingDirectory(t *testing.T) {
	source, names := directoryOf(1000)
	point, _ := mounted(t, source, nil)
	fd := openDir(t, filepath.Join(point, "dir"))
	seen := readEntries(t, fd, 300, 1024)
	// The entry at the current position and its neighbours are removed.
	position := len(namesOf(seen))
	kept := slices.Clone(names)
	for i := position - 3; i < position+3; i++ {
		source.remove("m", "dir/"+names[i])
	}
	kept = slices.Delete(kept, position-3, position+3)
	source.put("m", "dir/name-000000a", "1", 1)
	source.put("m", "dir/zzz", "1", 1)
	got := namesOf(append(seen, readRest(t, fd, 1024)...))
	if once := slices.Compact(slices.Sorted(slices.Values(got))); len(once) != len(got) {
		t.Errorf("got %d names, of which %d are distinct", len(got), len(once))
	}
	for _, name := range kept {
		if !slices.Contains(got, name) {
			t.Errorf("%s exists but was not listed", name)
		}
	}
}

func TestFailedListing(t *testing.T) {
	source, names := directoryOf(500)
	point, _ := mounted(t, source, nil)
	fd := openDir(t, filepath.Join(point, "dir"))
	seen := readEntries(t, fd, 100, 1024)
	source.set(func() { source.fail = func(operation, _ string) error { return errors.New(operation + " fails") } })
	failed := false
	p := make([]byte, 1024)
	for range 1000 {
		n, err := unix.Getdents(fd, p)
		if err != nil {
			failed = errors.Is(err, unix.EIO)
			break
		}
		if n == 0 {
			t.Fatal("a listing that failed ended without an error")
		}
		seen = append(seen, parseDirents(p[:n])...)
	}
	if !failed {
		t.Error("the reader did not get EIO")
	}
	source.set(func() { source.fail = nil })
	if got := namesOf(append(seen, readRest(t, fd, 1024)...)); !slices.Equal(got, names) {
		t.Errorf("after the failure: got %d names, want %d", len(got), len(names))
	}
}

func TestInvalidNamesAreLeftOut(t *testing.T) {
	source, names := directoryOf(3)
	for _, name := range []string{"..", "a\x00b"} {
		source.set(func() { source.dirs["m:dir"][name] = reader.Entry{Name: name} })
	}
	source.set(func() { source.dirs["m:dir"]["a/b"] = reader.Entry{Name: "a/b"} })
	point, _ := mounted(t, source, nil)
	entries, err := os.ReadDir(filepath.Join(point, "dir"))
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if err != nil || !slices.Equal(got, names) {
		t.Errorf("got names %q, error %v; want %q", got, err, names)
	}
}

func TestCookies(t *testing.T) {
	seen := map[uint64]string{}
	for i := range 100_000 {
		name := fmt.Sprint("name", i)
		c := cookieOf(name)
		if c < firstCookie || int64(c) < 0 || seen[c] != "" {
			t.Fatalf("%q has cookie %d, which is invalid or that of %q", name, c, seen[c])
		}
		seen[c] = name
	}
	if cookieOf(".") == cookieOf("..") || cookieOf(".") == 0 {
		t.Error("the cookies of . and .. must differ and must not be 0")
	}
}
