//go:build linux

package fusefs

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

const passthroughSize = 1<<20 + 123

// TestSealedFilesAreReadByTheKernel checks which opens are in passthrough mode, and
// that their bytes are those of one version.
func TestSealedFilesAreReadByTheKernel(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	big := source.put("m", "big", "one", passthroughSize)
	small := source.put("m", "small", "tiny", 4096)
	source.seal(t, big)
	source.seal(t, small)
	s, _ := h.start(t, source, nil)
	needsPassthrough(t, s)
	path := filepath.Join(h.point, "data/big")

	first := openFD(t, path)
	checkWhole(t, first, big)
	checkMapped(t, first, big)
	if n := source.reads.Load(); n != 0 {
		t.Errorf("the server received %d reads", n)
	}
	second := openFD(t, path)
	checkWhole(t, second, big)
	if asked, used := source.asked.Load(), source.used.Load(); asked != 1 || used != 1 {
		t.Errorf("the worker received %d requests and %d reports, want 1 and 1", asked, used)
	}
	checkWhole(t, openFD(t, filepath.Join(h.point, "data/small")), small)
	if source.asked.Load() != 1 {
		t.Error("the worker received a request for a small file")
	}

	other := source.put("m", "other", "three", passthroughSize)
	source.seal(t, other)
	checkWhole(t, openFD(t, filepath.Join(h.point, "data/other")), other)

	// A changed file has another nodeid and another backing.
	next := source.put("m", "big", "two", passthroughSize)
	source.seal(t, next)
	s.files.notifier.entry("/data/big")
	// If the kernel opens the old nodeid once more, that is refused, and the next one is
	// not in passthrough mode for renewalTime.
	files := s.Passthrough().Files
	eventually(t, "an open gets the next version in passthrough mode", func() bool {
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(fd) }()
		p := make([]byte, 4096)
		if _, err := unix.Pread(fd, p, 0); err != nil {
			t.Fatal(err)
		}
		return wrong(p, "two", 0) < 0 && s.Passthrough().Files == files+1
	})
	reads := source.reads.Load()
	third := openFD(t, path)
	checkWhole(t, third, next)
	checkMapped(t, third, next)
	checkWhole(t, second, big)
	// The bytes stay after the cache has removed its files.
	for _, v := range []string{sealedPath(source.cache, big), sealedPath(source.cache, next)} {
		if err := os.Remove(v); err != nil {
			t.Fatal(err)
		}
	}
	checkWhole(t, first, big)
	checkWhole(t, third, next)
	checkWhole(t, openFD(t, path), next)
	if source.reads.Load() != reads {
		t.Errorf("the server received %d reads", source.reads.Load()-reads)
	}
}

// TestRegistrationsEndAtTheLastRelease checks that registrations and files are given
// back.
func TestRegistrationsEndAtTheLastRelease(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	v := source.put("m", "f", "one", passthroughSize)
	source.seal(t, v)
	s, _ := h.start(t, source, nil)
	needsPassthrough(t, s)
	path := filepath.Join(h.point, "data/f")
	for range 2 {
		var fds []int
		for range 3 {
			fd, err := unix.Open(path, unix.O_RDONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			fds = append(fds, fd)
		}
		if got := s.Passthrough(); got.Reason != "" || got.Files != 1 {
			t.Errorf("the server reports %+v", got)
		}
		if s.files.passthrough.count() != 1 || source.count() != 1 || len(s.attachment.Slots.Backings()) != 1 {
			t.Errorf("%d registrations in use, %d files are lent, %d are registered", s.files.passthrough.count(), source.count(), len(s.attachment.Slots.Backings()))
		}
		for _, fd := range fds {
			checkWhole(t, fd, v)
			_ = unix.Close(fd)
		}
		eventually(t, "the registration has ended", func() bool {
			return s.files.passthrough.count() == 0 && source.count() == 0 && len(s.attachment.Slots.Backings()) == 0
		})
	}
}

// TestFirstOpenDecidesTheMode checks opens beside a cached handle, while the file is
// sealed, and after its last handle was released.
func TestFirstOpenDecidesTheMode(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	v := source.put("m", "f", "one", passthroughSize)
	s, _ := h.start(t, source, nil)
	needsPassthrough(t, s)
	path := filepath.Join(h.point, "data/f")
	first, closeFirst := openUntil(t, path)
	checkWhole(t, first, v)
	source.seal(t, v)
	beside, closeBeside := openUntil(t, path)
	checkWhole(t, beside, v)
	if s.files.passthrough.count() != 0 || source.asked.Load() != 1 {
		t.Errorf("beside a cached handle: %d registrations, %d requests to the worker", s.files.passthrough.count(), source.asked.Load())
	}
	closeFirst()
	closeBeside()
	eventually(t, "the file is opened in passthrough mode", func() bool {
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(fd) }()
		checkWhole(t, fd, v)
		return s.files.passthrough.count() == 1
	})
}

