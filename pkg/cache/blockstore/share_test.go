package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// hotStore opens a store whose tier is filled with hot objects of 250,000 bytes
// that were read again, up to its low watermark.
func hotStore(t *testing.T, change ...func(*Config)) (*Store, *clock, []string) {
	t.Helper()
	c := newClock()
	s := open(t, testConfig(t, append([]func(*Config){func(config *Config) {
		config.Tiers[0].Quota = 16 * (pages(250_000) + pageSize)
		config.Tiers[0].High, config.Tiers[0].Low = 1, 0.95
		config.Now, config.tick = c.Now, forever
	}}, change...)...))
	hot := names("hot", 12)
	fill(t, s, hot...)
	c.pass(2 * correlated)
	fill(t, s, hot...)
	c.pass(2 * correlated)
	return s, c, hot
}

func checkHot(t *testing.T, s *Store, hot []string) {
	t.Helper()
	stay := 0
	for _, name := range hot {
		if cached(s, name) {
			stay++
		}
	}
	if stay != len(hot) {
		t.Errorf("%d of %d hot objects stay", stay, len(hot))
	}
	if used := s.Stats().Tiers[0].Used; used > s.tiers[0].Quota {
		t.Errorf("%d bytes of %d are used", used, s.tiers[0].Quota)
	}
}

// TestObjectLargerThanTheTier reads one object that is larger than the tier,
// again and again, in windows, and by several readers: the hot objects stay.
func TestObjectLargerThanTheTier(t *testing.T) {
	s, c, hot := hotStore(t)
	size := 3 * s.tiers[0].Quota
	o := newOrigin(20, int(size))
	mustRead(t, s, o, "large", 0, size, o.fetch)
	settled(t, s)
	checkHot(t, s, hot)
	if s.Stats().Declined == 0 {
		t.Error("no block was declined")
	}
	for window := int64(100_000); window < size; window *= 3 {
		c.pass(2 * correlated)
		mustRead(t, s, o, "large", 0, window, o.fetch)
		mustRead(t, s, o, "large", size-window, window, o.fetch)
		settled(t, s)
		s.tick()
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { mustRead(t, s, o, fmt.Sprint("large", i), 0, size, o.fetch) })
	}
	wg.Wait()
	settled(t, s)
	s.tick()
	checkHot(t, s, hot)
	if hits := s.Stats().DiskBytes; hits == 0 {
		t.Error("no byte of the large object was cached")
	}
	checkAccounts(t, s)
}

// TestScans reads many objects once: the hot objects stay.
func TestScans(t *testing.T) {
	s, _, hot := hotStore(t)
	for i := range 120 {
		o := newOrigin(uint64(i), 1000+rand.IntN(600_000))
		mustRead(t, s, o, fmt.Sprint("scan", i), 0, int64(len(o.data)), o.fetch)
		if i%50 == 0 {
			s.tick()
		}
	}
	settled(t, s)
	checkHot(t, s, hot)
	checkAccounts(t, s)
}

// TestReplacedObjects replaces an object again and again while each version
// stays open, and deletes others while they are open: the hot objects stay.
func TestReplacedObjects(t *testing.T) {
	s, _, hot := hotStore(t)
	var readers []*Reader
	for i := range 60 {
		o := newOrigin(uint64(100+i), 250_000)
		name := "replaced"
		if i%2 == 0 {
			name = fmt.Sprint("deleted", i)
		}
		mustRead(t, s, o, name, 0, 250_000, o.fetch)
		settled(t, s)
		if r, err := s.Read(t.Context(), Request{Key: o.key(name), Length: 250_000}); err == nil {
			readers = append(readers, r)
		}
		if i%2 == 0 {
			s.Forget("m1", name)
		}
	}
	checkHot(t, s, hot)
	if len(readers) == 0 {
		t.Error("no version was kept open")
	}
	for _, r := range readers {
		must(t, r.Close())
	}
	settled(t, s)
	checkAccounts(t, s)
}

