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
			t.Errorf("%d bytes at %d: got %d, %v", test.length, test.offset, n, err)
		}
	}
	if _, err := file.ReadAt(t.Context(), make([]byte, 1), -1); err == nil {
		t.Error("a negative offset was read")
	}
}

func TestOpenRefusesWhatNamesNoBytes(t *testing.T) {
	f := newFixture(t, 1)
	for _, v := range []Version{{}, {Key: "k"}, {ETag: "e"}, {Key: "k", ETag: "e", Size: -1}} {
		if _, err := f.reader.Open(t.Context(), v); err == nil {
			t.Errorf("%+v was opened", v)
		}
	}
	empty := f.open(f.put("empty", nil))
	if n, err := empty.ReadAt(t.Context(), make([]byte, 1), 0); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("an empty file: %d, %v", n, err)
	}
}

func TestAClosedFile(t *testing.T) {
	f := newFixture(t, 1)
	v := f.put("file", random(21, 4<<20))
	file := f.open(v)
	f.cluster.Workers[0].FailAlways(fakeworker.Fault{HangBefore: true})
	failed := make(chan error)
	go func() {
		_, err := file.ReadAt(t.Context(), make([]byte, 10), 2<<20)
		failed <- err
	}()
	f.eventually("the worker is asked", func() bool { return f.cluster.Workers[0].Ranges.Load() > 0 })
	if err := errors.Join(file.Close(), file.Close()); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("a read of a closed file went well")
	}
	if _, err := file.ReadAt(t.Context(), make([]byte, 10), 0); err == nil {
		t.Error("a closed file was read")
	}
	if got := f.reader.memory.used.Load(); got != 0 {
		t.Errorf("%d bytes of memory are lost", got)
	}
}

// ranges that workers are asked for.
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

func TestNoByteIsAskedForTwice(t *testing.T) {
	for _, test := range []struct {
		name   string
		size   int
		piece  int
		ranges int // at most
	}{
		{"a small file in one read", 5000, 8192, 1},
		{"a small file in pieces", 900_000, 4096, 1},
		{"a large file in pieces", 20 << 20, 128 << 10, 30},
		{"a large file in odd pieces", 6<<20 + 17, 99_991, 25},
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
				t.Errorf("%d bytes in %d ranges were asked for, the file has %d: %v", sum, len(*got), test.size, *got)
			}
		})
	}
}

// TestTheKernelsRequestsOvertakeEachOther: they come from several threads.
func TestTheKernelsRequestsOvertakeEachOther(t *testing.T) {
	f := newFixture(t, 2)
	data := random(23, 8<<20)
	file := f.open(f.put("file", data))
	_, got := f.ranges()
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
					t.Errorf("%d bytes at %d: %v", n, offset, err)
					return
				}
			}
		})
	}
	readers.Wait()
	if len(*got) > 40 {
		t.Errorf("%d ranges were asked for", len(*got))
	}
}

func TestRandomReadsReadNothingAhead(t *testing.T) {
	f := newFixture(t, 1)
	data := random(24, 33<<20)
	file := f.open(f.put("file", data))
	_, got := f.ranges()
	p := make([]byte, 4096)
	for i := range int64(10) {
		offset := (i*7%10)*3<<20 + 1<<20 + 17*i
		if _, err := file.ReadAt(t.Context(), p, offset); err != nil || !bytes.Equal(p, data[offset:offset+4096]) {
			t.Fatalf("at %d: %v", offset, err)
		}
		if want := fmt.Sprintf("bytes=%d-%d", offset, offset+4095); len(*got) != int(i)+1 || (*got)[i] != want {
			t.Fatalf("read %d asked for %v, want %s", i, *got, want)
		}
	}
}

