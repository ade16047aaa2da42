//go:build linux

package fusefs

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

func TestHandlesSurviveATakeover(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/data"})
	source.put("m", "dir/file", "one", 1<<20)
	h := newTestMount(t)
	_, stop := h.start(t, source, nil)
	fd, err := unix.Open(filepath.Join(h.point, "data/dir/file"), unix.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	source.put("m", "dir/file", "two", 1<<20)
	stop()
	h.start(t, source, nil)
	p := alignedPage(t)
	if n, err := unix.Pread(fd, p, 8192); err != nil || n != len(p) || wrong(p, "one", 8192) >= 0 {
		t.Errorf("read of the open handle: got %d bytes, error %v, first wrong byte %d", n, err, wrong(p[:n], "one", 8192))
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || stat.Size != 1<<20 {
		t.Errorf("fstat of the open handle: error %v, size %d", err, stat.Size)
	}
}

// alignedPage returns memory that is aligned for O_DIRECT.
func alignedPage(t *testing.T) []byte {
	t.Helper()
	p, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(p) })
	return p
}

func TestDirectoryReadersSurviveATakeover(t *testing.T) {
	for name, remove := range map[string]bool{"last entry exists": false, "last entry is removed": true} {
		t.Run(name, func(t *testing.T) {
			source, names := directoryOf(1000)
			h := newTestMount(t)
			_, stop := h.start(t, source, nil)
			fd := openDir(t, filepath.Join(h.point, "dir"))
			seen := readEntries(t, fd, 300, 1024)
			stop()
			if remove {
				source.remove("m", "dir/"+seen[len(seen)-1].name)
			}
			h.start(t, source, nil)
			if got := namesOf(append(slices.Clone(seen), readRest(t, fd, 1024)...)); !slices.Equal(got, names) {
				t.Errorf("got %d names, want %d, each once", len(got), len(names))
			}
			// Seeking backwards after a takeover needs a scan of the directory.
			seekTo(t, fd, seen[100].cookie)
			want := namesOf(seen[101:])
			if got := namesOf(readEntries(t, fd, 200, 1024)); !slices.Equal(got[:100], want[:100]) {
				t.Errorf("after seeking backwards: got %v, want %v", got[:5], want[:5])
			}
		})
	}
}

