package blockstore

// OnRevoke has revoked called, once and from another goroutine, when the bytes of
// the loan are found to be wrong or cannot be read any more. The loan continues:
// the borrower must take its bytes from elsewhere and return it. OnRevoke may be
// called once, before Return.
func (l *Loan) OnRevoke(revoked func()) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if l.v.removed && !l.v.evicted || l.v.tier.state.unreadable {
		go revoked()
		return
	}
	l.v.tier.lent[l] = revoked
}

// revoke ends the use of lent files: those of a version, or all of the tier if v is
// nil. The caller must hold s.mu.
func (s *Store) revoke(t *tier, v *version) {
	for l, revoked := range t.lent {
		if v == nil || l.v == v {
			delete(t.lent, l)
			go revoked()
		}
	}
}

// Used counts what the borrower has done since the last call: it has opened the file
// again, and has read bytes from it.
func (l *Loan) Used(opens, bytes int64) {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	if !l.v.removed {
		l.v.tier.evict.touch(l.v, wholeFile, now)
	}
	s.countLent(opens, bytes)
}

// countLent counts hits of a file that is lent. The caller must hold s.mu.
func (s *Store) countLent(opens, bytes int64) {
	read := Reads{Hits: opens, HitBytes: bytes}
	s.counts.add(read)
	s.recentReads.add(s.config.Now(), read)
}
