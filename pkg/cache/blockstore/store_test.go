package blockstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashChild); dir != "" {
		crashWriter(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// origin is the object store in these tests. It counts the fetches and fails on
// demand.
type origin struct {
	data    []byte
	fetches atomic.Int64
	bytes   atomic.Int64
	// hook is called before each fetch.
	hook func(ctx context.Context, offset, length int64) (io.ReadCloser, error)
}

func newOrigin(seed uint64, size int) *origin {
	data := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := 0; i+8 <= size; i += 8 {
		binary.LittleEndian.PutUint64(data[i:], r.Uint64())
	}
	return &origin{data: data}
}

func (o *origin) fetch(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	o.fetches.Add(1)
	if o.hook != nil {
		if body, err := o.hook(ctx, offset, length); body != nil || err != nil {
			return body, err
		}
	}
	o.bytes.Add(length)
	return io.NopCloser(bytes.NewReader(o.data[offset : offset+length])), nil
}

func (o *origin) key(name string) Key {
	return Key{Mount: "m1", Key: name, ETag: fmt.Sprintf("%08x", checksum(o.data)), Size: int64(len(o.data))}
}

// forever is longer than any test, by the clocks that tests advance too.
const forever = 10_000 * time.Hour

// testConfig returns a configuration in which no disk counts as hung: a busy machine
// may delay an operation for long. Tests of disks that hang use setTimeout.
func testConfig(t *testing.T, change ...func(*Config)) Config {
	t.Helper()
	c := Config{
		Tiers:     []Tier{{Medium: "SSD", Path: t.TempDir(), Quota: 64 << 20, Floor: 1}},
		BlockSize: 64 << 10,
		Scrub:     -1, // Tests call scrubPass.

		DiskTimeout: forever, LoadWait: forever,
	}
	if testing.Verbose() {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func open(t *testing.T, c Config) *Store {
	t.Helper()
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

// setTimeout sets the time after which the disk of a tier counts as hung.
func setTimeout(t *tier, d time.Duration) { t.disk.timeout.Store(int64(d)) }

func shut(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func read(s *Store, key Key, offset, length int64, fetch Fetch) ([]byte, Source, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r, err := s.Read(ctx, Request{Key: key, Offset: offset, Length: length, Fetch: fetch})
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = r.Close() }()
	var b bytes.Buffer
	_, err = r.Copy(ctx, &b)
	return b.Bytes(), r.Source(), err
}

// mustRead compares the bytes read with the origin.
func mustRead(t *testing.T, s *Store, o *origin, name string, offset, length int64, fetch Fetch) Source {
	t.Helper()
	got, source, err := read(s, o.key(name), offset, length, fetch)
	if err != nil {
		t.Fatalf("reading %s at %d: %v", name, offset, err)
	}
	if !bytes.Equal(got, o.data[offset:offset+length]) {
		t.Fatalf("reading %s at %d: %d wrong bytes of %d", name, offset, len(got), length)
	}
	return source
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	limit := 2 * time.Minute
	if os.Getenv("JINDO_MUTANT") != "" {
		limit = 5 * time.Second
	}
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func settled(t *testing.T, s *Store) {
	t.Helper()
	eventually(t, "everything is written and sealed", func() bool {
		s.dropStale(s.config.Now().Add(2 * lingerFor))
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, v := range s.versions {
			if v.sealing || v.writing || len(v.pending) > 0 || v.complete() && !v.sealed {
				return false
			}
		}
		for _, tier := range s.tiers {
			// A writer is busy until it has taken note that it is not: a clock that is
			// advanced before that makes it look hung.
			if tier.dirtyBytes != 0 || len(tier.writers) != 0 {
				return false
			}
		}
		return true
	})
}

func TestReadsAreCached(t *testing.T) {
	s := open(t, testConfig(t))
	o := newOrigin(1, 1<<20+777)
	if got := mustRead(t, s, o, "a", 0, 1<<20+777, o.fetch); got != FromStore {
		t.Errorf("first read came from %s", got)
	}
	settled(t, s)
	if got := mustRead(t, s, o, "a", 0, 1<<20+777, nil); got != FromCache {
		t.Errorf("second read came from %s", got)
	}
	for _, at := range []int64{0, 1, 65535, 65536, 1 << 20, 1<<20 + 776} {
		mustRead(t, s, o, "a", at, min(100000, 1<<20+777-at), nil)
	}
	if got := o.bytes.Load(); got != 1<<20+777 {
		t.Errorf("%d bytes were fetched", got)
	}
}

func TestRangesOutsideAreRefused(t *testing.T) {
	s := open(t, testConfig(t))
	o := newOrigin(1, 1000)
	for _, c := range []struct{ offset, length int64 }{{-1, 10}, {0, 0}, {0, 1001}, {1000, 1}, {999, 2}, {1 << 62, 1 << 62}} {
		if _, _, err := read(s, o.key("a"), c.offset, c.length, o.fetch); !errors.Is(err, ErrInvalidRange) {
			t.Errorf("%d+%d: %v", c.offset, c.length, err)
		}
	}
}

func TestNotCachedWithoutFetch(t *testing.T) {
	s := open(t, testConfig(t))
	o := newOrigin(1, 300000)
	if _, _, err := read(s, o.key("a"), 0, 10, nil); !errors.Is(err, ErrNotCached) {
		t.Errorf("got %v", err)
	}
	if n := len(s.versions); n != 0 {
		t.Errorf("a failed read left %d versions", n)
	}
}

// TestHerd checks that 64 readers of one cold object cause one download.
func TestHerd(t *testing.T) {
	for _, c := range []struct {
		name  string
		tiers []Tier
	}{
		{"cached", []Tier{{Path: t.TempDir(), Quota: 1 << 30, Floor: 1}}},
		{"without a tier", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, testConfig(t, func(config *Config) { config.Tiers = c.tiers }))
			o := newOrigin(2, 1<<20+5)
			gate := make(chan struct{})
			o.hook = func(context.Context, int64, int64) (io.ReadCloser, error) { <-gate; return nil, nil }
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() { mustRead(t, s, o, "a", 0, 1<<20+5, o.fetch) })
			}
			eventually(t, "all wait for one download", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				v := s.versions[o.key("a").hash()]
				return v != nil && v.pending[0] != nil && v.pending[0].claims == 64
			})
			close(gate)
			wg.Wait()
			if limit := int64(float64(len(o.data)) * 1.05); o.bytes.Load() > limit {
				t.Errorf("%d bytes were fetched for an object of %d", o.bytes.Load(), len(o.data))
			}
		})
	}
}

func TestRestartKeepsTheCache(t *testing.T) {
	config := testConfig(t)
	s, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	var origins []*origin
	for i := range 20 {
		o := newOrigin(uint64(i), 50000*(i+1))
		origins = append(origins, o)
		mustRead(t, s, o, fmt.Sprint(i), 0, int64(len(o.data)), o.fetch)
	}
	settled(t, s)
	before := s.Stats().Tiers[0]
	shut(t, s)
	s = open(t, config)
	after := s.Stats().Tiers[0]
	if before.Used != after.Used || after.Files != 20 || after.Sealed != 20 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	for i, o := range origins {
		mustRead(t, s, o, fmt.Sprint(i), 0, int64(len(o.data)), nil)
	}
}
