package blockstore

// OnRevoke has revoked called, once and from another goroutine, when the bytes of
// the loan are found to be wrong or cannot be read any more. The loan continues:
// the borrower must take its bytes from elsewhere and return it. OnRevoke may be
// called once, before Return.
func (l *Loan) OnRevoke(revoked func()) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if l.v.removed && !l.v.evicted && !l.v.moved || l.v.tier.state.unreadable {
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
	// The version may have moved to another tier since.
	if v := s.versions[l.v.hash]; v != nil && v.tier != nil {
		s.touch(v, wholeFile)
	}
	s.countLent(l.v.tier, opens, bytes)
}

// countLent counts hits of a file of a tier that is lent. The caller must hold s.mu.
func (s *Store) countLent(t *tier, opens, bytes int64) {
	read := Reads{Hits: opens, HitBytes: bytes}
	t.counts.Hits += opens
	t.counts.HitBytes += bytes
	s.counts.add(read)
	s.recentReads.add(s.config.Now(), read)
}
