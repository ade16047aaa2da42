//go:build linux

package fusefs

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// sealedSource is a fakeSource whose versions can be sealed: a version is sealed if
// its file is in the directory of a cache. So another process can seal it.
type sealedSource struct {
	*fakeSource
	cache string
	// asked counts the requests for files, used the reported opens, and reads the
	// reads that come to the server.
	asked, used, reads atomic.Int64
	// refuse is set when no version is sealed any more.
	refuse atomic.Bool

	mu   sync.Mutex
	lent map[*sealedFile]bool
}

func newSealedSource(cache string) *sealedSource {
	return &sealedSource{fakeSource: newFakeSource(reader.Mount{ID: "m", Path: "/data"}), cache: cache, lent: map[*sealedFile]bool{}}
}

func sealedPath(cache string, v reader.Version) string {
	return filepath.Join(cache, "blocks-v1", "ab", hex.EncodeToString([]byte(v.ETag))+".data")
}

// seal writes the file of a version.
func seal(cache string, v reader.Version) error {
	path := sealedPath(cache, v)
	data := make([]byte, v.Size)
	fill(data, v.ETag, 0)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (s *sealedSource) seal(t testing.TB, v reader.Version) {
	t.Helper()
	if err := seal(s.cache, v); err != nil {
		t.Fatal(err)
	}
}

func (s *sealedSource) Open(ctx context.Context, v reader.Version) (File, error) {
	f, err := s.fakeSource.Open(ctx, v)
	if err != nil {
		return nil, err
	}
	return countedFile{f, s}, nil
}

type countedFile struct {
	File
	source *sealedSource
}

func (f countedFile) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	f.source.reads.Add(1)
	return f.File.ReadAt(ctx, p, off)
}

func (s *sealedSource) Backing(_ context.Context, v reader.Version) (reader.Backing, error) {
	s.asked.Add(1)
	file, err := os.Open(sealedPath(s.cache, v))
	if err == nil && s.refuse.Load() {
		_ = file.Close()
		return nil, reader.ErrNotSealed
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", reader.ErrNotSealed, err)
	}
	f := &sealedFile{source: s, file: file, revoked: make(chan struct{}), lost: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lent[f] = true
	return f, nil
}

// each calls f for the files that are lent.
func (s *sealedSource) each(f func(*sealedFile)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for file := range s.lent {
		f(file)
	}
}

func (s *sealedSource) count() (n int) {
	s.each(func(*sealedFile) { n++ })
	return n
}

type sealedFile struct {
	source        *sealedSource
	file          *os.File
	revoked, lost chan struct{}
}

func (f *sealedFile) Descriptor() *os.File     { return f.file }
func (f *sealedFile) Used()                    { f.source.used.Add(1) }
func (f *sealedFile) Revoked() <-chan struct{} { return f.revoked }
func (f *sealedFile) Lost() <-chan struct{}    { return f.lost }

func (f *sealedFile) Close() error {
	f.source.mu.Lock()
	defer f.source.mu.Unlock()
	delete(f.source.lent, f)
	return f.file.Close()
}

// newPassthroughMount is a mount whose holder registers the files of a cache.
func newPassthroughMount(t testing.TB, change func(*fusefd.Options)) (h *testMount, source *sealedSource) {
	t.Helper()
	cache := t.TempDir()
	options := fusefd.Options{AcceptBacking: fusefd.CacheFiles(func() []string { return []string{cache} })}
	if change != nil {
		change(&options)
	}
	return newTestMountWith(t, options), newSealedSource(cache)
}

// slots returns the slots of the mount, with the registrations.
func (h *testMount) slots(t testing.TB) *fusefd.Slots {
	t.Helper()
	_, file := h.session.Files()
	var slots *fusefd.Slots
	err := fdsock.Lend([]*os.File{file}, func(fds []int) error {
		fd, err := unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			slots, err = fusefd.MapSlots(os.NewFile(uintptr(fd), "slots"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slots.Close() })
	return slots
}

// needsPassthrough skips the test if this kernel does not support passthrough.
func needsPassthrough(t testing.TB, s *Server) {
	t.Helper()
	if !s.files.passthrough.supported.Load() {
		t.Skip("this kernel does not support passthrough")
	}
}

// checkWhole checks the whole file of a descriptor, by read and by mmap.
func checkWhole(t testing.TB, fd int, v reader.Version) {
	t.Helper()
	got := make([]byte, v.Size)
	for n := 0; n < len(got); {
		m, err := unix.Pread(fd, got[n:], int64(n))
		if err != nil || m == 0 {
			t.Fatalf("read %s at %d: %d bytes, error %v", v.ETag, n, m, err)
		}
		n += m
	}
	if i := wrong(got, v.ETag, 0); i >= 0 {
		t.Fatalf("read %s: wrong byte at %d", v.ETag, i)
	}
}

// checkMapped checks the bytes of a file in passthrough mode by mmap. In cached mode
// this process, which is the server, must not access the memory: the scheduler does
// not know that a thread waits in a page fault.
func checkMapped(t testing.TB, fd int, v reader.Version) {
	t.Helper()
	memory, err := unix.Mmap(fd, 0, int(v.Size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	if i := wrong(memory, v.ETag, 0); i >= 0 {
		t.Fatalf("map %s: wrong byte at %d", v.ETag, i)
	}
}

// openFD opens a file until the end of the test.
func openFD(t testing.TB, path string) int {
	t.Helper()
	fd, _ := openUntil(t, path)
	return fd
}

// openUntil opens a file until closeFD is called, or the test ends. Nothing else may
// close it: the number of a closed descriptor is soon that of another file, which the
// end of the test would close.
func openUntil(t testing.TB, path string) (fd int, closeFD func()) {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	closeFD = sync.OnceFunc(func() { _ = unix.Close(fd) })
	t.Cleanup(closeFD)
	return fd, closeFD
}
