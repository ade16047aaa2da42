package blockstore

import (
	"testing"
)

// objectBytes is what one object of these tests is charged.
var objectBytes = pages(250_000) + pageSize

// twoLevels returns the configuration of a store with room for 8 objects of 250,000
// bytes in memory and for 32 on a disk.
func twoLevels(t *testing.T, c *clock, change ...func(*Config)) Config {
	t.Helper()
	return testConfig(t, append([]func(*Config){func(config *Config) {
		config.Tiers = []Tier{ // The order of the configuration does not matter.
			{Medium: "SSD", Path: t.TempDir(), Quota: 32 * objectBytes, High: 1, Low: 1, Floor: 1},
			{Medium: "MEM", Path: t.TempDir(), Quota: 8 * objectBytes, High: 1, Low: 1, Floor: 1},
		}
		config.Now, config.MoveRate = c.Now, 1<<40
	}}, change...)...)
}

// mediumOf returns the medium of the tier of a version, "" if it is not cached.
func mediumOf(s *Store, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.versions[newOrigin(8, 250_000).key(name).hash()]
	if v == nil || v.tier == nil {
		return ""
	}
	return v.tier.Medium
}

// inMemory counts objects in the tier in memory.
func inMemory(s *Store, names []string) int {
	n := 0
	for _, name := range names {
		if mediumOf(s, name) == "MEM" {
			n++
		}
	}
	return n
}

// rested waits until nothing moves.
func rested(t *testing.T, s *Store) {
	t.Helper()
	settled(t, s)
	eventually(t, "nothing moves", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, v := range s.versions {
			if v.moving || v.hot {
				return false
			}
		}
		return true
	})
}

// TestNewVersionsFillTheFastestLevel checks where new versions are placed: in memory
// while they fit, then on the disk, and that a scan displaces nothing in memory.
func TestNewVersionsFillTheFastestLevel(t *testing.T) {
	s := open(t, twoLevels(t, newClock()))
	all := names("new", 60)
	fill(t, s, all...)
	for i, name := range all[:8] {
		if got := mediumOf(s, name); got != "MEM" {
			t.Errorf("object %d is in %q", i, got)
		}
	}
	if n := inMemory(s, all[8:]); n != 0 {
		t.Errorf("%d other objects are in memory", n)
	}
	if got := s.Stats(); got.Tiers[0].Medium != "SSD" || got.Tiers[0].Used < 30*objectBytes {
		t.Errorf("the disk has %+v", got.Tiers[0])
	}
	checkAccounts(t, s)
}

// TestHotVersionsMoveUp checks that versions that are read again take the place of
// those that were not, that these move down and are not evicted, and that all of it is
// the same after a restart.
func TestHotVersionsMoveUp(t *testing.T) {
	c := newClock()
	config := twoLevels(t, c)
	s := open(t, config)
	cold, hot := names("cold", 8), names("hot", 8)
	fill(t, s, cold...)
	fill(t, s, hot...)
	if n := inMemory(s, cold); n != 8 {
		t.Fatalf("%d of the first objects are in memory", n)
	}
	for range 3 {
		c.pass(2 * correlated)
		fill(t, s, hot...)
		rested(t, s)
	}
	if up, down := inMemory(s, hot), inMemory(s, cold); up != 8 || down != 0 {
		t.Errorf("%d hot and %d cold objects are in memory, want 8 and 0", up, down)
	}
	stats := s.Stats()
	if stats.Evicted != 0 || stats.Tiers[1].Promoted != 8 || stats.Tiers[0].Demoted != 8 {
		t.Errorf("%d are evicted, %d promoted, %d demoted", stats.Evicted, stats.Tiers[1].Promoted, stats.Tiers[0].Demoted)
	}
	checkAccounts(t, s)
	before := s.Stats().Tiers
	shut(t, s)
	s = open(t, config)
	after := s.Stats().Tiers
	for i := range before {
		if before[i].Used != after[i].Used || before[i].Sealed != after[i].Sealed {
			t.Errorf("tier %s: %+v before the restart, %+v after it", before[i].Medium, before[i], after[i])
		}
	}
	o := newOrigin(8, 250_000)
	for _, name := range append(cold, hot...) {
		mustRead(t, s, o, name, 0, 250_000, nil)
	}
	checkAccounts(t, s)
}

// TestLoopCausesNoExchange checks that a set larger than the memory, whose objects are
// read equally often, is not moved up and down.
func TestLoopCausesNoExchange(t *testing.T) {
	c := newClock()
	s := open(t, twoLevels(t, c))
	all := names("loop", 24)
	for range 6 {
		fill(t, s, all...)
		rested(t, s)
		c.pass(2 * correlated)
	}
	stats := s.Stats()
	if moved := stats.Tiers[1].Promoted; moved > 8 {
		t.Errorf("%d objects were promoted", moved)
	}
	if stats.Misses != 24 {
		t.Errorf("%d misses, want one of each object", stats.Misses)
	}
	checkAccounts(t, s)
}

// TestColdVersionsAreReplaced checks that a set that was read often and is not read any
// more leaves the memory for the next one.
func TestColdVersionsAreReplaced(t *testing.T) {
	c := newClock()
	s := open(t, twoLevels(t, c))
	before, now := names("before", 8), names("now", 8)
	for range 6 {
		fill(t, s, before...)
		rested(t, s)
		c.pass(2 * correlated)
	}
	for range 8 {
		fill(t, s, now...)
		rested(t, s)
		c.pass(2 * correlated)
	}
	if n := inMemory(s, now); n != 8 {
		t.Errorf("%d of the objects that are read now are in memory", n)
	}
	checkAccounts(t, s)
}

// TestWatermarkMovesDown checks that a tier above its high watermark moves versions
// down until it is at the low one, and evicts none.
func TestWatermarkMovesDown(t *testing.T) {
	c := newClock()
	config := twoLevels(t, c)
	s := open(t, config)
	all := names("a", 8)
	fill(t, s, all...)
	shut(t, s)
	config.Tiers[1].High, config.Tiers[1].Low = 0.75, 0.5
	s = open(t, config)
	eventually(t, "half of them are on the disk", func() bool { s.tick(); return inMemory(s, all) == 4 })
	rested(t, s)
	s.tick()
	if stats := s.Stats(); stats.Evicted != 0 || stats.Tiers[1].Files != 4 || stats.Tiers[0].Files != 4 {
		t.Errorf("%d are evicted; the tiers have %+v", stats.Evicted, stats.Tiers)
	}
	checkAccounts(t, s)
}
