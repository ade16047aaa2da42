package blockstore

import (
	"fmt"
)

// DefaultCopyShare is the share of a tier for node copies.
const DefaultCopyShare = 0.5

// A node copy is a version that other workers own. It is assembled from them, whole,
// for the readers on this node, which borrow it once it is sealed. Node copies are
// a class of their own for the eviction: they are evicted before the versions that
// this worker owns, take only their share of a tier, below its low watermark, and
// evict nothing but one another and what is doomed. They survive a restart.
//
// A version of which this worker owns a part, as an object of several stripes, is
// an ordinary one from the first read as its owner on.

// noteCopy makes a version a node copy if a request asks for one and nothing of it
// is cached, and an ordinary one if this worker reads it as its owner. The caller
// must hold s.mu.
func (s *Store) noteCopy(v *version, request *Request) {
	switch {
	case request.Copy && !v.copied && v.class == unqueued && v.npresent == 0:
		v.copied = true
	case v.copied && !request.Copy && !request.Temporary && request.Fetch != nil:
		v.copied = false
		if v.tier != nil && v.class == copied {
			v.tier.evict.move(v, probation)
			v.tier.evict.promote(v)
		}
	}
}

// Missing returns the first range of blocks that begin at or after offset that is neither cached nor being
// fetched, at most of MaxRun bytes. first equals end if there is none.
func (s *Store) Missing(key Key, offset int64) (first, end int64) {
	size, run := s.config.BlockSize, s.config.MaxRun/s.config.BlockSize
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.versions[key.hash()]
	missing := func(block int64) bool { return v == nil || !v.readable(block) && v.pending[block] == nil }
	blocks := blocksOf(key.Size, size)
	block := (offset + size - 1) / size
	for block < blocks && !missing(block) {
		block++
	}
	last := block
	for last < blocks && last < block+run && missing(last) {
		last++
	}
	return min(block*size, key.Size), min(last*size, key.Size)
}

// Complete reports whether all blocks of a version are on disk.
func (s *Store) Complete(key Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.versions[key.hash()]
	return v != nil && v.key == key && v.tier != nil && !v.tier.state.unreadable && v.complete()
}

// CopyFits reports whether a node copy of a version may be cached: whether it is
// within the share of the tier that would store it.
func (s *Store) CopyFits(key Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := newVersion(key, key.hash(), s.config.BlockSize)
	v.copied = true
	t := s.place(v)
	switch {
	case t == nil:
		return fmt.Errorf("no tier stores anything now")
	case !v.cacheable() || v.full > t.evict.copyLimit || v.full > t.low():
		return fmt.Errorf("%d bytes are more than the share of node copies in a tier of %d bytes", key.Size, t.Quota)
	}
	return nil
}

// Fits reports whether a whole version that this worker owns may be cached without
// evicting more than the share of objects that are read once.
func (s *Store) Fits(key Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.versions[key.hash()]
	if v == nil || v.tier == nil {
		v = newVersion(key, key.hash(), s.config.BlockSize)
		v.tier = s.place(v)
	}
	switch t := v.tier; {
	case t == nil:
		return fmt.Errorf("no tier stores anything now")
	case !v.cacheable() || v.full > t.evict.share && t.used-t.evicting+v.full-v.charged > t.low():
		return fmt.Errorf("%d bytes are more than a tier of %d bytes has for objects that are read once", key.Size, t.Quota)
	}
	return nil
}
