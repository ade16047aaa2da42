package reader

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// localFiles is a LocalFiles of files in memory.
type localFiles struct {
	mu      sync.Mutex
	data    map[string][]byte
	opens   int
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
	l.opens++
	l.workers = workers
	if l.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	data, ok := l.data[v.Key]
	if !ok {
		return nil, ErrNotSealed
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

func TestSealedFileIsReadWithoutTheNetwork(t *testing.T) {
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
		t.Fatalf("got %d bytes, error %v", len(got), err)
	}
	if local.opens != 1 || f.rungs(rungLocal) != 32 || local.workers[0] != f.order(v)[0].Name {
		t.Errorf("opened %d times, first at worker %s; %v local reads, want 32", local.opens, local.workers[0], f.rungs(rungLocal))
	}
	if err := file.Close(); err != nil || local.open != 0 {
		t.Errorf("%d files are still open; error %v", local.open, err)
	}
}

func TestBrokenSealedFileIsReplacedByWorkers(t *testing.T) {
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
			t.Fatalf("read at %d: error %v or wrong bytes", offset, err)
		}
	}
	if local.open != 0 {
		t.Error("the broken file was not closed")
	}
}

func TestOpenHandleSwitchesToNewSealedFile(t *testing.T) {
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
			t.Fatalf("read at %d: error %v or wrong bytes", offset, err)
		}
	}
	read(0)
	read(1000)
	if local.opens != 1 {
		t.Errorf("opened %d times within LocalInterval, want once", local.opens)
	}
	local.mu.Lock()
	local.data["file"] = data
	local.mu.Unlock()
	now.Store(2)
	read(2000)
	if f.rungs(rungLocal) != 1 {
		t.Error("the sealed file is not used")
	}
	f.eventually("the read-ahead memory is released", func() bool { return f.reader.memory.used.Load() == 0 })
}

// TestReadsRequestNoFileThatBackingDidNotFind checks that the first read of a file that
// has no backing does not request the sealed file again, and that a later one does.
func TestReadsRequestNoFileThatBackingDidNotFind(t *testing.T) {
	var now atomic.Int64
	data := random(54, 1<<20)
	local := &localFiles{data: map[string][]byte{}}
	f := newFixture(t, 1, func(c *Config) {
		c.Local = local
		c.Clock = func() time.Time { return time.Unix(now.Load(), 0) }
	})
	v := f.put("file", data)
	file := f.open(v)
	if _, err := f.reader.Backing(t.Context(), v); !errors.Is(err, ErrNotSealed) {
		t.Fatalf("got error %v, want ErrNotSealed", err)
	}
	p := make([]byte, 1000)
	for i, want := range []int{1, 2} {
		now.Store(int64(i))
		if _, err := file.ReadAt(t.Context(), p, 0); err != nil || !bytes.Equal(p, data[:1000]) {
			t.Fatalf("error %v or wrong bytes", err)
		}
		if local.opens != want {
			t.Errorf("after %d s: %d requests for the sealed file, want %d", i, local.opens, want)
		}
	}
}

func TestHangingLocalFilesDoesNotBlockReads(t *testing.T) {
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
	if local.opens != 1 {
		t.Errorf("a hanging worker received %d requests, want one", local.opens)
	}
}