func TestASeekDropsWhatWasReadAhead(t *testing.T) {
	f := newFixture(t, 1, func(c *Config) { c.MaxWindow = 2 << 20 })
	data := random(25, 32<<20)
	file := f.open(f.put("file", data))
	p := make([]byte, 128<<10)
	for i := range int64(2 * maxStreams) {
		start := i * 4 << 20
		for j := range int64(10) {
			offset := start + j*int64(len(p))
			if _, err := file.ReadAt(t.Context(), p, offset); err != nil || !bytes.Equal(p, data[offset:offset+int64(len(p))]) {
				t.Fatalf("at %d: %v", offset, err)
			}
		}
	}
	// What is left belongs to the last streams; each has its window, what lies
	// behind it within the slack, and segments that reach over these bounds.
	if got, most := f.reader.memory.used.Load(), int64(maxStreams*(2<<20+slack+2*maxSegment)); got > most {
		t.Errorf("%d bytes are held, at most %d should be", got, most)
	}
}

func TestWithoutMemoryReadsGoOn(t *testing.T) {
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
						t.Errorf("file %d: %d bytes, %v", i, len(got), err)
					}
					if used := f.reader.memory.used.Load(); used > memory {
						t.Errorf("%d bytes are held of %d", used, memory)
					}
				})
			}
			readers.Wait()
		})
	}
}

func TestIdleHandlesGiveTheirMemoryToOthers(t *testing.T) {
	var now atomic.Int64
	f := newFixture(t, 1, func(c *Config) {
		c.Memory = 1 << 20
		c.Clock = func() time.Time { return time.Unix(now.Load(), 0) }
	})
	p := make([]byte, 4096)
	read := func(file *File, offset int64) {
		t.Helper()
		if _, err := file.ReadAt(t.Context(), p, offset); err != nil {
			t.Fatal(err)
		}
	}
	idle, other := f.open(f.put("idle", random(40, 2<<20))), f.open(f.put("other", random(41, 2<<20)))
	read(idle, 0)
	read(other, 0)
	if len(other.ahead.segments) != 0 || len(idle.ahead.segments) != 1 {
		t.Fatal("the memory of a handle in use was taken")
	}
	now.Store(60)
	// The first request is on its way until its bytes are there.
	f.eventually("the other handle reads ahead", func() bool {
		read(other, 4096)
		other.mu.Lock()
		defer other.mu.Unlock()
		return len(other.ahead.segments) > 0
	})
	if len(idle.ahead.segments) != 0 {
		t.Error("the idle handle kept its memory")
	}
	read(idle, 4096)
}

// localFiles lends files in memory.
type localFiles struct {
	mu      sync.Mutex
	data    map[string][]byte
	asked   int
	open    int
	broken  bool
	hang    bool
	workers []string
}

type localFile struct {
	files *localFiles
	*bytes.Reader
}

func (l *localFiles) Open(ctx context.Context, v Version, workers []string) (LocalFile, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	l.workers = workers
	if l.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	data, ok := l.data[v.Key]
	if !ok {
		return nil, errors.New("not sealed")
	}
	l.open++
	return localFile{l, bytes.NewReader(data)}, nil
}

func (l localFile) ReadAt(p []byte, offset int64) (int, error) {
	l.files.mu.Lock()
	defer l.files.mu.Unlock()
	if l.files.broken {
		return len(p) / 2, errors.New("input/output error")
	}
	return l.Reader.ReadAt(p, offset)
}

func (l localFile) Close() error {
	l.files.mu.Lock()
	defer l.files.mu.Unlock()
	l.files.open--
	return nil
}

func TestASealedFileOfThisHostIsReadWithoutTheNetwork(t *testing.T) {
	data := random(50, 3<<20)
	local := &localFiles{data: map[string][]byte{"file": data}}
	f := newFixture(t, 3, func(c *Config) { c.Local = local })
	v := f.put("file", data)
	file := f.open(v)
	for _, w := range f.cluster.Workers {
		w.Stop()
	}
	got, err := readAll(t.Context(), file, 100_000)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if local.asked != 1 || f.rungs(rungLocal) != 32 || local.workers[0] != f.order(v)[0].Name {
		t.Errorf("asked %d times, first %s; %v reads were local", local.asked, local.workers[0], f.rungs(rungLocal))
	}
	if err := file.Close(); err != nil || local.open != 0 {
		t.Errorf("%d files were not given back, %v", local.open, err)
	}
}

