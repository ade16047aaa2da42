package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client/fakeworker"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// hangStore makes every worker hang, after the header, in requests for bytes that
// it has not cached. The returned function counts those requests in progress.
func (f *fixture) hangStore() (inProgress func() int64) {
	var count atomic.Int64
	for _, w := range f.cluster.Workers {
		w.Fail(func(_ int64, r *http.Request) fakeworker.Fault {
			request, failure := wire.ParseRequest(r.URL.EscapedPath(), r.Header)
			if failure != nil || request.OnlyIfCached || w.Cached(request.Key) {
				return fakeworker.Fault{}
			}
			count.Add(1)
			context.AfterFunc(r.Context(), func() { count.Add(-1) })
			return fakeworker.Fault{HangAfter: -1}
		})
	}
	return count.Load
}

// TestReadersOfAHungStoreLeaveConnectionsAndMemory has many handles read from a
// store that hangs. They hold no memory and few connections, and a handle whose
// bytes are cached is read meanwhile, to the end.
func TestReadersOfAHungStoreLeaveConnectionsAndMemory(t *testing.T) {
	const readers, turns = 100, 4
	f := newFixture(t, 2, func(c *Config) { c.StoreReads = turns })
	cached := random(1, 9<<20)
	warm := f.open(f.put("warm", cached))
	for _, w := range f.cluster.Workers {
		w.Cache("warm")
	}
	inProgress := f.hangStore()
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var asked atomic.Int64
	for i := range readers {
		file := f.open(f.put(fmt.Sprintf("cold/%d", i), random(2, 2<<20)))
		group.Go(func() {
			_, err := file.ReadTo(ctx, 1<<20, 0, func(context.Context) ([]byte, error) {
				asked.Add(1)
				return make([]byte, 1<<20), nil
			})
			if err == nil {
				t.Error("a read of a store that hangs returned bytes")
			}
		})
	}
	f.eventually("the reads use all their turns", func() bool { return inProgress() >= turns })
	got, err := readAll(t.Context(), warm, 100_000)
	if err != nil || !bytes.Equal(got, cached) {
		t.Errorf("read of a cached file: got %d bytes, error %v", len(got), err)
	}
	// Requests that were cancelled may not have ended yet.
	f.eventually("no more than the turns are in progress", func() bool { return inProgress() <= turns })
	if n := asked.Load(); n != 0 {
		t.Errorf("%d reads took memory before their first byte", n)
	}
	stop()
	group.Wait()
	if err := warm.Close(); err != nil {
		t.Error(err)
	}
	f.eventually("all memory is released", func() bool { return f.reader.memory.used.Load() == 0 })
}

// TestColdReadsTakeTurns checks that reads that wait for their turn are completed
// when the store responds again.
func TestColdReadsTakeTurns(t *testing.T) {
	f := newFixture(t, 1, hasty, func(c *Config) { c.StoreReads = 2 })
	f.hangStore()
	var group sync.WaitGroup
	for i := range 20 {
		data := random(uint64(i), 100_000)
		file := f.open(f.put(fmt.Sprintf("cold/%d", i), data))
		group.Go(func() {
			got, err := readAll(t.Context(), file, 40_000)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("got %d bytes, error %v", len(got), err)
			}
		})
	}
	f.eventually("reads wait", func() bool { return f.cluster.Workers[0].Ranges.Load() > 4 })
	f.cluster.Workers[0].Heal()
	group.Wait()
}

