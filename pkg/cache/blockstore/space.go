package blockstore

import "time"

// reserve charges bytes for a block of a version before it is downloaded, and
// evicts other versions if the quota requires it. Without a reservation the block
// is not cached.
func (s *Store) reserve(v *version, p *pending, temporary bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.removed || !v.cacheable() || v.has(p.block) || p.reserved > 0 {
		return
	}
	if v.tier == nil {
		v.tier = s.place(v)
	}
	t := v.tier
	if t == nil || !t.writable() || t.removing[v.hash] > 0 {
		s.unplace(v)
		return
	}
	if v.class == unqueued {
		v.temporary = temporary
		if temporary {
			v.expires = s.config.Now().Add(s.config.Temporary)
		}
		t.evict.admit(v)
	}
	_, length := blockRange(v.key, s.config.BlockSize, p.block)
	n, sidecar := pages(length), int64(0)
	if v.charged == 0 {
		sidecar = pages(metaSize(v.key, v.blocks))
	}
	if !s.makeRoom(v, n+sidecar) {
		s.unplace(v)
		return
	}
	if v.present == nil {
		v.present, v.verified, v.crcs = newBitmap(v.blocks), newBitmap(v.blocks), make([]uint32, v.blocks)
	}
	if v.charged > 0 {
		sidecar = 0 // Another download of the version has charged it meanwhile.
	}
	v.charge(n + sidecar)
	t.promised += n
	t.reserved += n
	p.reserved = n
}

// unplace lets a version without blocks be placed again. The caller must hold
// s.mu.
func (s *Store) unplace(v *version) {
	if v.charged == 0 && v.tier != nil && !v.removed {
		v.tier.evict.remove(v)
		v.tier = nil
	}
}

// makeRoom makes room for n more bytes of a version in its tier, and reports
// whether they may be charged. The caller must hold s.mu, which is released
// while files are removed, and charge the bytes before it releases s.mu.
//
// A version that is not protected gets what is free below the low watermark.
// Beyond that, all versions together that are not protected get the share of the
// tier: to stay within it they evict one another, and only within it they evict
// protected versions. So an object that is larger than the share, any number of
// objects that are read once, and replaced versions that are still open evict no
// more than the share together.
func (s *Store) makeRoom(v *version, n int64) bool {
	t := v.tier
	for t.writable() && !v.removed && v.tier == t {
		switch {
		case t.used-t.evicting > t.Quota:
			// The quota was lowered: the janitor evicts what is above it.
			return false
		case t.used+n <= t.Quota && t.admits(v, n):
			return t.hasFree(n)
		case t.used+n-t.leaving() <= t.Quota && t.admits(v, n):
			s.freed.Wait() // Enough is being evicted or recalled.
		case !s.evictSome(func() *version { return s.victimFor(v, n) }):
			if !t.admits(v, n) {
				s.counts.Declined++
			}
			return false
		}
	}
	return false
}

// admits reports whether the share admits n more bytes of a version. The caller
// must hold Store.mu.
func (t *tier) admits(v *version, n int64) bool {
	if v.class == copied {
		return t.evict.staying(copied)+n <= t.evict.copyLimit && t.used-t.leaving()+n <= t.low()
	}
	if mutantNoShare || v.class == protected {
		return true
	}
	others := t.used - t.leaving() - t.evict.staying(protected) - t.evict.staying(copied)
	return t.used-t.leaving()+n <= t.low() || others+n <= t.evict.share
}

// victimFor returns the next version to evict for n more bytes of v, or nil if
// none may be evicted for it. The caller must hold s.mu.
func (s *Store) victimFor(v *version, n int64) *version {
	t, e := v.tier, v.tier.evict
	if t.used-t.leaving()+n <= t.Quota && t.admits(v, n) {
		return nil
	}
	if v.class == copied {
		return e.spare()
	}
	if v.class == protected && !v.reread && !mutantNoShare {
		// It came while there was room, and there is none for the rest of it.
		if other := e.unprotected(); other != nil {
			return other
		}
		e.move(v, probation)
	}
	if t.admits(v, n) && (v.class == protected || mutantNoShare) {
		return e.victim()
	}
	if t.admits(v, n) {
		return e.victimForUnread()
	}
	if other := e.unprotected(); other != nil {
		return other
	}
	return e.stale(s.config.Now())
}

// evictSome evicts the versions that next returns, at most 16, until it returns
// nil, and recalls those that are lent. It reports whether there was one. The caller
// must hold s.mu, which is released meanwhile.
func (s *Store) evictSome(next func() *version) bool {
	var victims []*version
	found := 0
	for ; found < 16; found++ {
		v := next()
		if v == nil {
			break
		}
		if len(v.parked) > 0 {
			s.recall(v, s.evict)
			continue
		}
		s.evict(v)
		victims = append(victims, v)
	}
	if found == 0 {
		return false
	}
	s.mu.Unlock()
	s.removeFiles(victims...)
	s.mu.Lock()
	return true
}

// evict takes a version out of the index. Its bytes count as being evicted until
// its files are removed. The caller must hold s.mu.
func (s *Store) evict(v *version) {
	s.counts.Evicted++
	s.counts.EvictedBytes += v.charged
	v.evicted = true
	v.tier.evicting += v.charged
	v.tier.evict.evicted(v)
	s.forget(v)
}

// evictTo removes versions until the tier uses at most target bytes, not counting those
// that are recalled, or all that remain are in use. The caller must hold s.mu, which is
// released meanwhile.
func (s *Store) evictTo(t *tier, target int64) {
	next := func() *version {
		if t.used-t.leaving() <= target {
			return nil
		}
		return t.evict.victim()
	}
	for !t.hung() && s.evictSome(next) {
	}
}

// trim evicts from a tier above its high watermark: what is not protected down to the
// low one, and what is protected no further than to the high one, so that epochs over
// more than the tier keep what they hit. The caller must hold s.mu, which is released
// meanwhile.
func (s *Store) trim(t *tier) {
	next := func() *version {
		switch used := t.used - t.leaving(); {
		case used <= t.low():
			return nil
		case used <= t.high():
			return t.evict.unprotected()
		}
		return t.evict.victim()
	}
	for !t.hung() && s.evictSome(next) {
	}
}

// unreserve returns the charge of one block. The caller must hold s.mu.
func (s *Store) unreserve(v *version, p *pending) {
	if p.reserved == 0 {
		return
	}
	if v.charged > 0 { // Otherwise the charge was returned with the version.
		v.charge(-p.reserved)
	}
	v.tier.reserved -= p.reserved
	p.reserved = 0
}

// expire removes idle versions of a tier whose lifetime ended before now.
func (s *Store) expire(t *tier, now time.Time) {
	for {
		var victims []*version
		s.mu.Lock()
		for len(victims) < 64 {
			v := t.evict.doomed.tail
			if v == nil || !now.After(v.expires) {
				break
			}
			if len(v.parked) > 0 {
				s.recall(v, s.expired)
				continue
			}
			s.expired(v)
			victims = append(victims, v)
		}
		s.mu.Unlock()
		if len(victims) == 0 {
			return
		}
		s.removeFiles(victims...)
	}
}

// expired takes a version whose lifetime has ended out of the index. The caller must
// hold s.mu.
func (s *Store) expired(v *version) {
	s.counts.Expired++
	s.forget(v)
}

// Expire removes idle versions whose lifetime ended before now. The store does
// so once a second; it is exported for tests.
func (s *Store) Expire(now time.Time) {
	for _, t := range s.tiers {
		s.expire(t, now)
	}
}
