package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/jindo-io/jindo/pkg/cache/client/fakeworker"
)

func TestReadAt(t *testing.T) {
	data := random(20, 1000)
	f := newFixture(t, 1)
	file := f.open(f.put("file", data))
	for _, test := range []struct {
		offset int64
		length int
		n      int
		err    error
	}{
		{0, 1000, 1000, nil},
		{0, 10, 10, nil},
		{990, 10, 10, nil},
		{990, 11, 10, io.EOF},
		{0, 5000, 1000, io.EOF},
		{1000, 1, 0, io.EOF},
		{5000, 1, 0, io.EOF},
		{10, 0, 0, nil},
	} {
		p := make([]byte, test.length)
		n, err := file.ReadAt(t.Context(), p, test.offset)
		if n != test.n || !errors.Is(err, test.err) || !bytes.Equal(p[:n], data[min(test.offset, 1000):min(test.offset, 1000)+int64(n)]) {
			t.Errorf("read %d bytes at %d: got %d bytes, error %v", test.length, test.offset, n, err)
		}
	}
	if _, err := file.ReadAt(t.Context(), make([]byte, 1), -1); err == nil {
		t.Error("no error for a negative offset")
	}
}

func TestOpenRejectsInvalidVersions(t *testing.T) {
	f := newFixture(t, 1)
	for _, v := range []Version{{}, {Key: "k"}, {ETag: "e"}, {Key: "k", ETag: "e", Size: -1}} {
		if _, err := f.reader.Open(t.Context(), v); err == nil {
			t.Errorf("no error for version %+v", v)
		}
	}
	empty := f.open(f.put("empty", nil))
	if n, err := empty.ReadAt(t.Context(), make([]byte, 1), 0); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read of an empty file: got %d bytes, error %v", n, err)
	}
}

func TestClosedFile(t *testing.T) {
	f := newFixture(t, 1)
	v := f.put("file", random(21, 4<<20))
	file := f.open(v)
	f.cluster.Workers[0].FailAlways(fakeworker.Fault{HangBefore: true})
	failed := make(chan error)
	go func() {
		_, err := file.ReadAt(t.Context(), make([]byte, 10), 2<<20)
		failed <- err
	}()
	f.eventually("the worker receives a request", func() bool { return f.cluster.Workers[0].Ranges.Load() > 0 })
	if err := errors.Join(file.Close(), file.Close()); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("a read during Close succeeded")
	}
	if _, err := file.ReadAt(t.Context(), make([]byte, 10), 0); err == nil {
		t.Error("a read after Close succeeded")
	}
	f.eventually("the memory is released", func() bool { return f.reader.memory.used.Load() == 0 })
}

// ranges records the ranges requested from all workers.
func (f *fixture) ranges() (*sync.Mutex, *[]string) {
	var mu sync.Mutex
	var got []string
	for _, w := range f.cluster.Workers {
		w.Fail(func(_ int64, r *http.Request) fakeworker.Fault {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, r.Header.Get("Range"))
			return fakeworker.Fault{}
		})
	}
	return &mu, &got
}

func TestEveryByteIsRequestedOnce(t *testing.T) {
	for _, test := range []struct {
		name   string
		size   int
		piece  int
		ranges int // at most
	}{
		{"small file in one read", 5000, 8192, 1},
		{"small file in pieces", 900_000, 4096, 2},
		{"large file in pieces", 20 << 20, 128 << 10, 30},
		{"large file in unaligned pieces", 6<<20 + 17, 99_991, 25},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, 3)
			data := random(22, test.size)
			v := f.put("file", data)
			mu, got := f.ranges()
			f.mustRead(v, data, test.piece)
			mu.Lock()
			defer mu.Unlock()
			sum := 0
			for _, r := range *got {
				var first, last int
				if _, err := fmt.Sscanf(r, "bytes=%d-%d", &first, &last); err != nil {
					t.Fatal(err)
				}
				sum += last - first + 1
			}
			if sum != test.size || len(*got) > test.ranges {
				t.Errorf("requested %d bytes in %d ranges for a file of %d bytes, want each byte once in at most %d ranges: %v", sum, len(*got), test.size, test.ranges, *got)
			}
		})
	}
}

