//go:build linux

package fusefs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

func immutable(c *Config) { c.Immutable, c.AttrTTL, c.EntryTTL = true, time.Hour, time.Hour }

// served returns the number of requests that a registry has counted, by operation.
func served(t testing.TB, registry *prometheus.Registry) map[string]uint64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "jindo_fuse_request_seconds" {
				counts[m.GetLabel()[0].GetValue()] = m.GetHistogram().GetSampleCount()
			}
			if g := m.GetGauge(); g != nil {
				counts[family.GetName()] = uint64(g.GetValue())
			}
		}
	}
	return counts
}

// TestImmutableFilesAreReadWithoutRequests checks that the kernel opens, reads and
// closes files that it has read before without a request.
func TestImmutableFilesAreReadWithoutRequests(t *testing.T) {
	const files = 50
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	versions := map[string]reader.Version{}
	for i := range files {
		name := fmt.Sprintf("dir/%02d", i)
		versions[name] = source.put("m", name, name, int64(i*1000))
	}
	registry := prometheus.NewRegistry()
	point, _ := mounted(t, source, func(c *Config) { immutable(c); c.Registry = registry })
	pass := func() {
		for name, v := range versions {
			checkFile(t, filepath.Join(point, name), v)
		}
	}
	pass()
	var after map[string]uint64
	// The last requests of a pass may be counted during the next one, because their
	// replies are written before, and because nothing waits for RELEASE and FORGET.
	eventually(t, "a pass over the files sends no request", func() bool {
		before := served(t, registry)
		pass()
		after = served(t, registry)
		delete(before, "forget")
		delete(after, "forget")
		return maps.Equal(before, after)
	})
	if after["open"] > 2 || after["release"] > 1 || after["read"] == 0 || after["read"] > files || after["lookup"] > files+2 {
		t.Errorf("the kernel has sent %d OPEN, %d RELEASE, %d LOOKUP and %d READ for %d files", after["open"], after["release"], after["lookup"], after["read"], files)
	}
	if after["jindo_fuse_immutable"] != 1 || after["jindo_fuse_passthrough_enabled"] != 0 || after["jindo_fuse_remount_needed"] != 0 {
		t.Errorf("the metrics show another profile: %v", after)
	}
	if after["jindo_fuse_node_files"] != 0 {
		t.Errorf("%d files that were read whole are still open", after["jindo_fuse_node_files"])
	}
}

// TestImmutableMountIsReadOnly checks that the kernel refuses to open files for
// writing although it does not send OPEN.
func TestImmutableMountIsReadOnly(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	source.put("m", "file", "1", 10)
	point, _ := mounted(t, source, immutable)
	name := filepath.Join(point, "file")
	for range 2 {
		for _, flags := range []int{unix.O_WRONLY, unix.O_RDWR, unix.O_RDWR | unix.O_TRUNC, unix.O_WRONLY | unix.O_APPEND} {
			if fd, err := unix.Open(name, flags, 0); !errors.Is(err, unix.EROFS) {
				t.Errorf("open with flags %#x returned %d, %v, want EROFS", flags, fd, err)
			}
		}
		if _, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(name, 0); !errors.Is(err, unix.EROFS) {
		t.Errorf("truncate returned %v, want EROFS", err)
	}
}

// TestReplacedImmutableFile checks that a version that does not exist any more fails
// with ESTALE, and that the next open gets the current one although the kernel may
// cache names for an hour.
func TestReplacedImmutableFile(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	first := source.put("m", "file", "one", 3<<20)
	point, _ := mounted(t, source, immutable)
	name := filepath.Join(point, "file")
	old := openFD(t, name)
	p := make([]byte, 4096)
	if _, err := unix.Pread(old, p, 0); err != nil || wrong(p, "one", 0) >= 0 {
		t.Fatalf("read of the first version: error %v or wrong bytes", err)
	}
	source.put("m", "file", "two", 1<<20)
	source.set(func() { source.deleted[first] = true })
	// The kernel does not know yet: it opens the previous version.
	late := openFD(t, name)
	for _, fd := range []int{old, late} {
		if n, err := unix.Pread(fd, p, 2<<20); !errors.Is(err, unix.ESTALE) {
			t.Errorf("read of a deleted version returned %d bytes, %v, want ESTALE", n, err)
		}
	}
	checkReplaced(t, name)
	for _, fd := range []int{old, late} {
		if n, err := unix.Pread(fd, p, 0); err == nil && wrong(p[:n], "one", 0) >= 0 {
			t.Error("a descriptor of the first version returned other bytes")
		}
	}
	if source.counted("forget prefix/file") == 0 {
		t.Error("Forget was not called for the deleted version")
	}
}

// TestStaleImmutableFileAfterATakeover checks that the successor of a server that was
// killed before it invalidated the name of a stale node does so.
func TestStaleImmutableFileAfterATakeover(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	source.put("m", "file", "one", 3<<20)
	h := newTestMount(t)
	s, stop := h.start(t, source, immutable)
	name := filepath.Join(h.point, "file")
	if _, err := os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
	source.put("m", "file", "two", 1<<20)
	s.files.table.mu.Lock()
	_, n, ok := s.files.table.findPath("/file")
	s.files.table.mu.Unlock()
	if !ok {
		t.Fatal("the file has no node")
	}
	s.files.table.markStale(n.id)
	stop()
	h.start(t, source, immutable)
	eventually(t, "the kernel looks up the name again", func() bool {
		info, err := os.Stat(name)
		return err == nil && info.Size() == 1<<20
	})
	checkReplaced(t, name)
}

// TestProfileOutlastsServers checks that the profile of a mount does not change with
// the flags of its servers, and that files stay open.
func TestProfileOutlastsServers(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("immutable %v", first), func(t *testing.T) {
			source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
			source.put("m", "file", "one", 1<<20)
			source.put("m", "later", "two", 1<<20)
			h := newTestMount(t)
			_, stop := h.start(t, source, func(c *Config) { c.Immutable = first })
			fd, closeFD := openUntil(t, filepath.Join(h.point, "file"))
			defer closeFD() // It may send a FLUSH, which the last server must serve.
			p := make([]byte, 4096)
			if _, err := unix.Pread(fd, p, 0); err != nil {
				t.Fatal(err)
			}
			stop()
			registry := prometheus.NewRegistry()
			s, _ := h.start(t, source, func(c *Config) { c.Immutable, c.Registry = !first, registry })
			if s.files.immutable != first {
				t.Errorf("the second server has profile immutable %v, want %v", s.files.immutable, first)
			}
			if served(t, registry)["jindo_fuse_remount_needed"] != 1 {
				t.Error("the metrics do not show that a remount is needed")
			}
			checkPage := func(fd int, etag string, off int64) {
				t.Helper()
				if n, err := unix.Pread(fd, p, off); err != nil || n != len(p) || wrong(p, etag, off) >= 0 {
					t.Errorf("read %s at %d: %d bytes, error %v", etag, off, n, err)
				}
			}
			checkPage(fd, "one", 768<<10)
			checkPage(openFD(t, filepath.Join(h.point, "later")), "two", 8192)
		})
	}
}

