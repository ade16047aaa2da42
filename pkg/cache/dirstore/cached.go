package dirstore

import "github.com/jindo-io/jindo/pkg/cache/wire"

// LookupCached is like Lookup, but reports false instead of sending a request to
// the store.
func (s *Store) LookupCached(m Mount, dir, name string) (LookupResult, bool) {
	if !isVisible(dir, name) {
		return LookupResult{}, true
	}
	s.track(m, dir)
	id := nameID{dirID{m.ID, dir}, name}
	h, e, ok := s.table.lookup(id.dirID, name)
	if s.usable(m, id.dirID, h, ok) && e.kind != unknown {
		return s.result(id, e, h.listed), true
	}
	if known, ok := s.recent.get(id); ok && s.valid(m, known) {
		return s.result(id, known.entry, known.at), true
	}
	return LookupResult{}, false
}

// ListCached is like List, but reports false instead of sending a request to the
// store.
func (s *Store) ListCached(m Mount, dir, after string, limit int) (Listing, bool) {
	if !wire.IsPath(dir) {
		return Listing{}, true
	}
	s.track(m, dir)
	id := dirID{m.ID, dir}
	h, page, more, ok := s.table.page(id, after, limitOf(limit))
	if !s.usable(m, id, h, ok) {
		return Listing{}, false
	}
	for _, n := range page {
		if n.entry.kind == unknown {
			return Listing{}, false
		}
	}
	return Listing{Entries: protos(dir, page), More: more, Generation: h.identity(), Age: s.age(h.listed)}, true
}

// usable reports whether the listing of a directory with a header may be used
// without a request: it is current, or the store was unreachable a moment ago.
func (s *Store) usable(m Mount, id dirID, h header, ok bool) bool {
	switch s.stateOf(m, h, ok) {
	case current, stale:
		return true
	case expired:
		_, failed := s.afterFailure(m, id)
		return failed
	}
	return false
}

// limitOf returns the limit of one page of a listing.
func limitOf(limit int) int {
	if limit <= 0 {
		limit = defaultLimit
	}
	return min(limit, maxLimit)
}
