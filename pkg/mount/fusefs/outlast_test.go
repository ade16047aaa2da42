//go:build linux

package fusefs

import (
	"errors"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// TestParkedRequestsOutlastServers replaces more servers than a deadly request may
// kill, while readers wait for a hung store. The requests have killed none of them,
// and must succeed.
func TestParkedRequestsOutlastServers(t *testing.T) {
	const readers = 20
	store := newHungStore()
	for i := range readers {
		store.put("m", killFile(i), "hung", 4096)
	}
	h := newTestMount(t)
	brief := func(c *Config) { c.Timeout, c.StopTime = 0, time.Millisecond }
	s, stop := h.start(t, store, brief)
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			got, err := readAt(h.point, killFile(i), 0, 4096, unix.O_DIRECT)
			if err := checkBytes(got, err, 4096, "hung"); err != nil {
				t.Error(err)
			}
		})
	}
	for range maxDeaths + 1 {
		eventually(t, "the requests wait", func() bool { return store.waiting.Load() == readers && s.parking.inUse() == readers })
		eventually(t, "the server has survived the requests", func() bool { return deathsOf(s) == 0 })
		stop()
		s, stop = h.startWith(t, store, brief, false)
	}
	eventually(t, "the requests wait", func() bool { return store.waiting.Load() == readers })
	close(store.released)
	group.Wait()
}

// deathsOf returns the number of deaths of all parked requests.
func deathsOf(s *Server) (deaths int) {
	slots := s.attachment.Slots
	for i := range slots.ParkedLen() {
		deaths += slots.Parked(i).Deaths()
	}
	return deaths
}

// TestSlowlyDeadlyRequestFails checks that a request fails that many servers have
// processed for some time before they ended.
func TestSlowlyDeadlyRequestFails(t *testing.T) {
	store := newHungStore()
	store.put("m", "file", "hung", 4096)
	h := newTestMount(t)
	brief := func(c *Config) { c.Timeout, c.StopTime = 0, time.Millisecond }
	s, stop := h.start(t, store, brief)
	done := make(chan error, 1)
	go func() {
		_, err := readAt(h.point, "file", 0, 4096, unix.O_DIRECT)
		done <- err
	}()
	eventually(t, "the request is parked", func() bool { return s.parking.inUse() == 1 })
	stop()
	attachment, err := fusefd.Attach(t.Context(), h.socket)
	if err != nil {
		t.Fatal(err)
	}
	for i := range attachment.Slots.ParkedLen() {
		if slot := attachment.Slots.Parked(i); slot.Request() != nil {
			for range maxSurvivals {
				slot.Survived()
			}
		}
	}
	if err := attachment.Close(); err != nil {
		t.Fatal(err)
	}
	h.startWith(t, store, brief, false)
	if err := <-done; !errors.Is(err, unix.EIO) {
		t.Errorf("the request returned %v, want EIO", err)
	}
}

// TestUnmountEndsParkedRequests removes a mount while requests wait for a hung store.
// They must not keep the server from serving the next mount.
func TestUnmountEndsParkedRequests(t *testing.T) {
	const readers = 20
	store := newHungStore()
	for i := range readers {
		store.put("m", killFile(i), "hung", 4096)
	}
	h := newTestMount(t)
	s, _ := h.start(t, store, func(c *Config) { c.Timeout = 0 })
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			if _, err := readAt(h.point, killFile(i), 0, 4096, unix.O_DIRECT); err == nil {
				t.Error("a read of a removed mount succeeded")
			}
		})
	}
	eventually(t, "the requests are parked", func() bool { return s.parking.inUse() == readers })
	if err := h.session.Unmount(t.Context()); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	eventually(t, "the server has ended the requests", func() bool { return store.waiting.Load() == 0 })
}

