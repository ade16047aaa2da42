package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// clock is a clock that the test advances.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_800_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// small opens a store with room for 16 objects of 250,000 bytes.
func small(t *testing.T, c *clock) *Store {
	t.Helper()
	return open(t, testConfig(t, func(config *Config) {
		config.Tiers[0].Quota = 16 * (pages(250_000) + pageSize)
		config.Tiers[0].High, config.Tiers[0].Low = 1, 0.95
		config.Now, config.tick = c.Now, forever
	}))
}

// fill reads whole objects and waits until they are sealed.
func fill(t *testing.T, s *Store, names ...string) {
	t.Helper()
	for _, name := range names {
		o := newOrigin(8, 250_000)
		mustRead(t, s, o, name, 0, 250_000, o.fetch)
		settled(t, s)
	}
}

func cached(s *Store, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.versions[newOrigin(8, 250_000).key(name).hash()]
	return v != nil && v.complete()
}

func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

// TestScanPassesThrough checks that a scan of many objects, each read once,
// does not evict objects that were read twice.
func TestScanPassesThrough(t *testing.T) {
	c := newClock()
	s := small(t, c)
	hot := names("hot", 8)
	fill(t, s, hot...)
	c.pass(2 * correlated)
	fill(t, s, hot...)
	fill(t, s, names("scan", 60)...)
	for _, name := range hot {
		if !cached(s, name) {
			t.Errorf("%s was evicted by a scan", name)
		}
	}
	if used := s.Stats().Tiers[0].Used; used > s.tiers[0].Quota {
		t.Errorf("%d bytes of %d are used", used, s.tiers[0].Quota)
	}
	checkAccounts(t, s)
}

// TestOneReadIsOneRead checks that the many requests of one sequential read
// count as one, however long it takes, and that a second pass counts.
func TestOneReadIsOneRead(t *testing.T) {
	for _, pause := range []time.Duration{0, 10 * time.Second} {
		c := newClock()
		s := small(t, c)
		o := newOrigin(8, 250_000)
		pass := func() {
			for offset := int64(0); offset < 250_000; offset += 10_000 {
				mustRead(t, s, o, "a", offset, 10_000, o.fetch)
				c.pass(pause)
			}
			settled(t, s)
		}
		pass()
		v := s.versions[o.key("a").hash()]
		if v.reread {
			t.Errorf("with pauses of %s, one read counts as several", pause)
		}
		c.pass(correlated)
		pass()
		if !v.reread {
			t.Errorf("with pauses of %s, the second read does not count", pause)
		}
	}
}

// TestLoopLargerThanTheCache checks that a part of a loop that does not fit
// stays cached.
func TestLoopLargerThanTheCache(t *testing.T) {
	c := newClock()
	s := small(t, c)
	loop := names("loop", 24)
	var hits int
	for range 6 {
		before := s.Stats().Hits
		fill(t, s, loop...)
		hits = int(s.Stats().Hits - before)
		c.pass(2 * correlated)
	}
	if hits < 4 {
		t.Errorf("%d of %d reads of the last round were hits", hits, len(loop))
	}
}

// TestQuotaWithLentFiles checks that the bytes of a lent file stay charged and
// are not used for other versions.
func TestQuotaWithLentFiles(t *testing.T) {
	c := newClock()
	s := small(t, c)
	o := newOrigin(8, 250_000)
	var loans []*Loan
	for _, name := range names("lent", 15) {
		fill(t, s, name)
		loan, err := s.Lend(o.key(name))
		must(t, err)
		loan.CloseFile()
		loans = append(loans, loan)
	}
	used := s.Stats().Tiers[0].Used
	fill(t, s, names("other", 20)...)
	for _, name := range names("lent", 15) {
		if !cached(s, name) {
			t.Errorf("%s was evicted while it was lent", name)
		}
	}
	if now := s.Stats().Tiers[0].Used; now < used || now > s.tiers[0].Quota {
		t.Errorf("%d bytes are charged, %d were, the quota is %d", now, used, s.tiers[0].Quota)
	}
	// A lent file that is damaged is unlinked immediately, and charged until it
	// is returned.
	s.discard(s.versions[o.key("lent0").hash()], errCorrupt)
	if now := s.Stats().Tiers[0].Used; now < used {
		t.Errorf("%d bytes are charged after an unlink, %d were", now, used)
	}
	for _, loan := range loans {
		loan.Return()
	}
	fill(t, s, names("more", 20)...)
	checkAccounts(t, s)
}

