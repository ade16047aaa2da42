package file_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// lay writes a file without the driver.
func lay(t testing.TB, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, dir, target, name string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, s ufs.Store, key, content string) ufs.Object {
	t.Helper()
	o, err := s.Put(t.Context(), key, strings.NewReader(content), int64(len(content)), nil, ufs.Conditions{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func read(s ufs.Store, key string) (string, error) {
	body, _, err := s.Get(context.Background(), key, ufs.Whole, "")
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	raw, err := io.ReadAll(body)
	return string(raw), err
}

func list(t testing.TB, s ufs.Store, options ufs.ListOptions) []string {
	t.Helper()
	var all []string
	for {
		page, err := s.List(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Objects {
			all = append(all, o.Key)
		}
		all = append(all, page.Prefixes...)
		if page.Next == "" {
			slices.Sort(all)
			return all
		}
		options.Continuation = page.Next
	}
}

// TestLinks checks that links inside are followed and that none leads outside.
func TestLinks(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	lay(t, outside, "secret", "secret")
	lay(t, dir, "real/file", "content")
	link(t, dir, "real/file", "inner")
	link(t, dir, "real", "dir")
	link(t, dir, filepath.Join(outside, "secret"), "absolute")
	link(t, dir, "../"+filepath.Base(outside)+"/secret", "relative")
	link(t, dir, outside, "out")
	link(t, dir, "nowhere", "dangling")
	link(t, dir, ".", "loop")
	link(t, filepath.Join(dir, "real"), "..", "up")
	s := open(t, dir)
	for _, key := range []string{"inner", "dir/file", "real/file"} {
		if got, err := read(s, key); err != nil || got != "content" {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	for _, key := range []string{"absolute", "relative", "out/secret"} {
		if got, err := read(s, key); !errors.Is(err, ufs.ErrPermission) {
			t.Errorf("%s: %q, %v", key, got, err)
		}
		if err := s.Delete(t.Context(), key, ufs.Conditions{}); err == nil && key == "out/secret" {
			t.Errorf("%s was deleted", key)
		}
	}
	if _, err := s.Put(t.Context(), "out/new", strings.NewReader("x"), 1, nil, ufs.Conditions{}); err == nil {
		t.Error("a file was put outside")
	}
	if got := list(t, s, ufs.ListOptions{}); !slices.Equal(got, []string{"dir/file", "inner", "real/file"}) {
		t.Errorf("listed %q", got)
	}
	if got := list(t, s, ufs.ListOptions{Delimiter: "/"}); !slices.Equal(got, []string{"dir/", "inner", "real/"}) {
		t.Errorf("listed the top as %q", got)
	}
	if page, err := s.List(t.Context(), ufs.ListOptions{Prefix: "out/"}); !errors.Is(err, ufs.ErrPermission) {
		t.Errorf("listed outside: %+v, %v", page, err)
	}
	if names, _ := os.ReadDir(outside); len(names) != 1 {
		t.Errorf("outside there are %v", names)
	}
}

// TestSpecialFiles checks that they are neither listed nor opened: opening a FIFO
// would block.
func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, "socket")}); err != nil {
		t.Fatal(err)
	}
	lay(t, dir, "file", "x")
	s := open(t, dir)
	for _, key := range []string{"fifo", "socket"} {
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, ufs.ErrNotFound) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if got := list(t, s, ufs.ListOptions{}); !slices.Equal(got, []string{"file"}) {
		t.Errorf("listed %q", got)
	}
}

// TestWrittenInPlace checks that bytes of a file that is written while it is read
// are never returned as the version that was opened.
func TestWrittenInPlace(t *testing.T) {
	dir := t.TempDir()
	before := strings.Repeat("a", 1<<20)
	lay(t, dir, "file", before)
	s := open(t, dir)
	body, object, err := s.Get(t.Context(), "file", ufs.Whole, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	begin := make([]byte, 1000)
	if _, err := io.ReadFull(body, begin); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // more than a tick of file times
	lay(t, dir, "file", strings.Repeat("b", 1<<20))
	rest, err := io.ReadAll(body)
	if !errors.Is(err, ufs.ErrPrecondition) || strings.Contains(string(rest), "b") {
		t.Errorf("read %d bytes, %v", len(rest), err)
	}
	if now, err := s.Stat(t.Context(), "file"); err != nil || now.ETag == object.ETag {
		t.Errorf("the tag is the same: %v", err)
	}
	if _, _, err := s.Get(t.Context(), "file", ufs.Whole, object.ETag); !errors.Is(err, ufs.ErrPrecondition) {
		t.Errorf("the old version: %v", err)
	}
}

// TestTruncatedInPlace checks that a file that shrinks is not an early end.
func TestTruncatedInPlace(t *testing.T) {
	dir := t.TempDir()
	lay(t, dir, "file", strings.Repeat("a", 1<<20))
	body, _, err := open(t, dir).Get(t.Context(), "file", ufs.Whole, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	if err := os.Truncate(filepath.Join(dir, "file"), 100); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, body); err == nil {
		t.Errorf("read %d bytes and no error", n)
	}
}

// TestReadThroughUnlink checks that an object that is deleted or replaced while
// it is read keeps its bytes.
func TestReadThroughUnlink(t *testing.T) {
	s := open(t, t.TempDir())
	want := strings.Repeat("x", 1<<20)
	for name, change := range map[string]func(){
		"deleted":  func() { _ = s.Delete(t.Context(), "key", ufs.Conditions{}) },
		"replaced": func() { put(t, s, "key", "other") },
	} {
		put(t, s, "key", want)
		body, _, err := s.Get(t.Context(), "key", ufs.Whole, "")
		if err != nil {
			t.Fatal(err)
		}
		change()
		if raw, err := io.ReadAll(body); err != nil || string(raw) != want {
			t.Errorf("%s: %d bytes, %v", name, len(raw), err)
		}
		_ = body.Close()
	}
}

// TestDirectories checks which directories are objects, and which are removed
// with their last key.
func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"laid/empty", "laid/full"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lay(t, dir, "laid/full/file", "x")
	s := open(t, dir)
	put(t, s, "put/deep/file", "x")
	put(t, s, "marked/", "")
	put(t, s, "marked/file", "x")
	want := []string{"laid/empty/", "laid/full/file", "marked/", "marked/file", "put/deep/file"}
	if got := list(t, s, ufs.ListOptions{}); !slices.Equal(got, want) {
		t.Errorf("listed %q", got)
	}
	for _, key := range []string{"laid/full/file", "marked/file", "put/deep/file"} {
		if err := s.Delete(t.Context(), key, ufs.Conditions{}); err != nil {
			t.Fatal(err)
		}
	}
	want = []string{"laid/empty/", "laid/full/", "marked/"}
	if got := list(t, s, ufs.ListOptions{}); !slices.Equal(got, want) {
		t.Errorf("after deleting, listed %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "put")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that was made for a key still exists: %v", err)
	}
	if _, err := s.Put(t.Context(), "bytes/", strings.NewReader("x"), 1, nil, ufs.Conditions{}); !errors.Is(err, ufs.ErrInvalid) {
		t.Errorf("a directory with bytes: %v", err)
	}
	if err := s.Delete(t.Context(), "laid/empty/", ufs.Conditions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "laid")); err != nil {
		t.Errorf("a directory of another program was removed: %v", err)
	}
}

// TestLeftovers checks that what a crash leaves is neither listed nor served.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	lay(t, dir, ".jindo-tmp-AAAA", "half")
	lay(t, dir, "sub/.jindo-tmp-BBBB", "half")
	lay(t, dir, ".jindo-uploads/ID/00001.abc", "part")
	lay(t, dir, "sub/file", "x")
	s := open(t, dir)
	if got := list(t, s, ufs.ListOptions{}); !slices.Equal(got, []string{"sub/file"}) {
		t.Errorf("listed %q", got)
	}
	for _, key := range []string{".jindo-tmp-AAAA", "sub/.jindo-tmp-BBBB", ".jindo-uploads/ID/00001.abc", ".jindo-lock"} {
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, ufs.ErrInvalid) {
			t.Errorf("%s: %v", key, err)
		}
	}
	put(t, s, "key", "x")
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name.Name(), ".jindo-tmp-") && name.Name() != ".jindo-tmp-AAAA" {
			t.Errorf("a put left %s", name.Name())
		}
	}
}