func TestASealedFileThatBreaksIsMadeUpFor(t *testing.T) {
	data := random(51, 1<<20)
	local := &localFiles{data: map[string][]byte{"file": data}}
	f := newFixture(t, 1, func(c *Config) { c.Local = local })
	file := f.open(f.put("file", data))
	p := make([]byte, 1000)
	for i, broken := range []bool{false, true, true} {
		local.mu.Lock()
		local.broken = broken
		local.mu.Unlock()
		offset := int64(i * 1000)
		if _, err := file.ReadAt(t.Context(), p, offset); err != nil || !bytes.Equal(p, data[offset:offset+1000]) {
			t.Fatalf("at %d: %v", offset, err)
		}
	}
	if local.open != 0 {
		t.Error("the broken file was kept")
	}
}

func TestAHandleTurnsToTheSealedFileOnceThereIsOne(t *testing.T) {
	var now atomic.Int64
	data := random(52, 8<<20)
	local := &localFiles{data: map[string][]byte{}}
	f := newFixture(t, 1, func(c *Config) {
		c.Local = local
		c.Clock = func() time.Time { return time.Unix(now.Load(), 0) }
	})
	file := f.open(f.put("file", data))
	read := func(offset int64) {
		t.Helper()
		p := make([]byte, 1000)
		if _, err := file.ReadAt(t.Context(), p, offset); err != nil || !bytes.Equal(p, data[offset:offset+1000]) {
			t.Fatalf("at %d: %v", offset, err)
		}
	}
	read(0)
	read(1000)
	if local.asked != 1 {
		t.Errorf("asked %d times within a second", local.asked)
	}
	local.mu.Lock()
	local.data["file"] = data
	local.mu.Unlock()
	now.Store(2)
	read(2000)
	if f.rungs(rungLocal) != 1 {
		t.Error("the sealed file is not used")
	}
	f.eventually("what was read ahead is dropped", func() bool { return f.reader.memory.used.Load() == 0 })
}

func TestAWorkerThatHangsDoesNotHoldUpReadsForSealedFiles(t *testing.T) {
	var now atomic.Int64
	data := random(53, 1<<20)
	local := &localFiles{hang: true}
	f := newFixture(t, 1, func(c *Config) {
		c.Local = local
		c.Clock = func() time.Time { return time.Unix(now.Load(), 0) }
	})
	file := f.open(f.put("file", data))
	for i := range int64(9) {
		now.Store(i)
		p := make([]byte, 1000)
		if _, err := file.ReadAt(t.Context(), p, 0); err != nil || !bytes.Equal(p, data[:1000]) {
			t.Fatal(err)
		}
	}
	if local.asked != 1 {
		t.Errorf("a worker that hangs was asked %d times", local.asked)
	}
}

// TestRandomReadsOfFaultyWorkers: any pattern of reads, from several threads,
// while workers fail in any way; never another byte, never an error.
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
				t.Errorf("%d bytes at %d of %d: got %d, %v", r.length, r.offset, sizes[i], n, err)
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
	if got := f.reader.memory.used.Load(); got != 0 {
		t.Errorf("%d bytes of memory are lost", got)
	}
}

func TestTwoReadersCannotShareARegistry(t *testing.T) {
	f := newFixture(t, 1)
	registry := prometheus.NewRegistry()
	for i, want := range []bool{true, false} {
		r, err := New(Config{Cluster: f.client, Registry: registry})
		if (err == nil) != want {
			t.Errorf("reader %d: %v", i, err)
		}
		if r != nil {
			_ = r.Close()
		}
	}
}