// TestRequestIsLeftToTheSuccessor checks that a stopping server does not fail a
// request that it cannot complete.
func TestRequestIsLeftToTheSuccessor(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	source.put("m", "file", "one", 100)
	source.delay = time.Hour
	var reading atomic.Bool
	source.fail = func(operation, _ string) error {
		if operation == "read" {
			reading.Store(true)
		}
		return nil
	}
	h := newTestMount(t)
	_, stop := h.start(t, source, func(c *Config) { c.StopTime = 10 * time.Millisecond })
	done := make(chan error, 1)
	go func() {
		data, err := os.ReadFile(filepath.Join(h.point, "file"))
		if err == nil && (len(data) != 100 || wrong(data, "one", 0) >= 0) {
			err = errors.New("wrong bytes")
		}
		done <- err
	}()
	eventually(t, "the read is in progress", reading.Load)
	stop()
	source.set(func() { source.delay = 0 })
	h.start(t, source, nil)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestDeadlyRequestFails checks that a request fails after maxDeaths
// servers have died while they processed it, and that other requests succeed.
func TestDeadlyRequestFails(t *testing.T) {
	h := newTestMount(t)
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	source.put("m", "poison", "p", 10)
	source.put("m", "plain", "one", 10)
	var deadly atomic.Bool
	source.fail = func(operation, name string) error {
		if operation == "lookup" && name == "poison" && deadly.Load() {
			return errDies
		}
		return nil
	}
	_, stop := h.start(t, blockedSource{source}, nil)
	deadly.Store(true)
	poisoned := make(chan error, 1)
	go func() {
		_, err := os.Stat(filepath.Join(h.point, "poison"))
		poisoned <- err
	}()
	for deaths := 1; deaths <= maxDeaths; deaths++ {
		eventually(t, "the request is in progress", func() bool { return source.counted("poison") == deaths })
		stop()
		_, stop = h.startDeadly(t, blockedSource{source})
	}
	if err := <-poisoned; !errors.Is(err, unix.EIO) {
		t.Errorf("the deadly request returned %v, want EIO", err)
	}
	if n := source.counted("poison"); n != maxDeaths {
		t.Errorf("%d servers processed the deadly request, want %d", n, maxDeaths)
	}
	if data, err := os.ReadFile(filepath.Join(h.point, "plain")); err != nil || wrong(data, "one", 0) >= 0 {
		t.Errorf("read of another file: error %v or wrong bytes", err)
	}
}

// errDies simulates the death of a server: the request gets no reply.
var errDies = errors.New("dies")

// blockedSource blocks in a lookup that would kill its server, so that the request
// stays live in its slot as after the death of a server.
type blockedSource struct{ *fakeSource }

func (d blockedSource) Lookup(ctx context.Context, mount, dir, name string) (reader.Entry, error) {
	e, err := d.fakeSource.Lookup(ctx, mount, dir, name)
	if errors.Is(err, errDies) {
		<-ctx.Done()
	}
	return e, err
}

func (h *testMount) startDeadly(t *testing.T, source Source) (*Server, func()) {
	t.Helper()
	// However long it takes to stop the server, the request must not survive it.
	return h.startWith(t, source, func(c *Config) { c.StopTime, c.waits.suspect = time.Millisecond, waitTimeout }, false)
}

// TestKilledReaderDoesNotWait checks that a process can be killed during a read
// that never completes, and that another signal does not end the read.
func TestKilledReaderDoesNotWait(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	source.put("m", "file", "one", 100)
	source.delay = time.Hour
	var reading atomic.Bool
	source.fail = func(operation, _ string) error {
		if operation == "read" {
			reading.Store(true)
		}
		return nil
	}
	h := newTestMount(t)
	s, _ := h.start(t, source, func(c *Config) { c.Timeout = 0 })
	// A direct read waits for nothing but the reply.
	command := exec.Command("dd", "if="+filepath.Join(h.point, "file"), "of=/dev/null", "iflag=direct", "bs=4096")
	if err := command.Start(); err != nil {
		t.Skip("no dd here:", err)
	}
	live := func() int {
		s.files.requests.mu.Lock()
		defer s.files.requests.mu.Unlock()
		return len(s.files.requests.live)
	}
	// dd handles SIGUSR1 only after it has installed its handler.
	eventually(t, "the read is in progress", reading.Load)
	_ = command.Process.Signal(syscall.SIGUSR1) // dd prints statistics and continues
	eventually(t, "the server receives the interrupt", func() bool {
		s.files.requests.mu.Lock()
		defer s.files.requests.mu.Unlock()
		return len(s.files.requests.interrupted) > 0
	})
	time.Sleep(2 * killInterval)
	if live() == 0 {
		t.Error("a signal that does not kill ended a read")
	}
	_ = command.Process.Kill()
	exited := make(chan struct{})
	go func() { _ = command.Wait(); close(exited) }()
	select {
	case <-exited:
	case <-time.After(waitTimeout):
		t.Error("the killed reader did not exit")
		_ = h.session.Abort()
		<-exited
	}
	eventually(t, "the server has ended the read", func() bool { return live() == 0 })
}

func TestKillPending(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		want   bool
	}{
		"alive":         {"Name:\tcat\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n", false},
		"own signal":    {"SigPnd:\t0000000000000100\nShdPnd:\t0000000000000000\n", true},
		"shared signal": {"SigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n", true},
		"SIGURG":        {"SigPnd:\t0000000000400000\n", false},
		"invalid":       {"SigPnd:\tx\nShdPnd\n\n", false},
	} {
		if got := killPending([]byte(c.status)); got != c.want {
			t.Errorf("%s: killPending returned %v, want %v", name, got, c.want)
		}
	}
	if isBeingKilled(0) || isBeingKilled(1<<31) || isBeingKilled(uint32(os.Getpid())) {
		t.Error("isBeingKilled returned true for an invisible thread or for this one")
	}
}

// TestSlowReadsDoNotBlockOthers checks that other requests are served while half
// of the slots are occupied by reads that do not complete.
func TestSlowReadsDoNotBlockOthers(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	source.put("m", "file", "one", 1<<20)
	source.put("m", "other/file", "one", 1)
	source.delay = time.Hour
	h := newTestMount(t)
	_, _ = h.start(t, source, func(c *Config) { c.Timeout = time.Second })
	finished := make(chan struct{}, fusefd.DefaultSlots)
	for range fusefd.DefaultSlots / 2 {
		go func() {
			defer func() { finished <- struct{}{} }()
			fd, err := unix.Open(filepath.Join(h.point, "file"), unix.O_RDONLY|unix.O_DIRECT, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = unix.Close(fd) }()
			if _, err := unix.Pread(fd, make([]byte, 4096), 0); !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EINVAL) {
				t.Errorf("a read that timed out returned %v, want EIO", err)
			}
		}()
	}
	if _, err := os.Stat(filepath.Join(h.point, "other", "file")); err != nil {
		t.Error(err)
	}
	for range fusefd.DefaultSlots / 2 {
		<-finished
	}
}