func TestLentFilesAreReadOnlyAndComplete(t *testing.T) {
	s := open(t, testConfig(t))
	o := newOrigin(8, 250_000)
	if _, err := s.Lend(o.key("a")); !errors.Is(err, ErrNotSealed) {
		t.Errorf("lending an absent version: %v", err)
	}
	mustRead(t, s, o, "a", 0, 1000, o.fetch)
	if _, err := s.Lend(o.key("a")); !errors.Is(err, ErrNotSealed) {
		t.Errorf("lending an incomplete version: %v", err)
	}
	fill(t, s, "a")
	loan, err := s.Lend(o.key("a"))
	must(t, err)
	defer loan.Return()
	fd, err := unix.Dup(int(loan.Fd()))
	must(t, err)
	f := os.NewFile(uintptr(fd), "lent")
	got := make([]byte, 250_000)
	if _, err := f.ReadAt(got, 0); err != nil || string(got) != string(o.data) {
		t.Errorf("reading a lent file: %v", err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("a lent file can be written")
	}
	must(t, f.Close())
}

// TestLendVerifiesAfterRestart checks that a file kept over a restart is
// verified before it is lent, and that a damaged one is never lent.
func TestLendVerifiesAfterRestart(t *testing.T) {
	config := testConfig(t)
	s, err := Open(config)
	must(t, err)
	o := newOrigin(8, 250_000)
	fill(t, s, "good", "bad")
	bad := s.versions[o.key("bad").hash()].dataPath()
	shut(t, s)
	spoil(t, bad, 200_000)
	s = open(t, config)
	eventually(t, "the good file is lent", func() bool {
		loan, err := s.Lend(o.key("good"))
		if err == nil {
			loan.Return()
		}
		return err == nil
	})
	eventually(t, "the damaged file is discarded", func() bool {
		loan, err := s.Lend(o.key("bad"))
		if err == nil {
			loan.Return()
			t.Fatal("a damaged file was lent")
		}
		return s.Stats().Discarded == 1
	})
}

// TestOldVersionsAgeOut checks that older versions are evicted first, and
// expire, after the store has returned a newer one.
func TestOldVersionsAgeOut(t *testing.T) {
	c := newClock()
	s := small(t, c)
	old, next := newOrigin(1, 250_000), newOrigin(2, 250_000)
	mustRead(t, s, old, "a", 0, 250_000, old.fetch)
	settled(t, s)
	mustRead(t, s, next, "a", 0, 250_000, next.fetch)
	settled(t, s)
	mustRead(t, s, old, "a", 0, 250_000, nil) // Open handles can still read it.
	fill(t, s, names("x", 13)...)
	mustRead(t, s, old, "a", 0, 250_000, nil)
	fill(t, s, names("y", 2)...) // There is no room: the old version is evicted first.
	if _, _, err := read(s, old.key("a"), 0, 10, nil); !errors.Is(err, ErrNotCached) {
		t.Errorf("the old version is still cached: %v", err)
	}
	mustRead(t, s, next, "a", 0, 250_000, nil)

	mustRead(t, s, old, "b", 0, 250_000, old.fetch)
	mustRead(t, s, next, "b", 0, 250_000, next.fetch)
	settled(t, s)
	c.pass(11 * time.Minute)
	s.tick()
	if _, _, err := read(s, old.key("b"), 0, 10, nil); !errors.Is(err, ErrNotCached) {
		t.Errorf("the old version did not expire: %v", err)
	}
	mustRead(t, s, next, "b", 0, 250_000, nil)
	checkAccounts(t, s)
}

// TestCopiesForOtherWorkersExpire checks that a copy for another worker expires,
// unless this worker turns out to own it.
func TestCopiesForOtherWorkersExpire(t *testing.T) {
	c := newClock()
	config := testConfig(t, func(config *Config) { config.Now = c.Now })
	s, err := Open(config)
	must(t, err)
	o := newOrigin(3, 250_000)
	hold := func(name string) {
		t.Helper()
		r, err := s.Read(t.Context(), Request{Key: o.key(name), Length: 250_000, Fetch: o.fetch, Temporary: true})
		must(t, err)
		_, err = r.WriteTo(io.Discard)
		must(t, err)
		must(t, r.Close())
		settled(t, s)
	}
	hold("theirs")
	hold("ours")
	mustRead(t, s, o, "ours", 0, 250_000, o.fetch)
	c.pass(time.Minute)
	s.tick()
	if _, _, err := read(s, o.key("theirs"), 0, 10, nil); !errors.Is(err, ErrNotCached) {
		t.Errorf("a copy for another worker did not expire: %v", err)
	}
	mustRead(t, s, o, "ours", 0, 250_000, nil)
	hold("theirs")
	shut(t, s)
	s = open(t, config)
	if _, _, err := read(s, o.key("theirs"), 0, 10, nil); !errors.Is(err, ErrNotCached) {
		t.Errorf("a copy for another worker survived a restart: %v", err)
	}
}

// TestRandomLife runs all operations concurrently, then checks bytes and
// counters.
func TestRandomLife(t *testing.T) {
	files := &faulty{}
	s := open(t, testConfig(t, func(c *Config) {
		c.Tiers[0].Quota, c.Files, c.Retry, c.Memory = 3<<20, files, time.Millisecond, 1
		c.MaxRun = 4 * c.BlockSize
	}))
	origins := make([]*origin, 12)
	for i := range origins {
		origins[i] = newOrigin(uint64(i), 1+i*61_234)
		origins[i].hook = func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
			switch rand.IntN(20) {
			case 0:
				return nil, errors.New("refused")
			case 1: // The body ends early.
				part := origins[i].data[offset : offset+rand.Int64N(length)]
				return io.NopCloser(io.MultiReader(newReader(part), broken{})), nil
			}
			return nil, nil
		}
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 3))
			for range 150 {
				live(t, s, origins, files, r)
			}
		})
	}
	wg.Wait()
	files.set(nil)
	eventually(t, "the tier is in use", func() bool { s.tick(); return s.Stats().Tiers[0].Err == nil })
	settled(t, s)
	s.tick()
	checkAccounts(t, s)
	if s.Stats().Lent != 0 {
		t.Errorf("%d loans are open", s.Stats().Lent)
	}
}

