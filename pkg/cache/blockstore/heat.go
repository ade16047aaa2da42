package blockstore

import "time"

// Heat decides in which level a version is: see Levels in doc.go. Only sealed versions
// move (move.go). The others, node copies and versions that expire are evicted where
// they are.

// maxHot bounds the versions that are offered to one tier at a time. The others are
// offered again when they are read again.
const maxHot = 64

// touch counts a read of a version with a tier, and offers a version that was read
// again to a faster one. The caller must hold s.mu.
func (s *Store) touch(v *version, block int64) {
	if !v.tier.evict.touch(v, block, s.config.Now()) || v.hot || !v.movable() {
		return
	}
	if to := s.faster(v.tier, v.hash); to != nil && len(to.hot) < maxHot {
		v.hot = true
		to.hot = append(to.hot, v)
		to.wakeMover()
	}
}

// movable reports whether a version may be moved to another tier.
func (v *version) movable() bool {
	return v.sealed && !v.removed && !v.moving && !v.temporary && !v.copied && v.expires.IsZero() &&
		(v.class == probation || v.class == protected) && !v.tier.state.unreadable &&
		len(v.pending) == 0 && !v.writing && !v.sealing
}

func (t *tier) wakeMover() {
	select {
	case t.moves <- struct{}{}:
	default:
	}
}

// drains reports whether versions of the tier must be moved to a slower one: from
// above the high watermark until it is at the low one. The caller must hold s.mu.
func (s *Store) drains(t *tier) bool {
	switch expected := t.expected(); {
	case expected > t.high():
		t.draining = true
	case expected <= t.low():
		t.draining = false
	}
	return t.draining && t.writable() && s.slower(t, hash{}) != nil
}

// moveAll is the loop of the mover of one tier: it moves hot versions there, and cold
// ones from there to slower tiers, one at a time.
func (s *Store) moveAll(t *tier) {
	for {
		s.mu.Lock()
		more := s.moveNext(t)
		s.mu.Unlock()
		if s.ctx.Err() != nil {
			return
		}
		if more {
			continue
		}
		select {
		case <-t.moves:
		case <-s.ctx.Done():
			return
		}
	}
}

// moveNext moves one version, and reports whether another may follow. The caller must
// hold s.mu, which is released meanwhile.
func (s *Store) moveNext(t *tier) bool {
	if s.drains(t) {
		cold := t.evict.coldestHere()
		if cold != nil {
			s.demote(cold)
		}
		return cold != nil
	}
	if len(t.hot) == 0 {
		t.hot = nil
		return false
	}
	v := t.hot[0]
	t.hot = t.hot[1:]
	v.hot = false
	for v.movable() && t.writable() && v.tier.level > t.level && v.full <= t.high() && s.ctx.Err() == nil {
		if t.expected()+v.full <= t.high() {
			if s.move(v, t) {
				t.counts.Promoted++
			}
			break
		}
		cold := t.evict.coldestHere()
		if cold == nil || !v.hotterThan(cold, s.config.Now()) {
			break
		}
		s.demote(cold)
	}
	return true
}

// demote moves an idle version to a slower tier, or evicts it if none takes it. The
// caller must hold s.mu, which is released meanwhile.
func (s *Store) demote(v *version) {
	e, was := v.tier.evict, v.class
	if to := s.slower(v.tier, v.hash); to != nil && v.movable() && s.move(v, to) {
		to.counts.Demoted++
		if was == protected {
			e.countEviction()
		}
		return
	}
	if v.removed || !v.idle() || s.ctx.Err() != nil {
		return
	}
	if len(v.parked) > 0 {
		s.recall(v, s.evict)
		return
	}
	s.evict(v)
	s.mu.Unlock()
	s.removeFiles(v)
	s.mu.Lock()
}

// hotterThan reports whether a version that was read again belongs in the place of an
// idle one in a faster tier: if it was read more often, or at intervals that are much
// shorter than the other was not read. So a set larger than the faster tier, whose
// versions are read equally often, causes no exchange.
func (v *version) hotterThan(cold *version, now time.Time) bool {
	if cold.class != protected && cold.class != probation {
		return true
	}
	return v.reads() > cold.reads() || now.Sub(cold.touched) > idleFactor*v.interval
}

// reads returns the counted reads of a version in its tier.
func (v *version) reads() int {
	if v.class != protected {
		return 0
	}
	return v.tier.evict.freq(v)
}

// coldestHere returns the idle version that is to leave the tier first, or nil. Unlike
// coldest, it does not age the others.
func (e *eviction) coldestHere() *version {
	if v := e.unprotected(); v != nil {
		return v
	}
	for freq := range len(e.levels) {
		if v := e.level(freq).tail; v != nil {
			return v
		}
	}
	return nil
}