// TestLargeObjectInAnEmptyTier checks that an object larger than the share is
// cached while there is room, and kept from scans once it was read again.
func TestLargeObjectInAnEmptyTier(t *testing.T) {
	c := newClock()
	s := small(t, c)
	size := s.tiers[0].Quota / 2
	o := newOrigin(20, int(size))
	mustRead(t, s, o, "model", 0, size, o.fetch)
	settled(t, s)
	c.pass(2 * correlated)
	mustRead(t, s, o, "model", 0, size, nil)
	fill(t, s, names("scan", 40)...)
	mustRead(t, s, o, "model", 0, size, nil)
	checkAccounts(t, s)
}

// TestColdObjectsAreReplaced checks that hot objects that are not read for a day
// do not keep the tier from objects that are read now.
func TestColdObjectsAreReplaced(t *testing.T) {
	s, c, hot := hotStore(t)
	c.pass(protectFor + time.Hour)
	size := s.tiers[0].Quota / 2
	o := newOrigin(20, int(size))
	mustRead(t, s, o, "model", 0, size, o.fetch)
	settled(t, s)
	mustRead(t, s, o, "model", 0, size, nil)
	left := 0
	for _, name := range hot {
		if cached(s, name) {
			left++
		}
	}
	if left == 0 || left == len(hot) {
		t.Errorf("%d of %d cold objects are left", left, len(hot))
	}
	checkAccounts(t, s)
}

// TestWorkingSetChanges checks that objects that are read again replace objects
// that are not, although the share is small.
func TestWorkingSetChanges(t *testing.T) {
	s, c, _ := hotStore(t)
	next := names("next", 12)
	for range 12 {
		for _, name := range next {
			fill(t, s, name)
			c.pass(2 * correlated)
			fill(t, s, name)
		}
	}
	stay := 0
	for _, name := range next {
		if cached(s, name) {
			stay++
		}
	}
	if stay < len(next)*3/4 {
		t.Errorf("%d of %d objects of the new working set are cached", stay, len(next))
	}
	checkAccounts(t, s)
}

// TestReadAgainSoon checks that an object that was evicted and is read again is
// protected, unless the same read continues.
func TestReadAgainSoon(t *testing.T) {
	for _, test := range []struct {
		pause  time.Duration
		offset int64
		want   class
		reread bool
	}{
		{0, 200_000, probation, false},
		{0, 0, protected, false}, // It says nothing about the time between two uses.
		{2 * correlated, 0, protected, true},
		{2 * correlated, 200_000, protected, true},
	} {
		c := newClock()
		s, o := small(t, c), newOrigin(8, 250_000)
		fill(t, s, names("first", 13)...)
		fill(t, s, "a")
		fill(t, s, names("scan", 8)...)
		if cached(s, "a") {
			t.Fatal("the object is still cached")
		}
		c.pass(test.pause)
		mustRead(t, s, o, "a", test.offset, 250_000-test.offset, o.fetch)
		settled(t, s)
		if v := s.versions[o.key("a").hash()]; v.class != test.want || v.reread != test.reread {
			t.Errorf("after %s and from %d on the object has class %d, read again %v, want %+v", test.pause, test.offset, v.class, v.reread, test)
		}
		checkAccounts(t, s)
	}
}

// TestGrowingObjects fills the tier with objects of which the first block is
// read, and with lent ones, then reads the rest of the former: there is no room,
// and they do not evict what came first.
func TestGrowingObjects(t *testing.T) {
	s := small(t, newClock())
	o := newOrigin(8, 250_000)
	first, growing := names("first", 6), names("growing", 6)
	fill(t, s, first...)
	for _, name := range growing {
		mustRead(t, s, o, name, 0, 1000, o.fetch)
		settled(t, s)
	}
	for _, name := range names("lent", 7) {
		fill(t, s, name)
		loan, err := s.Lend(o.key(name))
		must(t, err)
		defer loan.Return()
	}
	for _, name := range growing {
		mustRead(t, s, o, name, 0, 250_000, o.fetch)
		settled(t, s)
	}
	checkHot(t, s, first)
}

// TestQuotaLowered restarts with a quarter of the quota.
func TestQuotaLowered(t *testing.T) {
	config := testConfig(t)
	s, err := Open(config)
	must(t, err)
	all := names("a", 40)
	fill(t, s, all...)
	large := newOrigin(20, 6<<20)
	mustRead(t, s, large, "large", 0, 3<<20, large.fetch)
	shut(t, s)
	config.Tiers[0].Quota = 4 << 20
	s = open(t, config)
	s.tick()
	if used := s.Stats().Tiers[0].Used; used > s.tiers[0].Quota {
		t.Errorf("%d bytes of %d are used", used, s.tiers[0].Quota)
	}
	mustRead(t, s, large, "large", 0, 6<<20, large.fetch)
	fill(t, s, names("b", 10)...)
	checkAccounts(t, s)
}

