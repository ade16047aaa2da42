//go:build linux

package fusefs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// hungStore is a source whose store hangs: lookups below "cold", listings of it and
// reads of versions "hung" wait until released is closed. The first bytes of
// versions "drip" arrive, and the rest does not; those of versions "late" arrive
// after the request was parked.
type hungStore struct {
	*fakeSource
	released chan struct{}
	// waiting is the number of requests that wait, held the bytes of memory that
	// their replies hold.
	waiting, held, mostHeld atomic.Int64
}

func newHungStore() *hungStore {
	s := &hungStore{fakeSource: newFakeSource(reader.Mount{ID: "m", Path: "/"}), released: make(chan struct{})}
	s.put("m", "warm", "1", 1<<20)
	s.put("m", "warmer/name", "1", 1)
	return s
}

func (s *hungStore) wait(ctx context.Context) error {
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	select {
	case <-s.released:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *hungStore) Lookup(ctx context.Context, mount, dir, name string) (reader.Entry, error) {
	if strings.HasPrefix(dir, "cold") {
		if err := s.wait(ctx); err != nil {
			return reader.Entry{}, err
		}
	}
	return s.fakeSource.Lookup(ctx, mount, dir, name)
}

func (s *hungStore) List(ctx context.Context, mount, dir, after string) (reader.Page, error) {
	if strings.HasPrefix(dir, "cold") {
		if err := s.wait(ctx); err != nil {
			return reader.Page{}, err
		}
	}
	return s.fakeSource.List(ctx, mount, dir, after)
}

func (s *hungStore) Open(ctx context.Context, v reader.Version) (File, error) {
	file, err := s.fakeSource.Open(ctx, v)
	if err != nil {
		return nil, err
	}
	return &hungFile{fakeFile: file.(*fakeFile), store: s}, nil
}

// hungFile waits like the reader does: without memory until the first byte.
type hungFile struct {
	*fakeFile
	store *hungStore
}

func (f *hungFile) ReadTo(ctx context.Context, n int, off int64, memory func(context.Context) ([]byte, error)) (int, error) {
	if f.version.ETag == "hung" {
		if err := f.store.wait(ctx); err != nil {
			return 0, err
		}
	}
	p, err := memory(ctx)
	if err != nil {
		return 0, err
	}
	if f.version.ETag == "late" {
		select {
		case <-time.After(3 * parkAfter):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	if f.version.ETag == "drip" {
		f.store.hold(int64(n))
		defer f.store.hold(-int64(n))
		if err := f.store.wait(ctx); err != nil {
			return 0, err
		}
	}
	return f.ReadAt(ctx, p, off)
}

func (s *hungStore) hold(n int64) {
	held := s.held.Add(n)
	for most := s.mostHeld.Load(); held > most && !s.mostHeld.CompareAndSwap(most, held); most = s.mostHeld.Load() {
	}
}

// readAt reads a part of a file, past the page cache if direct.
func readAt(point, name string, offset int64, size, flags int) ([]byte, error) {
	fd, err := unix.Open(filepath.Join(point, name), unix.O_RDONLY|flags, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Munmap(memory) }()
	if flags&unix.O_DIRECT == 0 {
		_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	}
	n, err := unix.Pread(fd, memory, offset)
	return append([]byte(nil), memory[:max(n, 0)]...), err
}

// checkOthers uses what needs no store, while others wait for it.
func checkOthers(t *testing.T, point string) {
	t.Helper()
	for _, flags := range []int{0, unix.O_DIRECT} {
		if got, err := readAt(point, "warm", 0, 64<<10, flags); err != nil || len(got) != 64<<10 || wrong(got, "1", 0) >= 0 {
			t.Errorf("read of a cached file: got %d bytes, error %v", len(got), err)
		}
	}
	if _, err := os.Stat(filepath.Join(point, "warmer", "name")); err != nil {
		t.Error(err)
	}
	if names, err := os.ReadDir(filepath.Join(point, "warmer")); err != nil || len(names) != 1 {
		t.Errorf("list of a directory: %d names, error %v", len(names), err)
	}
}

// TestReadersOfAHungStoreStopNoOthers has far more requests wait than there are
// slots and, without parked slots, background requests of the kernel. The requests
// end only after the others have been served.
func TestReadersOfAHungStoreStopNoOthers(t *testing.T) {
	const each = 4 * fusefd.DefaultSlots
	kinds := map[string]func(point string, i int) error{
		"read through the page cache": func(point string, i int) error {
			got, err := readAt(point, fmt.Sprintf("files/%d", i), 0, 4096, 0)
			return checkBytes(got, err, 4096, "hung")
		},
		"direct read": func(point string, i int) error {
			got, err := readAt(point, fmt.Sprintf("files/%d", i), 4096, 128<<10, unix.O_DIRECT)
			return checkBytes(got[:min(len(got), 0)], err, 0, "hung")
		},
		"lookup": func(point string, i int) error {
			_, err := os.Stat(filepath.Join(point, fmt.Sprintf("cold/%d", i)))
			return err
		},
		"list": func(point string, i int) error {
			names, err := os.ReadDir(filepath.Join(point, fmt.Sprintf("cold-%d", i)))
			if err == nil && len(names) != 1 {
				err = fmt.Errorf("%d names", len(names))
			}
			return err
		},
	}
	for name, use := range kinds {
		t.Run(name, func(t *testing.T) {
			store := newHungStore()
			for i := range each {
				store.put("m", fmt.Sprintf("files/%d", i), "hung", 1<<20)
				store.put("m", fmt.Sprintf("cold/%d", i), "hung", 1)
				store.put("m", fmt.Sprintf("cold-%d/name", i), "hung", 1)
			}
			point, s := mounted(t, store, func(c *Config) { c.Timeout = 0 })
			var group sync.WaitGroup
			for i := range each {
				group.Go(func() {
					if err := use(point, i); err != nil {
						t.Error(err)
					}
				})
			}
			eventually(t, "the requests wait", func() bool { return store.waiting.Load() >= each })
			checkOthers(t, point)
			if n := s.parking.inUse(); n < each-fusefd.DefaultSlots {
				t.Errorf("%d requests are parked, want nearly all %d", n, each)
			}
			close(store.released)
			group.Wait()
			checkOthers(t, point)
			eventually(t, "no request is parked", func() bool { return s.parking.inUse() == 0 })
		})
	}
}

func checkBytes(got []byte, err error, n int, etag string) error {
	switch {
	case err != nil:
		return err
	case len(got) != n:
		return fmt.Errorf("got %d bytes, want %d", len(got), n)
	case wrong(got, etag, 0) >= 0:
		return errors.New("wrong bytes")
	}
	return nil
}

// TestParkedRequestsHoldLittleMemory has the first byte of many reads arrive, and
// not the rest. They give back their memory and read again, so that they hold no
// more than the limit, and all end with the right bytes.
func TestParkedRequestsHoldLittleMemory(t *testing.T) {
	const readers, size = 300, 256 << 10
	store := newHungStore()
	for i := range readers {
		store.put("m", fmt.Sprintf("drip/%d", i), "drip", size)
	}
	point, s := mounted(t, store, func(c *Config) {
		c.Timeout, c.ParkedMemory = 0, 2*(maxRequest+outHeaderSize)
	})
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			got, err := readAt(point, fmt.Sprintf("drip/%d", i), 0, size, unix.O_DIRECT)
			if err := checkBytes(got, err, size, "drip"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "the requests are parked", func() bool { return s.parking.inUse() >= readers })
	checkOthers(t, point)
	// A request is parked a moment before it gives back its memory.
	eventually(t, "parked requests hold little memory", func() bool { return store.held.Load() <= 2*maxRequest })
	close(store.released)
	group.Wait()
	for _, p := range []*pool{s.parking.young, s.parking.old} {
		eventually(t, "all memory is given back", func() bool { return p.TryAcquire(p.limit) })
	}
}

// TestDrippingReadsLeaveMemory has the first byte of many reads arrive, and not the
// rest, so that parked requests hold all memory that they may. A read that takes
// long enough to be parked, but whose bytes arrive, must not wait for their end.
func TestDrippingReadsLeaveMemory(t *testing.T) {
	const readers, size = 24, 256 << 10
	store := newHungStore()
	for i := range readers {
		store.put("m", fmt.Sprintf("drip/%d", i), "drip", size)
	}
	store.put("m", "late", "late", size)
	point, s := mounted(t, store, func(c *Config) {
		c.Timeout, c.ParkedMemory = 0, 4*maxRequest
	})
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			got, err := readAt(point, fmt.Sprintf("drip/%d", i), 0, size, unix.O_DIRECT)
			if err := checkBytes(got, err, size, "drip"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "the requests are parked", func() bool { return s.parking.inUse() >= readers })
	done := make(chan error, 1)
	go func() {
		got, err := readAt(point, "late", 0, size, unix.O_DIRECT)
		done <- checkBytes(got, err, size, "late")
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(waitTimeout):
		t.Error("a read waits for memory that readers of a hung store hold")
	}
	close(store.released)
	group.Wait()
}

// TestFullParking checks that requests beyond the parked slots wait in slots, and
// are served.
func TestFullParking(t *testing.T) {
	store := newHungStore()
	const readers = 40
	for i := range readers {
		store.put("m", fmt.Sprintf("files/%d", i), "hung", 4096)
	}
	h := newTestMountWith(t, fusefd.Options{Slots: 64, Parked: 4})
	s, _ := h.start(t, store, func(c *Config) { c.Timeout = 0 })
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			got, err := readAt(h.point, fmt.Sprintf("files/%d", i), 0, 4096, unix.O_DIRECT)
			if err := checkBytes(got, err, 4096, "hung"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "the requests wait", func() bool { return store.waiting.Load() == readers })
	eventually(t, "all parked slots are used", func() bool { return s.parking.inUse() == 4 })
	checkOthers(t, h.point)
	close(store.released)
	group.Wait()
}

// TestParkedRequestsAreTakenOver stops a server while requests are parked, also
// requests that change the table. The successor completes them, and forgets what
// the kernel forgets.
func TestParkedRequestsAreTakenOver(t *testing.T) {
	const each = fusefd.DefaultSlots
	store := newHungStore()
	for i := range each {
		store.put("m", fmt.Sprintf("files/%d", i), "hung", 1<<20)
		store.put("m", fmt.Sprintf("cold/%d", i), "hung", int64(i))
	}
	h := newTestMount(t)
	brief := func(c *Config) { c.Timeout, c.StopTime = 0, time.Millisecond }
	_, stop := h.start(t, store, brief)
	var group sync.WaitGroup
	for i := range each {
		group.Go(func() {
			got, err := readAt(h.point, fmt.Sprintf("files/%d", i), 0, 4096, unix.O_DIRECT)
			if err := checkBytes(got, err, 4096, "hung"); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			info, err := os.Stat(filepath.Join(h.point, fmt.Sprintf("cold/%d", i)))
			if err != nil || info.Size() != int64(i) {
				t.Errorf("stat of a name after a takeover: error %v", err)
			}
		})
	}
	eventually(t, "the requests wait", func() bool { return store.waiting.Load() >= 2*each })
	stop()
	s, _ := h.startWith(t, store, brief, false)
	eventually(t, "the requests wait again", func() bool { return store.waiting.Load() >= 2*each })
	checkOthers(t, h.point)
	close(store.released)
	group.Wait()
	eventually(t, "no request is parked", func() bool { return s.parking.inUse() == 0 })
	for i := range h.attachedSlots(s).ParkedLen() {
		if h.attachedSlots(s).Parked(i).Request() != nil {
			t.Fatal("a parked slot is live after its request")
		}
	}
}

func (h *testMount) attachedSlots(s *Server) *fusefd.Slots { return s.attachment.Slots }

// TestMovedTwice checks that a request is processed once when the predecessor died
// after it had copied the request to a parked slot and before it cleared the slot.
func TestMovedTwice(t *testing.T) {
	store := newHungStore()
	store.put("m", "cold/name", "hung", 7)
	h := newTestMount(t)
	brief := func(c *Config) { c.Timeout, c.StopTime = 0, time.Millisecond }
	s, stop := h.start(t, store, brief)
	done := make(chan error, 1)
	go func() {
		_, err := os.Stat(filepath.Join(h.point, "cold/name"))
		done <- err
	}()
	var request []byte
	// A parked slot is taken before the request is moved there.
	eventually(t, "the request is parked", func() bool {
		for i := range s.attachment.Slots.ParkedLen() {
			if parked := s.attachment.Slots.Parked(i).Request(); parked != nil && headerOf(parked).opcode == opcodeLookup {
				request = append([]byte(nil), parked...)
			}
		}
		return request != nil
	})
	stop()
	attachment, err := fusefd.Attach(t.Context(), h.socket)
	if err != nil {
		t.Fatal(err)
	}
	for i := range attachment.Slots.Len() {
		if slot := attachment.Slots.Slot(i); slot.Request() == nil {
			copy(slot.Buffer(), request)
			break
		}
	}
	if err := attachment.Close(); err != nil {
		t.Fatal(err)
	}
	close(store.released)
	_, stop = h.startWith(t, store, func(c *Config) { c.Timeout, c.StopTime = 0, waitTimeout }, false)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	stop()
	if n := store.counted("cold/name"); n != 1 {
		t.Errorf("the request was processed %d times by the successor, want 1", n)
	}
}