// TestReorderedSequentialReads checks that sequential reads are detected when
// they arrive out of order, because the kernel sends them from several threads.
func TestReorderedSequentialReads(t *testing.T) {
	f := newFixture(t, 2)
	data := random(23, 8<<20)
	file := f.open(f.put("file", data))
	mu, got := f.ranges()
	const piece = 128 << 10
	var next atomic.Int64
	var readers sync.WaitGroup
	for range 6 {
		readers.Go(func() {
			p := make([]byte, piece)
			for {
				offset := (next.Add(1) - 1) * piece
				n, err := file.ReadAt(t.Context(), p, offset)
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil || !bytes.Equal(p[:n], data[offset:offset+int64(n)]) {
					t.Errorf("read at %d: got %d bytes, error %v", offset, n, err)
					return
				}
			}
		})
	}
	readers.Wait()
	mu.Lock()
	defer mu.Unlock()
	if len(*got) > 40 {
		t.Errorf("requested %d ranges, want at most 40", len(*got))
	}
}

func TestRandomReadsReadNothingAhead(t *testing.T) {
	f := newFixture(t, 1)
	data := random(24, 33<<20)
	file := f.open(f.put("file", data))
	_, got := f.ranges()
	p := make([]byte, 4096)
	for i := range int64(10) {
		offset := (i*7%10)*3<<20 + 1<<20 + 17*i*i // no equal distances
		if _, err := file.ReadAt(t.Context(), p, offset); err != nil || !bytes.Equal(p, data[offset:offset+4096]) {
			t.Fatalf("read at %d: error %v or wrong bytes", offset, err)
		}
		if want := fmt.Sprintf("bytes=%d-%d", offset, offset+4095); len(*got) != int(i)+1 || (*got)[i] != want {
			t.Fatalf("read %d: requested %v, want %s", i, *got, want)
		}
	}
}

func TestSeekReleasesReadAhead(t *testing.T) {
	f := newFixture(t, 1, func(c *Config) { c.MaxWindow = 2 << 20 })
	data := random(25, 64<<20)
	file := f.open(f.put("file", data))
	p := make([]byte, 64<<10)
	for i := range int64(2 * maxStreams) {
		start := i * 1 << 20
		for j := range int64(4) {
			offset := start + j*int64(len(p))
			if _, err := file.ReadAt(t.Context(), p, offset); err != nil || !bytes.Equal(p, data[offset:offset+int64(len(p))]) {
				t.Fatalf("read at %d: error %v or wrong bytes", offset, err)
			}
		}
	}
	// The remaining memory belongs to the last streams: the window of each, the
	// slack behind it, and segments that extend beyond these bounds.
	// What others held is released when their requests have ended.
	const most = maxStreams * (2<<20 + slack + 2*maxSegment)
	f.eventually(fmt.Sprintf("at most %d bytes are in use", int64(most)), func() bool { return f.reader.memory.used.Load() <= most })
}

func TestReadsSucceedWithLittleMemory(t *testing.T) {
	for _, memory := range []int64{1, 1 << 20, 3 << 20} {
		t.Run(fmt.Sprintf("%d bytes", memory), func(t *testing.T) {
			f := newFixture(t, 2, func(c *Config) { c.Memory = memory })
			var readers sync.WaitGroup
			for i := range uint64(4) {
				data := random(30+i, 3<<20)
				file := f.open(f.put(fmt.Sprintf("file %d", i), data))
				readers.Go(func() {
					got, err := readAll(t.Context(), file, 100_000)
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("file %d: got %d bytes, error %v", i, len(got), err)
					}
					if used := f.reader.memory.used.Load(); used > memory {
						t.Errorf("%d bytes are in use, want at most %d", used, memory)
					}
				})
			}
			readers.Wait()
		})
	}
}

