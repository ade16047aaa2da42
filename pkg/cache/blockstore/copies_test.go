package blockstore

import (
	"io"
	"testing"
)

// makeCopies assembles node copies and waits until they are sealed.
func makeCopies(t *testing.T, s *Store, names ...string) {
	t.Helper()
	for _, name := range names {
		o := newOrigin(8, 250_000)
		reader, err := s.Read(t.Context(), Request{Key: o.key(name), Length: 250_000, Fetch: o.fetch, Copy: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reader.WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
		settled(t, s)
	}
}

func countCached(s *Store, names ...string) int {
	n := 0
	for _, name := range names {
		if cached(s, name) {
			n++
		}
	}
	return n
}

// TestNodeCopies checks that node copies take their share only, evict one another
// and no version that this worker owns, and are evicted before those.
func TestNodeCopies(t *testing.T) {
	c := newClock()
	s := small(t, c)
	owned, copies := names("owned", 6), names("copy", 20)
	fill(t, s, owned...)
	makeCopies(t, s, copies...)
	if n := countCached(s, owned...); n != len(owned) {
		t.Errorf("%d of %d owned versions are left", n, len(owned))
	}
	bytes := s.Stats().Tiers[0].Copies
	if n := countCached(s, copies...); n == 0 || n > 8 || bytes == 0 || bytes > s.Stats().Tiers[0].Capacity/2 {
		t.Errorf("%d copies of %d bytes are cached, want at most half of the tier", n, bytes)
	}
	if !cached(s, copies[len(copies)-1]) {
		t.Error("the newest copy is not cached")
	}
	more := names("more", 9)
	fill(t, s, more...)
	if n := countCached(s, append(more, owned...)...); n != len(more)+len(owned) {
		t.Errorf("%d of %d owned versions are cached beside copies", n, len(more)+len(owned))
	}
	if n := countCached(s, copies...); n > 1 {
		t.Errorf("%d copies are left in a tier that owned versions fill", n)
	}
}

// TestNodeCopiesOverARestart checks that copies are lent and counted apart after a
// restart.
func TestNodeCopiesOverARestart(t *testing.T) {
	config := testConfig(t)
	s := open(t, config)
	makeCopies(t, s, "copy")
	before := s.Stats().Tiers[0].Copies
	shut(t, s)
	s = open(t, config)
	if after := s.Stats().Tiers[0].Copies; before == 0 || after != before {
		t.Errorf("%d bytes of copies after a restart, %d before", after, before)
	}
	o := newOrigin(8, 250_000)
	eventually(t, "the copy is lent", func() bool {
		loan, err := s.Lend(o.key("copy"))
		if err == nil {
			loan.Return()
		}
		return err == nil
	})
}

// TestCopyBecomesOwned checks that a copy is an ordinary version once this worker
// reads it as its owner, and that what it owns does not become a copy.
func TestCopyBecomesOwned(t *testing.T) {
	s := open(t, testConfig(t))
	makeCopies(t, s, "a")
	fill(t, s, "a", "b")
	makeCopies(t, s, "b")
	if got := s.Stats().Tiers[0].Copies; got != 0 {
		t.Errorf("%d bytes of copies, want none", got)
	}
	o := newOrigin(8, 250_000)
	mustRead(t, s, o, "c", 0, 100_000, o.fetch)
	settled(t, s)
	first, end := s.Missing(o.key("c"), 0)
	if first == 0 || end <= first || end > 250_000 {
		t.Errorf("missing bytes %d to %d", first, end)
	}
	for n := 0; first != end; n++ {
		if n > 10 {
			t.Fatalf("a missing range follows the end at %d", end)
		}
		first, end = s.Missing(o.key("c"), end)
	}
	if first, end := s.Missing(o.key("b"), 0); first != end {
		t.Errorf("missing bytes %d to %d of a complete version", first, end)
	}
}