// TestReplacedFileBesidePassthrough checks a file that is bind-mounted, so that its
// nodeid cannot be looked up again. An open gets the current version, except beside
// handles in passthrough mode, whose backing it would map.
func TestReplacedFileBesidePassthrough(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	old := source.put("m", "f", "one", passthroughSize)
	source.seal(t, old)
	s, _ := h.start(t, source, nil)
	needsPassthrough(t, s)
	bound := filepath.Join(t.TempDir(), "bound")
	if err := os.WriteFile(bound, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(filepath.Join(h.point, "data/f"), bound, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(bound, unix.MNT_DETACH) })
	first, closeFirst := openUntil(t, bound)
	checkWhole(t, first, old)
	next := source.put("m", "f", "two", passthroughSize)
	id := nodeOf(t, s, "/data/f")
	if n, _ := s.files.table.node(id); n.backing == 0 {
		t.Fatal("the file is not in passthrough mode")
	}
	s.files.table.markStale(id)
	for range 3 {
		if _, err := unix.Open(bound, unix.O_RDONLY, 0); !errors.Is(err, unix.ESTALE) {
			t.Fatalf("an open beside passthrough: error %v, want ESTALE", err)
		}
	}
	checkWhole(t, first, old)
	checkMapped(t, first, old)
	closeFirst()
	eventually(t, "the handle is released", func() bool { n, _ := s.files.table.node(id); return n.opens == 0 })
	checkWhole(t, openFD(t, bound), next)
}

// TestDirectOpens checks handles with O_DIRECT, whose reads need no alignment.
func TestDirectOpens(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	v := source.put("m", "f", "one", passthroughSize)
	source.seal(t, v)
	s, _ := h.start(t, source, nil)
	needsPassthrough(t, s)
	path := filepath.Join(h.point, "data/f")
	read := func(beside string) {
		t.Helper()
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECT, 0)
		if err != nil {
			t.Fatalf("%s: %v", beside, err)
		}
		defer func() { _ = unix.Close(fd) }()
		p := make([]byte, 1001)
		if n, err := unix.Pread(fd, p, 777); err != nil || n != len(p) || wrong(p, "one", 777) >= 0 {
			t.Errorf("%s: %d bytes, error %v", beside, n, err)
		}
	}
	read("first")
	eventually(t, "the handle is released", func() bool { n, _ := s.files.table.node(nodeOf(t, s, "/data/f")); return n.opens == 0 })
	fd := openFD(t, path)
	if s.files.passthrough.count() != 1 {
		t.Fatal("the file is not in passthrough mode")
	}
	read("beside passthrough")
	checkWhole(t, fd, v)
}

// nodeOf returns the newest node of a path.
func nodeOf(t testing.TB, s *Server, path string) uint64 {
	t.Helper()
	s.files.table.mu.Lock()
	defer s.files.table.mu.Unlock()
	_, n, ok := s.files.table.findPath(path)
	if !ok {
		t.Fatalf("%s is not known", path)
	}
	return n.id
}

// TestRevokedBacking checks that later opens of a revoked file are served by the
// server, beside a handle that is still open, and that its pages are dropped.
func TestRevokedBacking(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	v := source.put("m", "f", "one", passthroughSize)
	source.seal(t, v)
	s, _ := h.start(t, source, nil)
	needsPassthrough(t, s)
	path := filepath.Join(h.point, "data/f")
	first, closeFirst := openUntil(t, path)
	if err := os.Remove(sealedPath(source.cache, v)); err != nil {
		t.Fatal(err)
	}
	source.each(func(f *sealedFile) { close(f.revoked) })
	eventually(t, "an open is served by the server", func() bool {
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(fd) }()
		reads := source.reads.Load()
		checkWhole(t, fd, v)
		return source.reads.Load() > reads
	})
	if s.files.passthrough.count() != 1 {
		t.Errorf("%d registrations, want that of the open handle", s.files.passthrough.count())
	}
	checkWhole(t, first, v)
	closeFirst()
	eventually(t, "the registration has ended", func() bool { return s.files.passthrough.count() == 0 })
}

// TestBackingOfARestartedWorker checks that the file is borrowed again when the
// worker ends, and that another file is not taken for it.
func TestBackingOfARestartedWorker(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	v := source.put("m", "f", "one", passthroughSize)
	source.seal(t, v)
	s, _ := h.start(t, source, nil)
	needsPassthrough(t, s)
	path := filepath.Join(h.point, "data/f")
	first := openFD(t, path)
	lose := func() { source.each(func(f *sealedFile) { close(f.lost) }) }
	lose()
	eventually(t, "the file is borrowed again", func() bool { return source.asked.Load() == 2 && source.count() == 1 })
	fd, closeFD := openUntil(t, path)
	checkWhole(t, fd, v)
	if source.reads.Load() != 0 {
		t.Error("the server received reads")
	}
	closeFD()
	node := nodeOf(t, s, "/data/f")
	source.seal(t, v) // Another file of the same bytes.
	lose()
	eventually(t, "the node is retired", func() bool { n, _ := s.files.table.node(node); return n.stale })
	checkWhole(t, openFD(t, path), v)
	checkWhole(t, first, v)
}

