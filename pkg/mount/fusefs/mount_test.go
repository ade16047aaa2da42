//go:build linux

package fusefs

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

func TestMain(m *testing.M) {
	if serveAsChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// waitTimeout bounds every wait. No test depends on its value.
const waitTimeout = 60 * time.Second

// eventually waits until condition returns true.
func eventually(t testing.TB, description string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(waitTimeout); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout waiting until %s", description)
		}
	}
}

// testMount is a mount with its holder, until the end of the test.
type testMount struct {
	session *fusefd.Session
	point   string
	socket  string
	state   string
}

func newTestMount(t testing.TB) *testMount {
	t.Helper()
	return newTestMountWith(t, fusefd.Options{})
}

// newTestMountWith is like newTestMount, with the slots of the options.
func newTestMountWith(t testing.TB, options fusefd.Options) *testMount {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root here")
	}
	dir := t.TempDir()
	h := &testMount{point: filepath.Join(dir, "mnt"), socket: filepath.Join(dir, "s"), state: filepath.Join(dir, "state")}
	options.Mountpoint, options.ReadOnly, options.AllowOther = h.point, true, true
	options.Logger = slog.New(slog.DiscardHandler)
	session, err := fusefd.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	h.session = session
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- session.Serve(ctx, h.socket) }()
	t.Cleanup(func() {
		limit, stop := context.WithTimeout(context.Background(), waitTimeout)
		defer stop()
		if err := session.Unmount(limit); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		session.Close()
		_ = unix.Unmount(h.point, unix.MNT_DETACH)
	})
	return h
}

// start serves the mount from this process until the returned function is
// called or the test ends.
func (h *testMount) start(t testing.TB, source Source, change func(*Config)) (s *Server, stop func()) {
	t.Helper()
	return h.startWith(t, source, change, true)
}

// startWith is like start, but may skip refusePolls, which would wait for a
// request that gets no reply.
func (h *testMount) startWith(t testing.TB, source Source, change func(*Config), polls bool) (s *Server, stop func()) {
	t.Helper()
	var attachment *fusefd.Attachment
	eventually(t, "the holder accepts the server", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
		defer cancel()
		var err error
		attachment, err = fusefd.Attach(ctx, h.socket)
		return err == nil
	})
	config := Config{
		Attachment: attachment, StateDir: h.state, Source: source, UID: 12, GID: 34,
		AttrTTL: time.Minute, EntryTTL: time.Minute, NegativeTTL: 5 * time.Second,
		Timeout: 30 * time.Second, StopTime: time.Second, Logger: slog.New(slog.DiscardHandler),
		// A busy machine must not change how a request is served.
		waits: waits{stale: waitTimeout, usage: waitTimeout, register: waitTimeout},
	}
	if testing.Verbose() {
		config.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if change != nil {
		change(&config)
	}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done; <-attachment.Done() }
	t.Cleanup(stop)
	if polls {
		h.refusePolls(t)
	}
	return s, stop
}

