package blockstore

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"time"
)

// place returns the tier for a version, chosen by its hash in proportion to the
// quotas of the writable tiers. The caller must hold s.mu.
func (s *Store) place(h hash) *tier {
	var total int64
	for _, t := range s.tiers {
		if t.writable() {
			total += t.Quota
		}
	}
	if total == 0 {
		return nil
	}
	at := int64(binary.LittleEndian.Uint64(h[8:]) % uint64(total))
	for _, t := range s.tiers {
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

// reserve charges bytes for blocks of a version before they are downloaded, and
// evicts other versions if the quota requires it. It reports whether the blocks
// may be cached.
func (s *Store) reserve(v *version, blocks []*pending, temporary bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.removed || !v.cacheable() || s.removing[v.hash] > 0 {
		return false
	}
	fresh := v.tier == nil
	if fresh {
		v.tier = s.place(v.hash)
	}
	t := v.tier
	if t == nil || !t.writable() {
		s.unplace(v)
		return false
	}
	n := int64(0)
	for _, p := range blocks {
		_, length := blockRange(v.key, s.config.BlockSize, p.block)
		p.reserved = pages(length)
		n += p.reserved
	}
	overhead := int64(0)
	if fresh {
		overhead = pages(metaSize(v.key, v.blocks))
	}
	if !s.makeRoom(t, n+overhead) || v.removed {
		for _, p := range blocks {
			p.reserved = 0
		}
		s.unplace(v)
		return false
	}
	v.charge(n + overhead)
	t.promised += n + overhead
	if v.queue == nil {
		v.temporary = temporary
		if temporary {
			v.expires = s.config.Now().Add(s.config.Temporary)
		}
		v.present, v.verified, v.crcs = newBitmap(v.blocks), newBitmap(v.blocks), make([]uint32, v.blocks)
		t.evict.admit(v, t.Quota)
	}
	return true
}

// unplace lets a version without blocks be placed again. The caller must hold
// s.mu.
func (s *Store) unplace(v *version) {
	if v.queue == nil && v.charged == 0 {
		v.tier = nil
	}
}

// makeRoom evicts until n more bytes fit, and reports whether they do. The
// caller must hold s.mu, which is released while files are removed.
func (s *Store) makeRoom(t *tier, n int64) bool {
	if t.used+n > t.Quota {
		s.evictTo(t, t.low()-n)
	}
	return t.used+n <= t.Quota && t.hasFree(n) && t.writable()
}

// unreserve returns the charge of one block. The caller must hold s.mu.
func (s *Store) unreserve(v *version, p *pending) {
	if p.reserved == 0 {
		return
	}
	if v.charged > 0 { // Otherwise the charge was returned with the version.
		v.charge(-p.reserved)
	}
	p.reserved = 0
}

// evictTo removes versions until the tier uses at most target bytes or all that
// remain are in use. The caller must hold s.mu, which is released meanwhile.
func (s *Store) evictTo(t *tier, target int64) {
	// freed are the bytes being removed, which used still includes.
	var freed int64
	for t.used-freed > target {
		var victims []*version
		for t.used-freed > target && len(victims) < 64 {
			v := t.evict.victim(t.Quota)
			if v == nil {
				break
			}
			freed += v.charged
			s.counts.Evicted++
			s.counts.EvictedBytes += v.charged
			s.forget(v)
			victims = append(victims, v)
		}
		if len(victims) == 0 {
			return
		}
		s.mu.Unlock()
		for _, v := range victims {
			s.removeFiles(v)
		}
		s.mu.Lock()
		freed = 0
	}
}

// removeFiles unlinks the files of a forgotten version, the sidecar first, so
// that a crash in between leaves no usable version.
func (s *Store) removeFiles(v *version) {
	if v.tier == nil || !v.created {
		return
	}
	err := v.tier.disk.do(func() error {
		var failed error
		for _, path := range []string{v.metaPath(), v.dataPath()} {
			if err := v.tier.files.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failed = errors.Join(failed, err)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if failed == nil && !v.unlinked {
			v.unlinked = true
			if s.removing[v.hash]--; s.removing[v.hash] <= 0 {
				delete(s.removing, v.hash)
			}
			s.settle(v)
		}
		return failed
	}, nil)
	if err != nil {
		s.mu.Lock()
		s.unremoved = append(s.unremoved, v)
		s.mu.Unlock()
		s.fail(v.tier, err, false)
	}
}

// removeAgain retries to unlink files.
func (s *Store) removeAgain() {
	s.mu.Lock()
	var again []*version
	rest := s.unremoved[:0]
	for _, v := range s.unremoved {
		switch {
		case v.unlinked: // It succeeded after the timeout.
		case v.tier.writable():
			again = append(again, v)
		default:
			rest = append(rest, v)
		}
	}
	s.unremoved = rest
	s.mu.Unlock()
	for _, v := range again {
		s.removeFiles(v)
	}
}

// fail stops the use of a tier until a probe succeeds.
func (s *Store) fail(t *tier, err error, unreadable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.state.reason == nil {
		s.config.Logger.Warn("a cache tier stores nothing new", "path", t.Path, "error", err)
	}
	t.state.reason = err
	t.state.since = s.config.Now()
	t.state.unreadable = t.state.unreadable || unreadable
}

// janitor maintains the tiers until the store is closed.
func (s *Store) janitor() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			s.tick()
		}
	}
}