// TestTwoClients checks that conditions hold between Stores, as for the workers
// of one host.
func TestTwoClients(t *testing.T) {
	dir := t.TempDir()
	stores := []ufs.Store{open(t, dir), open(t, dir), open(t, dir)}
	var mu sync.Mutex
	winners := 0
	var group sync.WaitGroup
	for _, s := range stores {
		for i := range 5 {
			group.Go(func() {
				_, err := s.Put(t.Context(), "deep/key", strings.NewReader(fmt.Sprint(i)), 1, nil, ufs.Conditions{IfNoneMatch: true})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					winners++
				} else if !errors.Is(err, ufs.ErrPrecondition) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
	group.Wait()
	if winners != 1 {
		t.Errorf("%d created one key", winners)
	}
}

// TestLockIsShared checks that a client of another process that holds the lock
// delays the last step of every mutation here.
func TestLockIsShared(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "removed", "x")
	lock, err := os.OpenFile(filepath.Join(dir, ".jindo-lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() {
		_, err := s.Put(t.Context(), "key", strings.NewReader("x"), 1, nil, ufs.Conditions{IfNoneMatch: true})
		done <- err
	}()
	go func() { done <- s.Delete(t.Context(), "removed", ufs.Conditions{}) }()
	select {
	case err := <-done:
		t.Errorf("a mutation ended under another's lock: %v", err)
		done <- err
	case <-time.After(200 * time.Millisecond): // long enough for a delete that does not wait
	}
	if got := list(t, s, ufs.ListOptions{}); !slices.Equal(got, []string{"removed"}) {
		t.Errorf("listed %q under the lock", got)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestDeleteAndPutMeet checks that a Put creates a directory again that is pruned
// at the same time.
func TestDeleteAndPutMeet(t *testing.T) {
	s := open(t, t.TempDir())
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := range 50 {
				key := fmt.Sprintf("a/b/c/%d-%d", w, i)
				if _, err := s.Put(t.Context(), key, strings.NewReader("x"), 1, nil, ufs.Conditions{}); err != nil {
					t.Errorf("putting: %v", err)
				}
				if err := s.Delete(t.Context(), key, ufs.Conditions{}); err != nil {
					t.Errorf("deleting: %v", err)
				}
			}
		})
	}
	group.Wait()
	if got := list(t, s, ufs.ListOptions{}); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}