// TestPassthroughFallsBack checks that files are read through the server when they
// cannot be registered, and that the reason is counted.
func TestPassthroughFallsBack(t *testing.T) {
	for name, c := range map[string]struct {
		holder func(*fusefd.Options)
		server func(*Config)
		reason string
	}{
		"no broker":       {holder: func(o *fusefd.Options) { o.AcceptBacking = nil }, reason: reasonHolder},
		"refusing broker": {holder: func(o *fusefd.Options) { o.AcceptBacking = func(fusefd.BackingFile) error { return os.ErrPermission } }, reason: fusefd.RegisterRefused},
		"full broker":     {holder: func(o *fusefd.Options) { o.MaxBackings = 1 }, reason: fusefd.RegisterLimit},
		"no source":       {server: func(c *Config) { c.Source = c.Source.(*sealedSource).fakeSource }},
		"disabled":        {server: func(c *Config) { c.Passthrough = -1 }},
	} {
		t.Run(name, func(t *testing.T) {
			h, source := newPassthroughMount(t, c.holder)
			registry := prometheus.NewRegistry()
			a, b := source.put("m", "a", "one", passthroughSize), source.put("m", "b", "two", passthroughSize)
			source.seal(t, a)
			source.seal(t, b)
			s, _ := h.start(t, source, func(config *Config) {
				config.Registry = registry
				if c.server != nil {
					c.server(config)
				}
			})
			needsPassthrough(t, s)
			for range 3 {
				fdA, closeA := openUntil(t, filepath.Join(h.point, "data/a"))
				fdB, closeB := openUntil(t, filepath.Join(h.point, "data/b"))
				checkWhole(t, fdA, a)
				checkWhole(t, fdB, b)
				closeA()
				closeB()
			}
			if c.reason != "" && counterOf(t, registry, "jindo_fuse_passthrough_fallbacks_total", c.reason) == 0 {
				t.Errorf("no fallback with the reason %s is counted", c.reason)
			}
			eventually(t, "everything is given back", func() bool { return source.count() == 0 && s.files.passthrough.count() == 0 })
		})
	}
}

// counterOf returns the value of a counter with a label.
func counterOf(t *testing.T, registry *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// TestHangingBroker checks that opens go on when the holder does not respond, and
// that registrations which complete late are given back.
func TestHangingBroker(t *testing.T) {
	gate := make(chan struct{})
	h, source := newPassthroughMount(t, func(o *fusefd.Options) {
		o.AcceptBacking = func(fusefd.BackingFile) error { <-gate; return nil }
	})
	v := source.put("m", "f", "one", passthroughSize)
	source.seal(t, v)
	s, _ := h.start(t, source, func(c *Config) { c.waits.register = registerTimeout })
	needsPassthrough(t, s)
	began := time.Now()
	for range 5 {
		fd, closeFD := openUntil(t, filepath.Join(h.point, "data/f"))
		checkWhole(t, fd, v)
		closeFD()
	}
	// A busy machine may take longer than the time for which no file is registered.
	if asked := source.asked.Load(); asked != 1 && time.Since(began) < awayPause {
		t.Errorf("the worker received %d requests while the holder hangs, want 1", asked)
	}
	close(gate)
	eventually(t, "the late registration has ended", func() bool { return len(s.attachment.Slots.Backings()) == 0 })
}

// TestPageInvalidationDoesNotDeadlock invalidates the pages of open files, cached and
// in passthrough mode, while they are read. The kernel then waits for pages that are
// being read, with the inode locked.
func TestPageInvalidationDoesNotDeadlock(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	cached, sealed := source.put("m", "cached", "one", 8<<20), source.put("m", "sealed", "two", 8<<20)
	source.seal(t, sealed)
	source.delay = time.Millisecond
	s, stop := h.start(t, source, nil)
	needsPassthrough(t, s)
	fds := []int{openFD(t, filepath.Join(h.point, "data/cached")), openFD(t, filepath.Join(h.point, "data/sealed"))}
	nodes := []uint64{nodeOf(t, s, "/data/cached"), nodeOf(t, s, "/data/sealed")}
	done := make(chan struct{})
	var restarted atomic.Bool
	go func() {
		defer close(done)
		for pass := 0; pass < 12 || !restarted.Load(); pass++ {
			checkWhole(t, fds[0], cached)
			checkWhole(t, fds[1], sealed)
			checkMapped(t, fds[1], sealed)
		}
	}()
	watchdog := time.AfterFunc(waitTimeout, func() {
		t.Error("the readers hang")
		_ = h.session.Abort()
	})
	defer watchdog.Stop()
	for n := 0; ; n++ {
		// The readers read on in between: on a busy machine all that they have read would
		// be dropped again and again.
		for reads := source.reads.Load(); source.reads.Load() < reads+2; {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
		for _, node := range nodes {
			s.files.notifier.pages(node)
		}
		if n == 20 {
			stop() // Also while there is no server.
			s, _ = h.startWith(t, source, nil, false)
			restarted.Store(true)
		}
	}
}