// tick evicts what expired and what is above the watermark, keeps the floor
// free, detects writers that hang, and retries failed tiers.
func (s *Store) tick() {
	now := s.config.Now()
	s.Expire(now)
	s.dropStale(now)
	s.removeAgain()
	s.watchWriters(now)
	for _, t := range s.tiers {
		s.measureFree(t)
		s.mu.Lock()
		if t.used > t.high() {
			s.evictTo(t, t.low())
		}
		if short := t.Floor - (t.free - t.promised); short > 0 && (t.writable() || outOfSpace(t.state.reason)) {
			s.evictTo(t, t.used-short)
		}
		if outOfSpace(t.state.reason) {
			// Other processes fill the file system: give up a tenth of the cache.
			s.evictTo(t, t.used-t.used/10)
		}
		retry := t.state.reason != nil && !t.probing && now.Sub(t.state.since) >= s.config.Retry
		t.probing = t.probing || retry
		s.mu.Unlock()
		if retry {
			s.spawn(func() { s.recover(t) })
		}
	}
}

// measureFree updates the free space of the tier's file system.
func (s *Store) measureFree(t *tier) {
	_ = t.disk.do(func() error {
		free, err := t.files.Free(t.dir)
		if err != nil {
			return err
		}
		s.mu.Lock()
		t.free, t.promised = free, s.dirtyBytes
		s.mu.Unlock()
		return nil
	}, nil) // Reads and writes detect a failing disk.
}

// Expire removes idle versions whose lifetime ended before now. The store calls
// it once a second; it is exported for tests.
func (s *Store) Expire(now time.Time) {
	var victims []*version
	s.mu.Lock()
	for _, t := range s.tiers {
		for v := t.evict.doomed.tail; v != nil; {
			before := v.prev
			if now.After(v.expires) && v.idle() {
				s.counts.Expired++
				s.forget(v)
				victims = append(victims, v)
			}
			v = before
		}
	}
	s.mu.Unlock()
	for _, v := range victims {
		s.removeFiles(v)
	}
}

func (s *Store) watchWriters(now time.Time) {
	s.mu.Lock()
	var hung bool
	for _, since := range s.writers {
		hung = hung || now.Sub(since) > 2*s.config.DiskTimeout
	}
	tiers := s.tiers
	s.mu.Unlock()
	if !hung {
		return
	}
	for _, t := range tiers {
		s.fail(t, errHung, false)
	}
}

// recover loads the index if it is not loaded yet, probes the tier, and takes
// it back into use. One goroutine at a time runs it for a tier.
func (s *Store) recover(t *tier) {
	err := s.load(t)
	if err == nil {
		err = t.probe()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.probing = false
	if err != nil {
		t.state.reason, t.state.since = err, s.config.Now()
		t.state.unreadable = t.state.unreadable && !t.loaded
		s.config.Logger.Warn("a cache tier cannot be used", "path", t.Path, "error", err)
		return
	}
	if t.state.reason != nil {
		s.config.Logger.Info("cache tier in use", "path", t.Path, "versions", len(s.versions), "bytes", t.used)
	}
	t.state = condition{since: s.config.Now()}
	for _, v := range s.versions { // those whose seal failed because of the disk
		if v.tier == t && v.complete() && !v.sealed && !v.sealing && !v.writing {
			s.seal(v)
		}
	}
}