var errDisk = errors.New("disk")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func newReader(b []byte) io.Reader { return io.NewSectionReader(readerAt(b), 0, int64(len(b))) }

type readerAt []byte

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return copy(p, r[off:]), nil }

// live runs one random operation.
func live(t *testing.T, s *Store, origins []*origin, files *faulty, r *rand.Rand) {
	i := r.IntN(len(origins))
	o, name := origins[i], fmt.Sprint(i)
	switch r.IntN(20) {
	case 0:
		files.set(on([]string{"write", "sync", "create", "read", "remove"}[r.IntN(5)], "", errDisk))
	case 1, 2, 3:
		files.set(nil)
	case 4:
		s.tick()
	case 5:
		s.Forget("m1", name)
	case 6:
		if loan, err := s.Lend(o.key(name)); err == nil {
			loan.Return()
		}
	case 7: // The reader leaves early.
		ctx, cancel := context.WithCancel(t.Context())
		if reader, err := s.Read(ctx, Request{Key: o.key(name), Length: int64(len(o.data)), Fetch: o.fetch}); err == nil {
			cancel()
			_, _ = reader.Copy(ctx, io.Discard)
			_ = reader.Close()
		}
		cancel()
	default:
		offset := r.Int64N(int64(len(o.data)))
		length := 1 + r.Int64N(int64(len(o.data))-offset)
		got, _, err := read(s, o.key(name), offset, length, o.fetch)
		if string(got) != string(o.data[offset:offset+int64(len(got))]) || err == nil && int64(len(got)) != length {
			t.Errorf("wrong bytes of %s at %d", name, offset)
		}
	}
}