// TestLookupsOfAHungStoreDelayNoOthers has many lookups and listings wait for a
// store that hangs. They use few of the calls that a worker accepts, and names that
// are cached are found meanwhile; the others are found when the store responds.
func TestLookupsOfAHungStoreDelayNoOthers(t *testing.T) {
	const requests, turns = 200, 4
	f := newFixture(t, 1, func(c *Config) { c.StoreNames = turns })
	f.put("warm/file", random(1, 10))
	worker := f.cluster.Workers[0]
	worker.Cache("warm")
	var inProgress atomic.Int64
	released := make(chan struct{})
	worker.FailNames(func(ctx context.Context) error {
		inProgress.Add(1)
		defer inProgress.Add(-1)
		select {
		case <-released:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	var group sync.WaitGroup
	for i := range requests {
		dir := fmt.Sprintf("cold-%d", i)
		f.put(dir+"/file", random(2, 10))
		group.Go(func() {
			if i%2 == 0 {
				if _, err := f.reader.Lookup(t.Context(), fakeworker.MountID, dir, "file"); err != nil {
					t.Error(err)
				}
				return
			}
			page, err := f.reader.List(t.Context(), fakeworker.MountID, dir, "")
			if err != nil || len(page.Entries) != 1 {
				t.Errorf("%d names, error %v", len(page.Entries), err)
			}
		})
	}
	f.eventually("the requests use all their turns", func() bool { return inProgress.Load() >= turns })
	for range 100 {
		if _, err := f.reader.Lookup(t.Context(), fakeworker.MountID, "warm", "file"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.reader.Lookup(t.Context(), fakeworker.MountID, "warm", "absent"); !errors.Is(err, ErrNotExist) {
			t.Fatalf("lookup of an absent name: %v", err)
		}
		if page, err := f.reader.List(t.Context(), fakeworker.MountID, "warm", ""); err != nil || len(page.Entries) != 1 {
			t.Fatalf("%d names, error %v", len(page.Entries), err)
		}
	}
	// Epochs and the view are requested beside names. Requests that were cancelled may
	// not have ended yet.
	f.eventually("no more than the turns wait at the worker", func() bool { return inProgress.Load() <= turns+2 })
	close(released)
	group.Wait()
}

// TestErrorOfMemoryEndsARead checks that the error is returned as it is, without
// another attempt, and shows nothing about the worker.
func TestErrorOfMemoryEndsARead(t *testing.T) {
	f := newFixture(t, 1)
	data := random(3, 1<<20)
	file := f.open(f.put("file", data))
	refused := errors.New("refused")
	for _, offset := range []int64{0, 500_000} {
		_, err := file.ReadTo(t.Context(), 1000, offset, func(context.Context) ([]byte, error) { return nil, refused })
		if !errors.Is(err, refused) {
			t.Errorf("read at %d: got error %v, want the one of the memory", offset, err)
		}
	}
	p := make([]byte, 1000)
	if _, err := file.ReadAt(t.Context(), p, 0); err != nil || !bytes.Equal(p, data[:1000]) {
		t.Errorf("the next read failed: %v", err)
	}
	for _, c := range []struct {
		n      int
		offset int64
	}{{0, 0}, {-1, 0}, {1, -1}, {1, 1 << 20}, {1 << 20, 1}} {
		if _, err := file.ReadTo(t.Context(), c.n, c.offset, nil); err == nil {
			t.Errorf("no error for %d bytes at %d", c.n, c.offset)
		}
	}
}

// hungDisk is a LocalFiles whose disk hangs in reads of what is not in memory.
type hungDisk struct {
	data     []byte
	device   uint64
	released chan struct{}
	// inMemory is the number of bytes at the start that are in memory.
	inMemory int64
	hung     atomic.Int64
}

func (h *hungDisk) Open(context.Context, Version, []string) (LocalFile, error) { return h, nil }

func (h *hungDisk) Close() error { return nil }

func (h *hungDisk) Device() uint64 { return h.device }

func (h *hungDisk) ReadCached(p []byte, offset int64) (int, error) {
	if offset+int64(len(p)) > h.inMemory {
		return 0, errors.New("would wait")
	}
	return copy(p, h.data[offset:]), nil
}

func (h *hungDisk) ReadAt(p []byte, offset int64) (int, error) {
	h.hung.Add(1)
	<-h.released
	return copy(p, h.data[offset:]), nil
}

// TestHungDiskOfAWorker checks that reads of a sealed file whose disk hangs are
// completed by the next rung, that only the first of them wait for the disk, and
// that the file is used again when the disk responds.
func TestHungDiskOfAWorker(t *testing.T) {
	data := random(4, 4<<20)
	disk := &hungDisk{data: data, device: 7, inMemory: 1000, released: make(chan struct{})}
	f := newFixture(t, 1, func(c *Config) { c.Local, c.LocalTimeout = disk, 50*time.Millisecond })
	file, other := f.open(f.put("file", data)), f.open(f.put("other", data))
	read := func(file *File, offset int64) {
		t.Helper()
		p := make([]byte, 1000)
		if _, err := file.ReadAt(t.Context(), p, offset); err != nil || !bytes.Equal(p, data[offset:offset+1000]) {
			t.Fatalf("read at %d: error %v or wrong bytes", offset, err)
		}
	}
	for i := range int64(20) {
		read(file, 2<<20+i*1000)
		read(other, 2<<20+i*1000)
	}
	// A read may be abandoned before its goroutine has begun.
	f.eventually("a read waits for the disk", func() bool { return disk.hung.Load() > 0 })
	if n := disk.hung.Load(); n != 1 {
		t.Errorf("%d reads waited for the disk, want one", n)
	}
	before := f.rungs(rungLocal)
	read(file, 0)
	if f.rungs(rungLocal) != before+1 {
		t.Error("bytes that are in memory were not read from the file")
	}
	close(disk.released)
	f.eventually("the disk is used again", func() bool { return !f.reader.disks.hangs(disk.device) })
	read(file, 3<<20)
	f.eventually("the file is used after the disk has responded", func() bool { return disk.hung.Load() == 2 })
}

// TestStoreThatCannotBeOpenedInTime checks that a request ends with its context
// although the store cannot be opened, and that the store is opened once.
func TestStoreThatCannotBeOpenedInTime(t *testing.T) {
	released := make(chan struct{})
	var opened atomic.Int64
	f := newFixture(t, 1)
	s := newStores(func(context.Context, *commonv1.Mount) (ufs.Store, error) {
		opened.Add(1)
		<-released
		return nil, errors.New("opened")
	}, mountsOf("hung"), f.reader.config.Logger)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, _, err := s.get(ctx, "hung"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a request returned %v", err)
		}
		cancel()
	}
	if n := opened.Load(); n > 1 { // 0 if the machine is busy
		t.Errorf("the store was opened %d times", n)
	}
	close(released)
	if _, _, err := s.get(t.Context(), "hung"); err == nil || !strings.Contains(err.Error(), "opened") {
		t.Errorf("after the store was opened: %v", err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// TestOpeningAStoreDelaysNoOther opens the store of one mount, which hangs, while
// another mount is read.
func TestOpeningAStoreDelaysNoOther(t *testing.T) {
	opening := make(chan struct{}, 1)
	released := make(chan struct{})
	f := newFixture(t, 1)
	s := newStores(func(ctx context.Context, mount *commonv1.Mount) (ufs.Store, error) {
		if strings.HasPrefix(mount.GetId(), "hung") {
			opening <- struct{}{}
			select {
			case <-released:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		return nil, errors.New("opened")
	}, mountsOf("hung", "other"), f.reader.config.Logger)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { _, _, _ = s.get(ctx, "hung") })
	<-opening
	if _, _, err := s.get(t.Context(), "other"); err == nil || !strings.Contains(err.Error(), "opened") {
		t.Errorf("opening another store: %v", err)
	}
	second, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := s.get(second, "hung"); !errors.Is(err, context.Canceled) {
		t.Errorf("a second caller got error %v, want the one of its context", err)
	}
	cancel()
	group.Wait()
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// mounts is a Cluster with a view only.
type mounts struct {
	Cluster
	view *commonv1.ClusterView
}

func (m mounts) View() *commonv1.ClusterView { return m.view }

func mountsOf(ids ...string) mounts {
	view := &commonv1.ClusterView{}
	for _, id := range ids {
		view.Mounts = append(view.Mounts, &commonv1.Mount{Id: id})
	}
	return mounts{view: view}
}
