package blockstore

import (
	"cmp"
	"slices"
	"time"
)

// Cached returns the keys of the versions of which bytes are on disk, except those held
// for another worker and node copies; the ones that were read last come first. It
// returns an error while a tier is not loaded.
func (s *Store) Cached() ([]Key, error) {
	type found struct {
		key      Key
		accessed time.Time
	}
	s.mu.Lock()
	var all []found
	for _, t := range s.tiers {
		if !t.loaded {
			s.mu.Unlock()
			return nil, errLoading
		}
	}
	for _, v := range s.versions {
		if v.npresent > 0 && !v.temporary && !v.copied && !v.removed {
			all = append(all, found{v.key, v.accessed})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(b.accessed.Compare(a.accessed), cmp.Compare(a.key.Key, b.key.Key))
	})
	keys := make([]Key, len(all))
	for i, f := range all {
		keys[i] = f.key
	}
	return keys, nil
}

// Present returns the first range at or after offset that is on disk, at most of MaxRun
// bytes from the block of its first byte on. first equals end if there is none.
func (s *Store) Present(key Key, offset int64) (first, end int64) {
	size, run := s.config.BlockSize, s.config.MaxRun/s.config.BlockSize
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.versions[key.hash()]
	if v == nil || v.key != key || offset >= key.Size {
		return 0, 0
	}
	blocks := blocksOf(key.Size, size)
	block := offset / size
	for block < blocks && !v.readable(block) {
		block++
	}
	last := block
	for last < blocks && last < block+run && v.readable(last) {
		last++
	}
	if first, end = max(offset, block*size), min(last*size, key.Size); first >= end {
		return 0, 0
	}
	return first, end
}