// TestFirstServersChooseTheProfile checks that the profile is fixed by the server that
// the kernel has connected to, not by one that was killed before.
func TestFirstServersChooseTheProfile(t *testing.T) {
	dir, ids := tempDir(t), &counter{}
	for _, c := range []struct{ asked, negotiated, want bool }{
		{true, false, true}, {false, false, false}, {true, true, false}, {true, false, true}, {false, true, true}, {true, true, true},
	} {
		table := reopen(t, dir, nil, ids)
		table.recordModes()
		if got := table.setProfile(c.asked, c.negotiated); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
		if table.header.features&featureModes == 0 {
			t.Error("another feature was lost")
		}
		if err := table.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLostTableOfAnImmutableMount checks that files can be opened again after the node
// table was lost, although the kernel sends no OPEN that could fail and may cache
// names for an hour.
func TestLostTableOfAnImmutableMount(t *testing.T) {
	for _, path := range []string{"/", "/data"} {
		t.Run(path, func(t *testing.T) {
			source := newFakeSource(reader.Mount{ID: "m", Path: path})
			for _, name := range []string{"top", "dir/file"} {
				source.put("m", name, name, 1<<20)
			}
			h := newTestMount(t)
			_, stop := h.start(t, source, immutable)
			at := func(name string) string { return filepath.Join(h.point, path, name) }
			fd, closeFD := openUntil(t, at("dir/file"))
			defer closeFD()
			p := make([]byte, 4096)
			for _, name := range []string{"top", "dir/file"} {
				if _, err := readAt(h.point, filepath.Join(path, name), 0, 4096, 0); err != nil {
					t.Fatal(err)
				}
			}
			stop()
			if err := os.Remove(filepath.Join(h.state, tableName)); err != nil {
				t.Fatal(err)
			}
			h.start(t, source, nil)
			if _, err := unix.Pread(fd, p, 900<<10); !errors.Is(err, unix.ESTALE) {
				t.Errorf("read of a lost node returned %v, want ESTALE", err)
			}
			for _, name := range []string{"top", "dir/file"} {
				eventually(t, "the file can be opened again", func() bool {
					fd, err := unix.Open(at(name), unix.O_RDONLY, 0)
					if err != nil {
						return false
					}
					defer func() { _ = unix.Close(fd) }()
					n, err := unix.Pread(fd, p, 900<<10)
					return err == nil && n == len(p) && wrong(p, name, 900<<10) < 0
				})
			}
		})
	}
}

// diskSource is a source with one file of this host.
type diskSource struct {
	*fakeSource
	file *os.File
}

type diskFile struct{ *os.File }

func (f diskFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.File.ReadAt(p, off)
}
func (diskFile) Close() error { return nil }

func (s diskSource) Open(context.Context, reader.Version) (File, error) { return diskFile{s.file}, nil }

// TestProgramRunsFromAnImmutableMount executes a program, whose pages the dynamic
// linker maps.
func TestProgramRunsFromAnImmutableMount(t *testing.T) {
	linkers, _ := filepath.Glob("/lib*/ld-linux-*.so.*")
	program, err := exec.LookPath("echo")
	if err != nil || len(linkers) == 0 {
		t.Skip("no dynamic linker or no program here")
	}
	file, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	source := diskSource{newFakeSource(reader.Mount{ID: "m", Path: "/"}), file}
	source.put("m", "echo", "program", info.Size())
	point, _ := mounted(t, source, immutable)
	for range 2 {
		out, err := exec.Command(linkers[0], filepath.Join(point, "echo"), "runs").CombinedOutput()
		if err != nil || string(out) != "runs\n" {
			t.Errorf("the program returned %q, error %v", out, err)
		}
	}
}
