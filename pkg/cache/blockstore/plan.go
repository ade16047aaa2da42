package blockstore

import "fmt"

// plan decides where the next block comes from. It returns a pending block that
// this reader has claimed and wants, or nil for the disk. It starts to fetch missing
// blocks, up to one run ahead.
func (r *Reader) plan() (*pending, error) {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	first := r.block()
	if c, ok := r.claims[first]; ok {
		if c.p.state != dropped && (c.p.state != stored || c.p.buf != nil) {
			c.p.wanted++
			r.ahead(first)
			return c.p, nil
		}
		// It was written to disk and freed since, or dropped.
		delete(r.claims, first)
		s.unclaim(c.v, c.p)
	}
	r.v = s.lookup(r.request.Key, r.hash)
	r.touch()
	if r.v.temporary && !r.request.Temporary {
		s.makePermanent(r.v)
	}
	s.noteCopy(r.v, &r.request)
	r.ahead(first)
	if c, ok := r.claims[first]; ok {
		c.p.wanted++
		return c.p, nil
	}
	if r.v.readable(first) {
		r.from(FromCache)
		return nil, nil
	}
	s.settle(r.v)
	return nil, fmt.Errorf("block %d: %w", first, ErrNotCached)
}

// touch counts the read for the eviction. The caller must hold s.mu.
func (r *Reader) touch() {
	if r.v.tier != nil {
		r.store.touch(r.v, r.block())
	} else {
		r.v.touch(r.block(), r.store.config.Now())
	}
}

func (r *Reader) from(source Source) {
	if r.source == "" {
		r.source = source
	}
}

// ahead claims pending blocks and fetches missing ones, from block first up to
// one run. The caller must hold s.mu.
func (r *Reader) ahead(first int64) {
	s, v := r.store, r.v
	size := s.config.BlockSize
	run := s.config.MaxRun / size
	last := (r.end - 1) / size
	for b := first; b <= last && b < first+run; b++ {
		if r.claimed(b) || v.readable(b) {
			continue
		}
		if p := v.pending[b]; p != nil && p.state != stored {
			if b == first {
				r.from(FromCache)
			}
			p.claim()
			r.claims[b] = claim{v, p}
			continue
		}
		if r.request.Fetch == nil || v.removed {
			return
		}
		end, limit := b+1, b+run
		if s.memory.scarce(s.config.MaxRun) {
			if b > first {
				return
			}
			limit = end
		}
		for end <= last && end < limit && !v.readable(end) && v.pending[end] == nil && !r.claimed(end) {
			end++
		}
		// A short run is requested later, together with the blocks after it.
		if b > first && end == b+run-1 {
			return
		}
		if b == first {
			r.from(FromStore)
		}
		for _, p := range s.launch(v, b, end, &r.request).pendings {
			p.claim()
			r.claims[p.block] = claim{v, p}
		}
		r.fetched += end - b
		b = end - 1
	}
}

func (r *Reader) claimed(block int64) bool {
	_, ok := r.claims[block]
	return ok
}