func TestIdleHandlesReleaseMemory(t *testing.T) {
	var now atomic.Int64
	f := newFixture(t, 1, func(c *Config) {
		c.Memory = 1 << 20
		c.Clock = func() time.Time { return time.Unix(now.Load(), 0) }
	})
	p := make([]byte, 1<<20) // all memory
	read := func(file *File, offset int64) {
		t.Helper()
		if _, err := file.ReadAt(t.Context(), p, offset); err != nil {
			t.Fatal(err)
		}
	}
	idle, other := f.open(f.put("idle", random(40, 2<<20))), f.open(f.put("other", random(41, 2<<20)))
	read(idle, 0)
	read(other, 0)
	segments := func(file *File) int {
		file.mu.Lock()
		defer file.mu.Unlock()
		return len(file.ahead.segments)
	}
	if segments(other) != 0 || segments(idle) != 1 {
		t.Fatal("the memory of an active handle was reclaimed")
	}
	now.Store(60)
	// The first request stays in progress until its bytes have arrived.
	f.eventually("the other handle reads ahead", func() bool {
		read(other, 4096)
		return segments(other) > 0
	})
	if segments(idle) != 0 {
		t.Error("the memory of the idle handle was not reclaimed")
	}
	read(idle, 4096)
}

// TestRandomReadsOfFaultyWorkers checks that concurrent reads of any pattern
// return the right bytes and no error while workers fail in every way.
func TestRandomReadsOfFaultyWorkers(t *testing.T) {
	store := &memoryStore{}
	f := newFixture(t, 3, func(c *Config) {
		c.OpenStore, c.Memory, c.FirstWindow = store.opener, 4<<20, 256<<10
		c.StallTimeout, c.AttemptTimeout = 50*time.Millisecond, 200*time.Millisecond
	})
	store.bucket = f.cluster.Bucket
	var kinds []fakeworker.Fault
	for _, fault := range faults {
		kinds = append(kinds, fault)
	}
	sizes := []int{1, 4095, 100_000, 1 << 20, 1<<20 + 1, 3<<20 + 7, 9 << 20}
	versions, contents := make([]Version, len(sizes)), make([][]byte, len(sizes))
	for i, size := range sizes {
		contents[i] = random(uint64(60+i), size)
		versions[i] = f.put(fmt.Sprintf("dir/file %d", i), contents[i])
	}
	rapid.Check(t, func(t *rapid.T) {
		for _, w := range f.cluster.Workers {
			seed := rapid.Uint64().Draw(t, "faults of "+w.Name)
			w.Fail(func(n int64, _ *http.Request) fakeworker.Fault {
				// One in four requests fails.
				if x := (seed + uint64(n)) * 0x9e3779b97f4a7c15 >> 32; x%4 == 0 {
					return kinds[x/4%uint64(len(kinds))]
				}
				return fakeworker.Fault{}
			})
		}
		i := rapid.IntRange(0, len(sizes)-1).Draw(t, "file")
		file, err := f.reader.Open(context.Background(), versions[i])
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		type read struct{ offset, length int }
		reads := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) read {
			return read{rapid.IntRange(0, sizes[i]-1).Draw(t, "offset"), rapid.IntRange(1, 300_000).Draw(t, "length")}
		}), 1, 8).Draw(t, "reads")
		sequential := rapid.IntRange(0, 30).Draw(t, "sequential")
		var readers sync.WaitGroup
		defer readers.Wait()
		check := func(r read) bool {
			want := contents[i][r.offset:min(sizes[i], r.offset+r.length)]
			p := make([]byte, r.length)
			n, err := file.ReadAt(context.Background(), p, int64(r.offset))
			if err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(p[:n], want) {
				t.Errorf("read %d bytes at %d of %d: got %d bytes, error %v", r.length, r.offset, sizes[i], n, err)
				return false
			}
			return true
		}
		readers.Go(func() {
			for k := range sequential {
				if offset := reads[0].offset + k*100_000; offset < sizes[i] && !check(read{offset, 100_000}) {
					return
				}
			}
		})
		for _, r := range reads {
			if !check(r) {
				return
			}
		}
	})
	f.eventually("the memory is released", func() bool { return f.reader.memory.used.Load() == 0 })
}

func TestTwoReadersCannotShareARegistry(t *testing.T) {
	f := newFixture(t, 1)
	registry := prometheus.NewRegistry()
	for i, want := range []bool{true, false} {
		r, err := New(Config{Cluster: f.client, Registry: registry})
		if (err == nil) != want {
			t.Errorf("New of reader %d: error %v", i, err)
		}
		if r != nil {
			_ = r.Close()
		}
	}
}
