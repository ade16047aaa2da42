package blockstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// scarce is a store without tiers and with memory for four blocks.
func scarce(t *testing.T, change ...func(*Config)) *Store {
	t.Helper()
	return open(t, testConfig(t, append([]func(*Config){func(c *Config) {
		c.Tiers, c.Memory, c.MaxRun = nil, 1, 8*c.BlockSize
	}}, change...)...))
}

// TestReaderThatStopsHoldsUpNoOther opens a reader that has all of the memory in
// blocks that it needs later and reads on only at the end: others are served,
// and it still gets the right bytes.
func TestReaderThatStopsHoldsUpNoOther(t *testing.T) {
	s := scarce(t, func(c *Config) { c.StallTimeout = 5 * time.Second })
	o := newOrigin(1, 16*64<<10)
	var stopped []*Reader
	for i := range 6 {
		r, err := s.Read(t.Context(), Request{Key: o.key(fmt.Sprint(i)), Length: int64(len(o.data)), Fetch: o.fetch})
		must(t, err)
		stopped = append(stopped, r)
	}
	eventually(t, "all memory is in use", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.memory.free == 0 && s.memory.loadingAll == 0
	})
	for i := range 4 {
		mustRead(t, s, o, fmt.Sprint("other", i), 0, int64(len(o.data)), o.fetch)
	}
	for _, r := range stopped {
		var b bytes.Buffer
		_, err := r.WriteTo(&b)
		must(t, err)
		if !bytes.Equal(b.Bytes(), o.data) {
			t.Error("wrong bytes")
		}
		must(t, r.Close())
	}
	checkAccounts(t, s)
}

// TestReadersWithFewBlocks runs more readers than there are blocks, at random
// offsets of shared objects, some of which leave: all end with the right bytes.
func TestReadersWithFewBlocks(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
	}{
		{"without a tier", func(*Config) {}},
		{"in runs", func(c *Config) { c.MaxRun = 2 * c.BlockSize }},
		{"with a tier", func(c *Config) {
			c.Tiers = []Tier{{Path: t.TempDir(), Quota: 2 << 20, Floor: 1}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scarce(t, c.change)
			var origins []*origin
			for i := range 3 {
				origins = append(origins, newOrigin(uint64(i), 20*64<<10+i))
			}
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(i), 9))
					for range 10 {
						o := origins[r.IntN(len(origins))]
						offset := r.Int64N(int64(len(o.data)))
						length := 1 + r.Int64N(int64(len(o.data))-offset)
						if r.IntN(5) == 0 {
							ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(2000))*time.Microsecond)
							if reader, err := s.Read(ctx, Request{Key: o.key("a"), Offset: offset, Length: length, Fetch: o.fetch}); err == nil {
								_, _ = reader.Copy(ctx, io.Discard)
								must(t, reader.Close())
							}
							cancel()
							continue
						}
						mustRead(t, s, o, "a", offset, length, o.fetch)
					}
				})
			}
			wg.Wait()
			settled(t, s)
			checkAccounts(t, s)
		})
	}
}

// hanging is a body that returns some bytes, then none until the context ends.
type hanging struct {
	ctx  context.Context
	data []byte
}

func (h *hanging) Read(p []byte) (int, error) {
	if len(h.data) > 0 {
		n := copy(p, h.data)
		h.data = h.data[n:]
		return n, nil
	}
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

func (h *hanging) Close() error { return nil }

// TestHungStoreLeavesMemory parks readers of a store that hangs, before its
// header or in the middle of a block: reads of another mount and of cached
// objects go on.
func TestHungStoreLeavesMemory(t *testing.T) {
	for _, sent := range []int{0, 1, 1000, 64<<10 + 1} {
		t.Run(fmt.Sprintf("after %d bytes", sent), func(t *testing.T) {
			s := open(t, testConfig(t, func(c *Config) { c.Memory, c.MaxRun, c.StallTimeout = 8*c.BlockSize, 4*c.BlockSize, time.Hour }))
			cached, cold := newOrigin(1, 150_000), newOrigin(2, 2<<20)
			mustRead(t, s, cached, "cached", 0, 150_000, cached.fetch)
			settled(t, s)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for i := range 70 {
				wg.Go(func() {
					o := newOrigin(uint64(10+i), 300_000)
					key := o.key(fmt.Sprint("hung", i))
					key.Mount = "m2"
					fetch := func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
						if sent == 0 {
							<-ctx.Done()
							return nil, ctx.Err()
						}
						return &hanging{ctx, o.data[offset : offset+min(int64(sent), length)]}, nil
					}
					r, err := s.Read(ctx, Request{Key: key, Length: 300_000, Fetch: fetch})
					if err == nil {
						_, err = r.Copy(ctx, io.Discard)
						must(t, r.Close())
					}
					if err == nil {
						t.Error("a read of the store that hangs succeeded")
					}
				})
			}
			eventually(t, "the readers wait", func() bool { return s.Stats().Fetches >= 71 })
			for i := range 5 {
				mustRead(t, s, cached, "cached", 0, 150_000, nil)
				mustRead(t, s, cold, fmt.Sprint("cold", i), 0, 2<<20, cold.fetch)
			}
			cancel()
			wg.Wait()
			settledLess(t, s)
		})
	}
}

// settledLess ends downloads that no reader needs by closing the store, then
// checks that no memory is held.
func settledLess(t *testing.T, s *Store) {
	t.Helper()
	shut(t, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.memory.queue) != 0 || s.memory.loadingAll != 0 {
		t.Errorf("%d downloads wait, %d bytes are loading", len(s.memory.queue), s.memory.loadingAll)
	}
}