// TestParkedRequestsDoNotDelayTheSuccessor checks that a server does not wait for
// parked requests when it is stopped, because nothing is served meanwhile.
func TestParkedRequestsDoNotDelayTheSuccessor(t *testing.T) {
	store := newHungStore()
	store.put("m", "file", "hung", 4096)
	h := newTestMount(t)
	s, stop := h.start(t, store, func(c *Config) { c.Timeout, c.StopTime = 0, 10*waitTimeout })
	done := make(chan error, 1)
	go func() {
		got, err := readAt(h.point, "file", 0, 4096, unix.O_DIRECT)
		done <- checkBytes(got, err, 4096, "hung")
	}()
	eventually(t, "the request is parked", func() bool { return s.parking.inUse() == 1 })
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	select {
	case <-stopped:
	case <-time.After(waitTimeout):
		t.Error("the server waits for a parked request")
		close(store.released)
		<-stopped
		return
	}
	h.startWith(t, store, nil, false)
	close(store.released)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestKilledReaderOfATakenOverRequest kills a process whose request has received a
// harmless signal before a takeover. The kernel does not send another interrupt.
func TestKilledReaderOfATakenOverRequest(t *testing.T) {
	store := newHungStore()
	store.put("m", "file", "hung", 1<<20)
	h := newTestMount(t)
	brief := func(c *Config) { c.Timeout, c.StopTime = 0, time.Millisecond }
	s, stop := h.start(t, store, brief)
	command := exec.Command("dd", "if="+filepath.Join(h.point, "file"), "of=/dev/null", "iflag=direct", "bs=4096")
	if err := command.Start(); err != nil {
		t.Skip("no dd here:", err)
	}
	interrupted := func() bool {
		s.files.requests.mu.Lock()
		defer s.files.requests.mu.Unlock()
		return len(s.files.requests.interrupted) > 0
	}
	eventually(t, "the read is in progress", func() bool { return store.waiting.Load() == 1 })
	_ = command.Process.Signal(syscall.SIGUSR1)
	eventually(t, "the server receives the interrupt", interrupted)
	stop()
	h.startWith(t, store, brief, false)
	eventually(t, "the successor processes the request", func() bool { return store.waiting.Load() == 1 })
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
}

// TestEarlyInterrupt checks that an interrupt which arrives before its request
// begins is not lost, and that the record of them does not grow without bound.
func TestEarlyInterrupt(t *testing.T) {
	r := newRequests(0)
	r.killed = func(uint32) bool { return true }
	for unique := range uint64(10 * maxEarly) {
		r.interrupt(unique)
	}
	if n := len(r.early); n > maxEarly {
		t.Errorf("%d interrupts of unknown requests are kept, want at most %d", n, maxEarly)
	}
	ctx, done := r.begin(10*maxEarly-1, 1)
	defer done()
	go r.watch(t.Context())
	select {
	case <-ctx.Done():
	case <-time.After(waitTimeout):
		t.Fatal("the killed request did not end")
	}
}

// TestFullParkingIsTriedAgain checks that a request which found no parked slot is
// parked when there is one.
func TestFullParkingIsTriedAgain(t *testing.T) {
	const parked, readers = 4, 3
	store := newHungStore()
	for i := range readers {
		store.put("m", killFile(i), "hung", 4096)
	}
	h := newTestMountWith(t, fusefd.Options{Slots: 16, Parked: parked})
	registry := prometheus.NewRegistry()
	s, _ := h.start(t, store, func(c *Config) { c.Timeout, c.Registry = 0, registry })
	// The first requests of a mount may be slow on a busy machine.
	eventually(t, "no request is parked", func() bool { return s.parking.inUse() == 0 })
	var taken []*fusefd.Slot
	for range parked {
		taken = append(taken, s.parking.take())
	}
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			got, err := readAt(h.point, killFile(i), 0, 4096, unix.O_DIRECT)
			if err := checkBytes(got, err, 4096, "hung"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "the requests have found no parked slot", func() bool {
		return sumOf(t, registry, "jindo_fuse_parking_full_total") >= readers
	})
	for _, slot := range taken {
		s.parking.put(slot)
	}
	eventually(t, "the requests are parked", func() bool { return s.parking.inUse() == readers })
	close(store.released)
	group.Wait()
}
