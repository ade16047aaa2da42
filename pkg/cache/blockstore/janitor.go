package blockstore

import (
	"errors"
	"time"
)

// janitor maintains one tier until the store is closed.
func (s *Store) janitor(t *tier) {
	s.every(s.config.tick, func() { s.tickTier(t) })
}

func (s *Store) every(interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}

// tick maintains the memory and every tier once.
func (s *Store) tick() {
	s.dropStale(s.config.Now())
	for _, t := range s.tiers {
		s.tickTier(t)
	}
}

// tickTier evicts what expired and what is above the watermark, keeps the floor
// free, detects writers that hang, and retries a failed tier.
func (s *Store) tickTier(t *tier) {
	now := s.config.Now()
	s.watchWriters(t, now)
	s.expire(t, now)
	s.removeAgain(t)
	s.measureFree(t)
	s.mu.Lock()
	switch {
	case s.drains(t):
		t.wakeMover()
	case t.used > t.high():
		s.trim(t)
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

// measureFree updates the free space of the tier's file system.
func (s *Store) measureFree(t *tier) {
	s.mu.Lock()
	skip := t.hung()
	s.mu.Unlock()
	if skip {
		return
	}
	_ = t.disk.do(func() error {
		free, err := t.files.Free(t.dir)
		if err != nil {
			return err
		}
		s.mu.Lock()
		t.free, t.promised = free, t.reserved
		s.mu.Unlock()
		return nil
	}, nil) // Reads and writes detect a failing disk.
}

// watchWriters fails a tier whose writers hang.
func (s *Store) watchWriters(t *tier, now time.Time) {
	s.mu.Lock()
	hung := s.writersHang(t, now)
	s.mu.Unlock()
	if !hung {
		return
	}
	s.fail(t, errHung, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropDirty(t)
}

// writersHang reports whether a batch takes too long. The caller must hold s.mu.
func (s *Store) writersHang(t *tier, now time.Time) bool {
	for _, w := range t.writers {
		if now.Sub(w.since) > 2*t.disk.limit() {
			return true
		}
	}
	return false
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
	if unreadable && !t.state.unreadable {
		s.revoke(t, nil)
	}
	t.state.unreadable = t.state.unreadable || unreadable
	s.freed.Broadcast()
}

// recover loads the index if it is not loaded yet, probes the tier, and takes
// it back into use. One goroutine at a time runs it for a tier.
func (s *Store) recover(t *tier) {
	err := s.load(t)
	if err == nil {
		err = s.responds(t)
	}
	if err == nil {
		err = t.probe()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.probing = false
	if err != nil {
		t.state.reason, t.state.since = err, s.config.Now()
		t.state.unreadable = t.state.unreadable && (!t.loaded || errors.Is(err, errHung))
		s.config.Logger.Warn("a cache tier cannot be used", "path", t.Path, "error", err)
		return
	}
	if t.state.reason != nil {
		s.config.Logger.Info("cache tier in use", "path", t.Path, "versions", t.filesHere, "bytes", t.used)
	}
	t.state = condition{since: s.config.Now()}
	for v := range t.unsealed {
		delete(t.unsealed, v)
		if v.complete() && !v.sealed && !v.sealing && !v.writing && !v.removed {
			s.seal(v)
		}
	}
}

// responds returns an error while an earlier operation hangs, so that a tier of
// which a part responds does not delay readers again and again.
func (s *Store) responds(t *tier) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.disk.overdue.Load() > 0 || s.writersHang(t, s.config.Now()) {
		return errHung
	}
	return nil
}
