package blockstore

// Counts since the store was opened, but Lent, which is how many loans are out
// now.
type Counts struct {
	// Hits and Misses count reads: a miss had to fetch something itself.
	Hits, Misses int64
	// DiskBytes and MemoryBytes were handed out from there; memory holds
	// blocks that were just fetched, by whomever.
	DiskBytes, MemoryBytes int64
	// Fetches are downloads, FetchedBytes what they brought, Failed those that
	// ended early.
	Fetches, FetchedBytes, Failed int64
	// HitBytes and MissBytes were asked for by hits and misses.
	HitBytes, MissBytes int64
	// Evicted versions and their bytes, for room; Expired by themselves;
	// Discarded because they were wrong or unreadable.
	Evicted, EvictedBytes, Expired, Discarded int64
	// Skipped blocks were not cached because the disk lagged.
	Skipped int64
	Lent    int64
}

// TierStats is one tier as of now.
type TierStats struct {
	Medium         string
	Path           string
	Capacity, Used int64
	Files, Sealed  int64
	// Err is why the tier takes nothing new; nil when healthy.
	Err error
}

// Stats is the store as of now.
type Stats struct {
	Counts
	Tiers []TierStats
	// Dirty bytes wait for the disk.
	Dirty int64
}

// Stats answers at once.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{Counts: s.counts, Dirty: s.dirtyBytes}
	for _, t := range s.tiers {
		stats.Tiers = append(stats.Tiers, TierStats{
			Medium: t.Medium, Path: t.Path, Capacity: t.Quota, Used: t.used,
			Files: t.filesHere, Sealed: t.sealedHere, Err: t.trouble(),
		})
	}
	return stats
}

// trouble is why the tier takes nothing new.
func (t *tier) trouble() error {
	if t.state.reason != nil {
		return t.state.reason
	}
	if !t.roomy(0) {
		return errFloor
	}
	return nil
}

// note counts one read.
func (s *Store) note(r *Reader, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.fetched > 0:
		s.counts.Misses++
		s.counts.MissBytes += r.request.Length
	case err == nil:
		s.counts.Hits++
		s.counts.HitBytes += r.request.Length
	}
}
