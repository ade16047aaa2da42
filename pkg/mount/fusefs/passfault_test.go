//go:build linux

package fusefs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// newCacheMount is a mount whose holder registers the files of a cache in a directory.
func newCacheMount(t *testing.T, cache string) (*testMount, *sealedSource) {
	t.Helper()
	options := fusefd.Options{AcceptBacking: fusefd.CacheFiles(func() []string { return []string{cache} })}
	return newTestMountWith(t, options), newSealedSource(cache)
}

// sumOf returns the value of a gauge or a counter without labels.
func sumOf(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestCacheOnAStackedFileSystem checks a cache on overlayfs, as of a container without
// a volume: the kernel stacks no passthrough on it. The files are read through the
// server, and the reason is visible.
func TestCacheOnAStackedFileSystem(t *testing.T) {
	dir := t.TempDir()
	cache := filepath.Join(dir, "merged")
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := "lowerdir=" + filepath.Join(dir, "lower") + ",upperdir=" + filepath.Join(dir, "upper") + ",workdir=" + filepath.Join(dir, "work")
	if err := unix.Mount("jindo-test", cache, "overlay", 0, options); err != nil {
		t.Skip("not run: no overlayfs here:", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(cache, unix.MNT_DETACH) })
	h, source := newCacheMount(t, cache)
	v := source.put("m", "f", "one", passthroughSize)
	source.seal(t, v)
	registry := prometheus.NewRegistry()
	s, _ := h.start(t, source, func(c *Config) { c.Registry = registry })
	needsPassthrough(t, s)
	for range 3 {
		checkWhole(t, openFD(t, filepath.Join(h.point, "data/f")), v)
	}
	if n := counterOf(t, registry, "jindo_fuse_passthrough_fallbacks_total", fusefd.RegisterDepth); n == 0 {
		t.Error("no fallback is counted")
	}
	if got := s.Passthrough(); got.Reason != fusefd.RegisterDepth || got.Files != 0 || len(got.Mount) != 32 {
		t.Errorf("the server reports %+v", got)
	}
	if s.files.passthrough.count() != 0 || source.reads.Load() == 0 {
		t.Error("the kernel reads a file itself")
	}
	eventually(t, "the file is given back", func() bool { return source.count() == 0 })
}

// TestKernelWithoutPassthrough checks a mount for which the kernel has not enabled
// passthrough: no worker is asked for files, and the reason is visible.
func TestKernelWithoutPassthrough(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	v := source.put("m", "f", "one", passthroughSize)
	source.seal(t, v)
	registry := prometheus.NewRegistry()
	s, _ := h.start(t, source, func(c *Config) { c.Registry = registry })
	s.files.passthrough.supported.Store(false) // as when the reply to INIT lacks the flag
	checkWhole(t, openFD(t, filepath.Join(h.point, "data/f")), v)
	if n := counterOf(t, registry, "jindo_fuse_passthrough_fallbacks_total", reasonUnsupported); n != 1 {
		t.Errorf("%v fallbacks are counted, want 1", n)
	}
	if sumOf(t, registry, "jindo_fuse_passthrough_enabled") != 0 {
		t.Error("passthrough is reported as enabled")
	}
	if got := s.Passthrough(); got.Reason != reasonUnsupported || got.Files != 0 {
		t.Errorf("the server reports %+v", got)
	}
	if source.asked.Load() != 0 {
		t.Error("the worker received a request for a file")
	}
}

// failingDisk mounts a file system on a disk that fail makes unreadable.
func failingDisk(t *testing.T) (dir string, fail func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not run: need root to mount a disk")
	}
	image := filepath.Join(t.TempDir(), "disk")
	const size = 32 << 20
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "mkfs.ext4", "-q", "-F", "-O", "^has_journal", image).CombinedOutput(); err != nil {
		t.Skipf("not run: mkfs.ext4: %v %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", image).CombinedOutput()
	if err != nil {
		t.Skipf("not run: no loop device: %v %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	detach := exec.Command("losetup", "--detach", device)
	t.Cleanup(func() { _ = detach.Run() })
	dir = t.TempDir()
	if err := unix.Mount(device, dir, "ext4", unix.MS_NOATIME, "errors=continue"); err != nil {
		t.Skip("not run: mount a disk:", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	// Reads behind the end of the image fail.
	return dir, func() {
		if err := os.Truncate(image, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskErrorUnderPassthrough checks that a handle that the kernel reads itself
// returns EIO or the bytes of its version when the disk fails, and nothing else, and
// that later opens are served by the server once the worker has noticed.
func TestDiskErrorUnderPassthrough(t *testing.T) {
	cache, fail := failingDisk(t)
	h, source := newCacheMount(t, cache)
	v := source.put("m", "f", "one", passthroughSize)
	source.seal(t, v)
	s, _ := h.start(t, source, nil)
	needsPassthrough(t, s)
	path := filepath.Join(h.point, "data/f")
	fd := openFD(t, path)
	checkWhole(t, fd, v)
	if source.reads.Load() != 0 {
		t.Fatal("the file is not in passthrough mode")
	}
	// Some pages stay in memory, and the others must come from the disk.
	dropPages(t, sealedPath(cache, v), passthroughSize/2)
	fail()
	failed := 0
	for off := int64(0); off < v.Size; off += 4096 {
		p := make([]byte, min(4096, v.Size-off))
		n, err := unix.Pread(fd, p, off)
		switch {
		case errors.Is(err, unix.EIO):
			failed++
		case err != nil:
			t.Fatalf("read at %d: %v", off, err)
		case n == 0:
			t.Fatalf("the file ends at %d", off)
		case wrong(p[:n], v.ETag, off) >= 0:
			t.Fatalf("wrong byte at %d", off+int64(wrong(p[:n], v.ETag, off)))
		}
	}
	if failed == 0 {
		t.Error("no read has failed: the disk was not read")
	}
	source.each(func(f *sealedFile) { close(f.revoked) })
	source.refuse.Store(true)
	eventually(t, "an open is served by the server", func() bool {
		again, err := unix.Open(path, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(again) }()
		reads, p := source.reads.Load(), make([]byte, 4096)
		if n, err := unix.Pread(again, p, v.Size-4096); err != nil || n != len(p) || wrong(p, v.ETag, v.Size-4096) >= 0 {
			return false
		}
		return source.reads.Load() > reads
	})
}

// dropPages drops the pages of a file from an offset on from memory.
func dropPages(t *testing.T, path string, from int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), from, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}