// TestShareUnderConcurrency runs random reads of objects of all sizes, replaced
// and deleted versions, and loans, concurrently. What was read again is never
// evicted for them, and at the end the sums equal the files on disk.
func TestShareUnderConcurrency(t *testing.T) {
	s, c, hot := hotStore(t, func(c *Config) { c.Memory = 2 << 20 })
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			s.mu.Lock()
			tier := s.tiers[0]
			if tier.used > tier.Quota {
				t.Errorf("%d bytes of %d are used", tier.used, tier.Quota)
			}
			s.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
	})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 5))
			for i := range 25 {
				readOnce(t, s, r, fmt.Sprint(worker, "-", i))
			}
		})
	}
	wg.Wait()
	close(stop)
	watch.Wait()
	settled(t, s)
	checkHot(t, s, hot)
	c.pass(time.Hour)
	s.tick()
	checkAccounts(t, s)
}

// readOnce reads objects that are not read again, in one of several ways.
func readOnce(t *testing.T, s *Store, r *rand.Rand, name string) {
	o := newOrigin(r.Uint64(), 1+r.IntN(2<<20))
	size := int64(len(o.data))
	switch r.IntN(6) {
	case 0: // a growing window
		for window := int64(1000); window < size; window *= 4 {
			mustRead(t, s, o, name, 0, window, o.fetch)
		}
	case 1: // replaced while it is read
		reader, err := s.Read(t.Context(), Request{Key: o.key("replaced"), Length: size, Fetch: o.fetch})
		must(t, err)
		readOnce(t, s, r, "replaced")
		_, err = reader.WriteTo(io.Discard)
		must(t, errors.Join(err, reader.Close()))
	case 2: // the reader leaves
		ctx, cancel := context.WithCancel(t.Context())
		if reader, err := s.Read(ctx, Request{Key: o.key(name), Length: size, Fetch: o.fetch}); err == nil {
			cancel()
			_, _ = reader.Copy(ctx, io.Discard)
			must(t, reader.Close())
		}
		cancel()
	case 3: // deleted
		mustRead(t, s, o, name, 0, size, o.fetch)
		s.Forget("m1", name)
	case 4: // held for another worker
		reader, err := s.Read(t.Context(), Request{Key: o.key(name), Length: size, Fetch: o.fetch, Temporary: true})
		must(t, err)
		_, err = reader.WriteTo(io.Discard)
		must(t, errors.Join(err, reader.Close()))
	default:
		mustRead(t, s, o, name, 0, size, o.fetch)
		if loan, err := s.Lend(o.key(name)); err == nil {
			loan.Return()
		}
	}
}

// BenchmarkVictim measures the choice of one victim, which Store.mu is held for,
// among 1,000, 100,000 and 1,000,000 versions: with the tenth that would be evicted
// first in use, and with all of them read again three times.
func BenchmarkVictim(b *testing.B) {
	now := time.Unix(1_800_000_000, 0)
	insert := func(e *eviction, v *version, reads int) {
		v.touched, v.accessed, v.reread = now, now, false
		e.admit(v)
		for i := range reads {
			e.touch(v, wholeFile, now.Add(time.Duration(i+1)*time.Hour))
		}
	}
	for _, c := range []struct {
		name  string
		reads int
		inUse int // one of them
	}{{"in use", 0, 10}, {"read again", 3, 0}} {
		for _, n := range []int{1_000, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				e := newEviction(int64(n)<<20, DefaultShare)
				for i := range n {
					v := &version{hash: hash{byte(i), byte(i >> 8), byte(i >> 16)}, blocks: 1, full: 1 << 20, charged: 1 << 20}
					insert(e, v, c.reads)
					if c.inUse > 0 && i < n/c.inUse {
						v.refs = 1
						e.relist(v)
					}
				}
				b.ResetTimer()
				for range b.N {
					v := e.victim()
					e.evicted(v)
					insert(e, v, c.reads)
				}
			})
		}
	}
}
