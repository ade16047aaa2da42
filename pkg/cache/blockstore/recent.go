package blockstore

import "time"

// lingerFor is how long a block that will not reach a disk stays in memory.
// Without a disk, readers at about the same time still share one download.
const lingerFor = 10 * time.Second

// lingering is a block that stays in memory for a while.
type lingering struct {
	v     *version
	p     *pending
	until time.Time
	bytes int64
}

// linger keeps a block without claims in memory, within a quarter of the
// memory budget. The caller must hold s.mu.
func (s *Store) linger(v *version, p *pending) {
	if p.lingers {
		return
	}
	p.lingers = true
	s.recent = append(s.recent, lingering{v, p, s.config.Now().Add(lingerFor), int64(len(p.buf))})
	s.recentBytes += int64(len(p.buf))
	for s.recentBytes > s.config.Memory/4 {
		s.dropOldest()
	}
}

// dropOldest frees the block that has lingered longest, or lets it be freed
// when its readers are done. The caller must hold s.mu.
func (s *Store) dropOldest() {
	oldest := s.recent[0]
	s.recent[0] = lingering{}
	s.recent = s.recent[1:]
	s.recentBytes -= oldest.bytes
	oldest.p.old = true
	s.reap(oldest.v, oldest.p)
}

// dropStale frees the blocks that have lingered long enough.
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