// refusePolls makes the kernel cache that files of this mount cannot be polled.
// Go's runtime polls every file that it opens, and blocks all polling during the
// kernel's first POLL request. A process that reads its own mount would deadlock.
func (h *testMount) refusePolls(t testing.TB) {
	t.Helper()
	// go-fuse serves this name itself.
	fd, err := unix.Open(filepath.Join(h.point, ".go-fuse-epoll-hack"), unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	_ = unix.Close(fd)
}

// mounted mounts and serves a source until the end of the test.
func mounted(t testing.TB, source Source, change func(*Config)) (point string, s *Server) {
	t.Helper()
	h := newTestMount(t)
	s, _ = h.start(t, source, change)
	return h.point, s
}

func TestWholeTree(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m1", Path: "/hadoop"}, reader.Mount{ID: "m2", Path: "/deep/er/spark"})
	want := map[string]reader.Version{}
	for _, f := range []struct {
		mount, at, name string
		size            int64
	}{
		{"m1", "hadoop", "empty", 0},
		{"m1", "hadoop", "a/small", 10},
		{"m1", "hadoop", "a/b/page", 4096},
		{"m1", "hadoop", "a/b/odd", 1<<20 + 17},
		{"m2", "deep/er/spark", "big", 5<<20 + 3},
	} {
		want[f.at+"/"+f.name] = source.put(f.mount, f.name, "etag-"+f.name, f.size)
	}
	point, _ := mounted(t, source, nil)
	got := map[string]bool{}
	err := filepath.WalkDir(point, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(point, p)
		got[rel] = true
		checkFile(t, p, want[rel])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if !got[name] {
			t.Errorf("the tree does not contain %s", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the tree has %d files, want %d", len(got), len(want))
	}
}

func checkFile(t *testing.T, p string, v reader.Version) {
	t.Helper()
	data, err := os.ReadFile(p)
	if err != nil {
		t.Error(err)
		return
	}
	if int64(len(data)) != v.Size || wrong(data, v.ETag, 0) >= 0 {
		t.Errorf("%s: got %d bytes, first wrong byte %d; want %d bytes", p, len(data), wrong(data, v.ETag, 0), v.Size)
	}
	info, err := os.Stat(p)
	if err != nil {
		t.Error(err)
		return
	}
	stat := info.Sys().(*unixStat)
	if info.Size() != v.Size || info.Mode() != 0o644 || stat.Uid != 12 || stat.Gid != 34 || stat.Nlink != 1 || !info.ModTime().Equal(time.Unix(1700000000, 0)) {
		t.Errorf("%s: got mode %v, %d bytes, owner %d:%d, modified %v", p, info.Mode(), info.Size(), stat.Uid, stat.Gid, info.ModTime())
	}
}

func TestReadOnly(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	source.put("m", "file", "1", 10)
	point, _ := mounted(t, source, nil)
	for name, operation := range map[string]func() error{
		"create": func() error { _, err := os.Create(filepath.Join(point, "new")); return err },
		"write":  func() error { _, err := os.OpenFile(filepath.Join(point, "file"), os.O_WRONLY, 0); return err },
		"mkdir":  func() error { return os.Mkdir(filepath.Join(point, "dir"), 0o755) },
		"remove": func() error { return os.Remove(filepath.Join(point, "file")) },
		"chmod":  func() error { return os.Chmod(filepath.Join(point, "file"), 0o600) },
	} {
		if err := operation(); !errors.Is(err, unix.EROFS) {
			t.Errorf("%s returned %v, want EROFS", name, err)
		}
	}
	if _, err := unix.Getxattr(filepath.Join(point, "file"), "user.a", make([]byte, 10)); !errors.Is(err, unix.ENOTSUP) {
		t.Errorf("getxattr returned %v, want ENOTSUP", err)
	}
}

func TestErrors(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	source.put("m", "denied", "1", 10)
	source.put("m", "broken", "1", 10)
	source.fail = func(operation, name string) error {
		switch {
		case operation == "lookup" && name == "denied":
			return reader.ErrPermission
		case operation == "read" && strings.HasSuffix(name, "broken"):
			return errors.New("every rung failed")
		case operation == "lookup" && name == "panic":
			panic("in a request")
		}
		return nil
	}
	point, _ := mounted(t, source, nil)
	for name, want := range map[string]error{"denied": unix.EACCES, "broken": unix.EIO, "none": unix.ENOENT, "panic": unix.EIO, strings.Repeat("x", 256): unix.ENAMETOOLONG} {
		if _, err := os.ReadFile(filepath.Join(point, name)); !errors.Is(err, want) {
			t.Errorf("read %s returned %v, want %v", name, err, want)
		}
	}
}

func TestNegativeEntries(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	point, _ := mounted(t, source, func(c *Config) { c.NegativeTTL = time.Hour })
	for range 5 {
		if _, err := os.Stat(filepath.Join(point, "none")); !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if n := source.counted("none"); n != 1 {
		t.Errorf("an absent name was looked up %d times, want once", n)
	}
}

func TestReplacedFile(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	first := source.put("m", "file", "one", 3<<20)
	point, _ := mounted(t, source, func(c *Config) { c.EntryTTL = time.Hour })
	name := filepath.Join(point, "file")
	old, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	p := make([]byte, 4096)
	if _, err := old.ReadAt(p, 0); err != nil || wrong(p, "one", 0) >= 0 {
		t.Fatalf("read of the first version: error %v or wrong bytes", err)
	}
	source.put("m", "file", "two", 1<<20)
	source.set(func() { source.deleted[first] = true })
	// The handle keeps its version: cached bytes are right, others fail.
	if _, err := old.ReadAt(p, 2<<20); !errors.Is(err, unix.ESTALE) {
		t.Errorf("read of a deleted version returned %v, want ESTALE", err)
	}
	checkReplaced(t, name)
	if _, err := old.ReadAt(p, 0); err == nil && wrong(p, "one", 0) >= 0 {
		t.Error("the old handle returned bytes of another version")
	}
	if source.counted("forget prefix/file") == 0 {
		t.Error("Forget was not called for the deleted version")
	}
}

func checkReplaced(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) != 1<<20 || wrong(data, "two", 0) >= 0 {
		t.Errorf("the next open returned %d bytes, first wrong byte %d", len(data), wrong(data, "two", 0))
	}
	if info, err := os.Stat(name); err != nil || info.Size() != 1<<20 {
		t.Errorf("the next stat returned %v, error %v", info, err)
	}
}

// TestReplacedBindMountedFileIsMapped checks that a private mapping of a new version
// does not put its bytes into the pages that handles of the old one read.
func TestReplacedBindMountedFileIsMapped(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	old := source.put("m", "file", "one", 3<<20)
	point, s := mounted(t, source, func(c *Config) { c.EntryTTL = time.Hour })
	target := filepath.Join(t.TempDir(), "bound")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(filepath.Join(point, "file"), target, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
	first := openFD(t, target)
	source.put("m", "file", "two", 3<<20)
	s.files.table.markStale(nodeOf(t, s, "/file"))
	second := openFD(t, target)
	got := make([]byte, 4096)
	if _, err := unix.Pread(second, got, 1<<20); err != nil || wrong(got, "two", 1<<20) >= 0 {
		t.Fatalf("a read of the new version: error %v, first wrong byte %d", err, wrong(got, "two", 1<<20))
	}
	memory, err := unix.Mmap(second, 0, 3<<20, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	// A system call reads the memory: this process, which is the server, must not wait in
	// a page fault, because the scheduler does not know of it.
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(in.Close(), out.Close()) }()
	if n, err := out.Write(memory[1<<20 : 1<<20+4096]); !errors.Is(err, unix.EFAULT) {
		t.Errorf("the new version is mapped: %d bytes are read, error %v", n, err)
	}
	checkWhole(t, first, old)
}

func TestStaleBindMountedFile(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	first := source.put("m", "file", "one", 3<<20)
	point, _ := mounted(t, source, func(c *Config) { c.EntryTTL = time.Hour })
	target := filepath.Join(t.TempDir(), "bound")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(filepath.Join(point, "file"), target, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
	source.put("m", "file", "two", 1<<20)
	source.set(func() { source.deleted[first] = true })
	if _, err := os.ReadFile(target); !errors.Is(err, unix.ESTALE) {
		t.Fatalf("the first read of a deleted version returned %v, want ESTALE", err)
	}
	// The name of a bind-mounted file cannot be looked up again, so that the open
	// gets the current version.
	data, err := os.ReadFile(target)
	if err != nil || len(data) != 1<<20 || wrong(data, "two", 0) >= 0 {
		t.Errorf("read of the bind-mounted file: got %d bytes, error %v", len(data), err)
	}
}
