package blockstore

// Counts are totals since the store was opened, except Lent.
type Counts struct {
	Reads
	// DiskBytes and MemoryBytes were read from there. Memory holds blocks that
	// were just fetched, by this read or another.
	DiskBytes, MemoryBytes int64
	// Fetches is the number of downloads, FetchedBytes the bytes they
	// returned, and Failed the number of those that ended early.
	Fetches, FetchedBytes, Failed int64
	// Evicted and EvictedBytes are versions removed to make room; Expired are
	// versions whose lifetime ended; Discarded are versions that were wrong or
	// unreadable.
	Evicted, EvictedBytes, Expired, Discarded int64
	// Skipped blocks were not cached because the disk was too slow.
	Skipped int64
	// Declined blocks were not cached because versions that were not read again use
	// their share of the tier.
	Declined int64
	// Dropped blocks were fetched, and given up before a reader needed them,
	// because memory was scarce.
	Dropped int64
	// ScrubbedBytes were read by the scrubber in ScrubPasses complete passes over a
	// tier, and ScrubDamaged versions were wrong or unreadable.
	ScrubbedBytes, ScrubPasses, ScrubDamaged int64
	// Lent is the number of loans that are not closed yet.
	Lent int64
	// Recalled versions were lent and idle when they were to be removed.
	Recalled int64
}

// TierStats describes one tier now.
type TierStats struct {
	Medium string
	Path   string
	// Capacity and Used are bytes.
	Capacity, Used int64
	Files, Sealed  int64
	// Copies is the part of Used that node copies take.
	Copies int64
	// Err is why the tier stores nothing new; nil if it is healthy.
	Err error
	TierCounts
}

// TierCounts are totals of one tier since the store was opened.
type TierCounts struct {
	// Hits are reads whose first byte came from the tier, and HitBytes the bytes read
	// from it. The bytes that borrowers read are included as they report them.
	Hits, HitBytes int64
	// Promoted and Demoted versions were moved here from a slower and from a faster
	// tier, with MovedBytes together.
	Promoted, Demoted, MovedBytes int64
}

// Stats describes the store now.
type Stats struct {
	Counts
	// Recent are the reads of the last RecentWindow.
	Recent Reads
	Tiers  []TierStats
	// Dirty is the number of bytes that are not written to disk yet.
	Dirty int64
}

// Stats returns the counters and the state of the tiers. It does not wait for
// a disk.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{Counts: s.counts, Recent: s.recentReads.sum(s.config.Now())}
	for _, t := range s.tiers {
		stats.Dirty += t.dirtyBytes
		stats.Tiers = append(stats.Tiers, TierStats{
			Medium: t.Medium, Path: t.Path, Capacity: t.Quota, Used: t.used,
			Files: t.filesHere, Sealed: t.sealedHere, Err: t.problem(),
			Copies: t.evict.bytes[copied], TierCounts: t.counts,
		})
	}
	return stats
}

// problem returns why the tier stores nothing new, or nil.
func (t *tier) problem() error {
	if t.state.reason != nil {
		return t.state.reason
	}
	if !t.hasFree(0) {
		return errFloor
	}
	return nil
}

// countRead counts one read that was opened or failed.
func (s *Store) countRead(r *Reader, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var read Reads
	switch {
	case r.fetched > 0:
		read = Reads{Misses: 1, MissBytes: r.request.Length}
	case err == nil:
		read = Reads{Hits: 1, HitBytes: r.request.Length}
		if r.fileOf != nil {
			r.fileOf.tier.counts.Hits++
		}
	default:
		return
	}
	s.counts.add(read)
	s.recentReads.add(s.config.Now(), read)
}
