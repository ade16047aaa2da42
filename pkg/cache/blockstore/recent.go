package blockstore

import "time"

// lingerFor is how long a block stays in memory that will not reach a disk:
// readers that come at about the same time share one download even without a
// disk.
const lingerFor = 10 * time.Second

// lingering is a block that stays in memory a while, first come first gone.
type lingering struct {
	v     *version
	p     *pending
	until time.Time
}

// linger keeps a block that nobody claims at the moment, within a quarter of
// the memory. s.mu is held.
func (s *Store) linger(v *version, p *pending) {
	if p.lingers {
		return
	}
	p.lingers = true
	s.recent = append(s.recent, lingering{v, p, s.config.Now().Add(lingerFor)})
	s.recentBytes += int64(len(p.buf))
	for s.recentBytes > s.config.Memory/4 {
		s.dropOldest()
	}
}

// dropOldest frees the block that lingers longest, or lets it be freed once
// its readers are done. s.mu is held.
func (s *Store) dropOldest() {
	oldest := s.recent[0]
	s.recent[0] = lingering{}
	s.recent = s.recent[1:]
	s.recentBytes -= int64(len(oldest.p.buf))
	oldest.p.old = true
	s.reap(oldest.v, oldest.p)
}

// dropStale frees what lingered long enough.
func (s *Store) dropStale(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.recent) > 0 && !now.Before(s.recent[0].until) {
		s.dropOldest()
	}
	if len(s.recent) == 0 {
		s.recent = nil
	}
}
