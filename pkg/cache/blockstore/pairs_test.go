package blockstore

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// vectors records the sizes of the vectors that are written.
type vectors struct {
	OS
	mu     sync.Mutex
	blocks []int
}

type vectorFile struct {
	File
	vectors *vectors
}

func (v *vectors) Open(path string, flag int) (File, error) {
	f, err := v.OS.Open(path, flag)
	if err != nil {
		return nil, err
	}
	return vectorFile{f, v}, nil
}

func (f vectorFile) WriteVector(buffers [][]byte, offset int64) error {
	f.vectors.mu.Lock()
	f.vectors.blocks = append(f.vectors.blocks, len(buffers))
	f.vectors.mu.Unlock()
	return f.File.WriteVector(buffers, offset)
}

// pausedBody is a body whose bytes after the first part arrive once rest is closed.
type pausedBody struct {
	io.Reader
	first int64
	rest  chan struct{}
}

func (b *pausedBody) Read(p []byte) (int, error) {
	if b.first == 0 {
		<-b.rest
		return b.Reader.Read(p)
	}
	n, err := b.Reader.Read(p[:min(int64(len(p)), b.first)])
	b.first -= int64(n)
	return n, err
}

func (b *pausedBody) Close() error { return nil }

const pairBlock = 64 << 10

// pausedStore starts to read four blocks of which those after the first are not
// delivered before rest is closed. It returns when the first one is complete.
func pausedStore(t *testing.T, wait time.Duration) (s *Store, o *origin, written *vectors, rest func()) {
	written, paused := &vectors{}, make(chan struct{})
	s = open(t, testConfig(t, func(c *Config) { c.Files, c.pairWait = written, wait }))
	o = newOrigin(3, 4*pairBlock)
	o.hook = func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
		return &pausedBody{bytes.NewReader(o.data[offset : offset+length]), pairBlock, paused}, nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if got, _, err := read(s, o.key("a"), 0, 4*pairBlock, o.fetch); err != nil || !bytes.Equal(got, o.data) {
			t.Errorf("read %d bytes, error %v", len(got), err)
		}
	}()
	rest = sync.OnceFunc(func() { close(paused) })
	t.Cleanup(func() { rest(); <-done })
	eventually(t, "the first block is complete", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		v := s.versions[o.key("a").hash()]
		return v != nil && (len(v.dirty) > 0 || v.npresent > 0)
	})
	return s, o, written, rest
}

// TestPairsAreWrittenAtOnce checks that a block waits for the other one of its pair.
func TestPairsAreWrittenAtOnce(t *testing.T) {
	s, o, written, rest := pausedStore(t, forever)
	rest()
	eventually(t, "all blocks are written", func() bool { return s.Stats().Tiers[0].Sealed == 1 })
	written.mu.Lock()
	defer written.mu.Unlock()
	if total := 0; len(written.blocks) > 2 || slices.ContainsFunc(written.blocks, func(n int) bool { total += n; return n%2 != 0 }) || total != 4 {
		t.Errorf("vectors of %v blocks were written, want pairs", written.blocks)
	}
	mustRead(t, s, o, "a", 0, 4*pairBlock, nil)
}

// TestBlocksDoNotWaitForLong checks that a block is written although the other one of
// its pair does not arrive.
func TestBlocksDoNotWaitForLong(t *testing.T) {
	s, o, _, _ := pausedStore(t, 0)
	eventually(t, "the first block is written", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.versions[o.key("a").hash()].present.has(0) && s.tiers[0].dirtyBytes == 0
	})
}

// TestWriteVector writes more buffers than the system accepts at once.
func TestWriteVector(t *testing.T) {
	f, err := OS{}.Open(filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE)
	must(t, err)
	defer func() { _ = f.Close() }()
	data := newOrigin(1, 3*maxVector*8).data
	must(t, f.WriteVector(slices.Collect(slices.Chunk(data, 8)), 5))
	got := make([]byte, len(data))
	if _, err := f.ReadAt(got, 5); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read other bytes than were written, error %v", err)
	}
}
