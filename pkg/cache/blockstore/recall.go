package blockstore

import (
	"slices"
	"time"
)

// A borrower may keep files that it does not use now, so that it need not request them
// again. It declares these loans idle, and the store recalls them when it is to remove
// their version.
//
// Invariants: a version whose only uses are idle loans is in the list of its class, as
// one without uses is, so that idle loans change neither what can be evicted nor the
// order. Such a version is not removed, but recalled: it leaves the list, and its bytes
// count as leaving the tier, until its loans are returned, and it is removed, or one is
// used again. If a borrower does neither within Config.recallWait, the bytes stay
// charged, other versions are evicted, and none of its loans counts as idle until some
// time after it has responded. So a borrower delays a download that waits for room by at
// most recallWait in lateFactor times as long.

const (
	// recallWait is the time that a borrower has to return a loan, or to use it.
	recallWait = 500 * time.Millisecond
	// lateFactor is how many times as long as recallWait no loan of a borrower counts
	// as idle after it has responded too late.
	lateFactor = 100
)

// Borrower is a process that borrows files. Its methods are safe for concurrent use.
type Borrower struct {
	store *Store
	// loans are those that are not returned. late is set while none of them counts as
	// idle, because the borrower did not respond in time, and responded once it has
	// since. Store.mu guards them.
	loans           map[*Loan]struct{}
	late, responded bool
}

// recall is the recall of the loans of one version.
type recall struct {
	bytes int64
	timer *time.Timer
	// remove takes the version out of the index when the loans have been returned.
	remove func(*version)
}

// Borrower returns a new borrower, of whose loans idle ones can be recalled.
func (s *Store) Borrower() *Borrower { return &Borrower{store: s, loans: map[*Loan]struct{}{}} }

// Lend is like Store.Lend.
func (b *Borrower) Lend(key Key) (*Loan, error) { return b.store.lend(key, b) }

// add records a loan. The caller must hold Store.mu.
func (b *Borrower) add(l *Loan) {
	if b != nil {
		b.loans[l] = struct{}{}
	}
}

// returned records that a loan was returned. The caller must hold Store.mu.
func (b *Borrower) returned(l *Loan) {
	if b != nil {
		delete(b.loans, l)
		b.responds()
	}
}

// responds makes the idle loans of a borrower that was late count as idle again, after
// some time. The caller must hold Store.mu.
func (b *Borrower) responds() {
	if b.late && !b.responded {
		b.responded = true
		time.AfterFunc(lateFactor*b.store.config.recallWait, b.forgive)
	}
}

func (b *Borrower) forgive() {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.late, b.responded = false, false
	for l := range b.loans {
		if l.idle {
			b.store.park(l)
		}
	}
}

// OnRecall has recalled called each time the loan is to be returned. The borrower must
// then return it or call SetIdle(false), from another goroutine: recalled must neither
// wait nor use the store. OnRecall may be called once, before SetIdle.
func (l *Loan) OnRecall(recalled func()) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	l.recalled = recalled
}

// SetIdle records whether the borrower uses the file. It has no effect on a loan that
// cannot be recalled.
func (l *Loan) SetIdle(idle bool) {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.borrower == nil || l.recalled == nil {
		return
	}
	l.idle = idle
	l.borrower.responds()
	switch {
	case !idle:
		s.unpark(l)
	case !l.borrower.late:
		s.park(l)
	}
}

// park makes a loan count as idle. The caller must hold s.mu.
func (s *Store) park(l *Loan) {
	if l.parked {
		return
	}
	l.parked = true
	l.v.parked = append(l.v.parked, l)
	if l.v.removed || l.v.recall != nil {
		l.recalled()
	}
	if !l.v.removed {
		l.v.tier.evict.relist(l.v)
	}
}

// unpark makes a loan count as used, and ends the recall of its version if there is
// nothing left to be returned. The caller must hold s.mu.
func (s *Store) unpark(l *Loan) {
	if !l.parked {
		return
	}
	v := l.v
	l.parked = false
	i := slices.Index(v.parked, l)
	v.parked = slices.Delete(v.parked, i, i+1)
	if len(v.parked) == 0 {
		s.endRecall(v)
	}
	if !v.removed {
		v.tier.evict.relist(v)
	}
}

// recall requires the borrowers of an idle version to return it, after which remove is
// called. The caller must hold s.mu.
func (s *Store) recall(v *version, remove func(*version)) {
	s.counts.Recalled++
	r := &recall{bytes: v.charged, remove: remove}
	r.timer = time.AfterFunc(s.config.recallWait, func() { s.overdue(v, r) })
	v.recall = r
	v.tier.evict.recalled[v.class] += r.bytes
	v.tier.evict.relist(v)
	for _, l := range v.parked {
		l.recalled()
	}
}

// recallRemoved requires the borrowers of a version that is not in the index any more
// to return the idle loans, so that its bytes are not charged any longer. The caller
// must hold s.mu.
func (s *Store) recallRemoved(v *version) {
	if v.recall != nil {
		s.endRecall(v)
		return // They are being recalled.
	}
	for _, l := range v.parked {
		l.recalled()
	}
}

// endRecall ends the recall of a version, if there is one. The caller must hold s.mu.
func (s *Store) endRecall(v *version) {
	if v.recall == nil {
		return
	}
	v.recall.timer.Stop()
	v.tier.evict.recalled[v.class] -= v.recall.bytes
	v.recall = nil
	s.freed.Broadcast()
}

// overdue ends a recall that took too long.
func (s *Store) overdue(v *version, r *recall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.recall != r {
		return
	}
	s.endRecall(v)
	for _, l := range slices.Clone(v.parked) {
		b := l.borrower
		b.late = true
		for other := range b.loans {
			s.unpark(other)
		}
	}
}

func (v *version) recalledBytes() int64 {
	if v.recall == nil {
		return 0
	}
	return v.recall.bytes
}

// recalledBytes returns the bytes that are being recalled.
func (e *eviction) recalledBytes() (n int64) {
	for _, of := range e.recalled {
		n += of
	}
	return n
}

// staying returns the bytes of a class that are not being recalled.
func (e *eviction) staying(c class) int64 { return e.bytes[c] - e.recalled[c] }

// leaving returns the bytes of versions that are being evicted or recalled.
func (t *tier) leaving() int64 { return t.evicting + t.evict.recalledBytes() }
