package blockstore

import (
	"encoding/binary"
	"slices"
)

// speed returns the rank of a medium, the fastest first.
func speed(medium string) int {
	switch medium {
	case "MEM":
		return 0
	case "HDD":
		return 2
	}
	return 1
}

// levelsOf returns the tiers by the speed of their media, the fastest level first,
// and records the level of each.
func levelsOf(tiers []*tier) [][]*tier {
	sorted := slices.Clone(tiers)
	slices.SortStableFunc(sorted, func(a, b *tier) int { return speed(a.Medium) - speed(b.Medium) })
	var levels [][]*tier
	for i, t := range sorted {
		if i == 0 || speed(t.Medium) != speed(sorted[i-1].Medium) {
			levels = append(levels, nil)
		}
		t.level = len(levels) - 1
		levels[t.level] = append(levels[t.level], t)
	}
	return levels
}

// pick returns the tier of a level for a version, chosen by its hash in proportion to
// the quotas of the writable tiers; nil if there is none. The caller must hold s.mu.
func (s *Store) pick(level int, h hash) *tier {
	var total int64
	for _, t := range s.levels[level] {
		if t.writable() {
			total += t.Quota
		}
	}
	if total == 0 {
		return nil
	}
	at := int64(binary.LittleEndian.Uint64(h[8:]) % uint64(total))
	for _, t := range s.levels[level] {
		if !t.writable() {
			continue
		}
		if at < t.Quota {
			return t
		}
		at -= t.Quota
	}
	return nil
}

// place returns the tier for a new version: that of the fastest level in which all of
// it fits below the low watermark, and otherwise that of the slowest level, in which
// the share bounds what it evicts. It returns nil if no tier is writable. The caller
// must hold s.mu.
func (s *Store) place(v *version) *tier {
	var slowest *tier
	for level := range s.levels {
		t := s.pick(level, v.hash)
		if t == nil {
			continue
		}
		slowest = t
		if t.expected()+v.full <= t.low() && t.hasFree(v.full) && (!v.copied || v.full <= t.evict.copyLimit) {
			return t
		}
	}
	return slowest
}

// faster returns the tier of the next faster level that a version may move to, or
// nil. The caller must hold s.mu.
func (s *Store) faster(t *tier, h hash) *tier {
	for level := t.level - 1; level >= 0; level-- {
		if to := s.pick(level, h); to != nil {
			return to
		}
	}
	return nil
}

// slower returns the tier of the next slower level that a version may move to, or
// nil. The caller must hold s.mu.
func (s *Store) slower(t *tier, h hash) *tier {
	for level := t.level + 1; level < len(s.levels); level++ {
		if to := s.pick(level, h); to != nil {
			return to
		}
	}
	return nil
}

// expected returns the bytes that will be charged to the tier once every version in
// it is complete, including those of files that were removed and are still open, and
// without those that are being recalled.
func (t *tier) expected() int64 {
	e := t.evict
	inClasses := int64(0)
	for _, n := range e.bytes {
		inClasses += n
	}
	return e.claimed + t.used - inClasses - e.recalledBytes()
}
