package reader

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Parameters of pages.
const (
	// pageNames is the number of names of one page.
	pageNames = 512
	// maxPagedNames bounds the names of all pages, and maxPagedDirs the directories
	// that are observed.
	maxPagedNames = 32 << 10
	maxPagedDirs  = 1024
	// firstNeed and maxNeed are the numbers of lookups in a directory before the first
	// page of it is requested, and at most before another one. usefulPage is the number
	// of lookups that a page must have served for the next one to be requested at once.
	firstNeed, maxNeed, usefulPage = 3, 256, 8
	// firstPause and maxPause are the times for which no page is requested of a
	// directory that its owner has not cached, from the second attempt on.
	firstPause, maxPause = 250 * time.Millisecond, time.Minute
)

// pages hold parts of the listings of directories in which names are looked up one
// by one, so that a lookup does not need a request each. A page is requested from the
// owner of the directory, which must have the listing cached.
//
// Invariants: a page serves lookups for at most age, by which the kernel's timeouts
// are reduced, so that a name is never used for longer than one that was looked up. A
// page is not used when the mount has a newer epoch, or after the reader has listed
// the directory or dropped a name of it. An entry of a page is not used after a
// worker has returned the name on its own, which may be newer. The absence of a name
// in a page means nothing.
//
// It is safe for concurrent use.
type pages struct {
	// age is the age up to which a page is used; there are no pages if it is 0.
	age   time.Duration
	clock func() time.Time

	mu   sync.Mutex
	dirs map[pagedDir]*dirPages
	// order has all pages, the one that was used last first.
	order list.List
	// names is the number of their names.
	names int
}

// pagedDir is a directory of a mount.
type pagedDir struct{ mount, dir string }

// dirPages are the pages of a directory.
type dirPages struct {
	// pages, the newest last.
	pages []*page
	// large is set when the names of the directory do not fit into one page.
	large bool
	// lookups is the number of lookups since the last page that no page covers, need
	// their number before another one is requested, and hits that of those since then
	// that a page has served.
	lookups, need, hits int
	// loading is set while a page is requested, and stale when that page is to be
	// dropped.
	loading, stale bool
	// meanwhile are the names that workers have returned on their own since then.
	meanwhile []string
	// until is the time before which no page is requested, and pause is how long that
	// is after the next failure, 0 before the first one.
	until time.Time
	pause time.Duration
}

// page has the names of a directory between after and its last one, and all that
// follow after if it is the last page.
type page struct {
	dir     pagedDir
	after   string
	entries []Entry
	last    string
	more    bool
	// read is the time before its request.
	read time.Time
	// epoch of the mount, as the worker knew it.
	epoch uint64
	place *list.Element
}

func newPages(age time.Duration, clock func() time.Time) *pages {
	return &pages{age: age, clock: clock, dirs: map[pagedDir]*dirPages{}}
}

// covers reports whether the page shows whether a name existed.
func (p *page) covers(name string) bool {
	return name > p.after && (!p.more || name <= p.last)
}

// index returns the index of a name in the page.
func (p *page) index(name string) (int, bool) {
	return slices.BinarySearchFunc(p.entries, name, func(e Entry, name string) int { return cmp.Compare(e.Name, name) })
}

// lookup returns the entry of a name, if a page has it. epoch is that of the mount.
func (s *pages) lookup(d pagedDir, name string, epoch uint64) (Entry, bool) {
	if s.age <= 0 {
		return Entry{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.dirs[d]
	if q == nil {
		return Entry{}, false
	}
	p := s.find(q, name, epoch)
	if p == nil {
		return Entry{}, false
	}
	i, found := p.index(name)
	if !found {
		return Entry{}, false
	}
	s.order.MoveToFront(p.place)
	q.hits++
	return p.entries[i], true
}

// find returns the newest usable page that covers a name, nil if there is none. It
// drops pages that are too old. The caller must hold s.mu.
func (s *pages) find(q *dirPages, name string, epoch uint64) *page {
	now := s.clock()
	for i := len(q.pages) - 1; i >= 0; i-- {
		p := q.pages[i]
		switch {
		case now.Sub(p.read) > s.age || p.epoch < epoch:
			s.drop(q, p)
		case p.covers(name):
			return p
		}
	}
	return nil
}

// drop removes a page. The caller must hold s.mu.
func (s *pages) drop(q *dirPages, p *page) {
	i := slices.Index(q.pages, p)
	q.pages = slices.Delete(q.pages, i, i+1)
	s.order.Remove(p.place)
	s.names -= len(p.entries)
}

// due records a lookup that no page has served. It reports whether the caller is to
// request a page, which it must then pass to add, and after which name.
func (s *pages) due(d pagedDir, name string, epoch uint64) (after string, due bool) {
	if s.age <= 0 {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.directory(d)
	if s.find(q, name, epoch) != nil {
		return "", false // The name is new, or does not exist.
	}
	q.lookups++
	need := q.need
	if q.hits >= usefulPage {
		need = 1
	}
	if q.loading || q.lookups < need || s.clock().Before(q.until) {
		return "", false
	}
	q.loading, q.stale, q.meanwhile = true, false, nil
	if q.large {
		// A prefix is before the name, with few others in between.
		after = name[:len(name)-1]
	}
	return after, true
}

// directory returns the pages of a directory. The caller must hold s.mu.
func (s *pages) directory(d pagedDir) *dirPages {
	q := s.dirs[d]
	if q != nil {
		return q
	}
	if len(s.dirs) >= maxPagedDirs {
		for other, state := range s.dirs { // Any: the order of maps is random.
			if len(state.pages) == 0 && !state.loading {
				delete(s.dirs, other)
				break
			}
		}
	}
	q = &dirPages{need: firstNeed}
	s.dirs[d] = q
	return q
}

// add adds a page that was requested because of due, or nil if the request failed.
func (s *pages) add(d pagedDir, p *page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.dirs[d]
	q.loading = false
	if p == nil {
		// There is no pause after the first failure: where the owner has a listing
		// that is too old, the next lookup makes it list the directory again.
		q.lookups = 0
		if q.pause > 0 {
			q.until = s.clock().Add(q.pause)
		}
		q.pause = min(max(2*q.pause, firstPause), maxPause)
		return
	}
	switch {
	case q.hits >= usefulPage:
		q.need = 1
	case len(q.pages) > 0 || q.large:
		q.need = min(2*q.need, maxNeed)
	}
	q.pause, q.lookups, q.hits = 0, 0, 0
	q.large = q.large || p.more
	if q.stale || len(p.entries) == 0 {
		return
	}
	p.dir = d
	for _, name := range q.meanwhile {
		p.remove(name)
	}
	p.place = s.order.PushFront(p)
	q.pages = append(q.pages, p)
	s.names += len(p.entries)
	for s.names > maxPagedNames {
		oldest := s.order.Back().Value.(*page)
		s.drop(s.dirs[oldest.dir], oldest)
	}
}

// remove removes a name.
func (p *page) remove(name string) {
	if i, found := p.index(name); found {
		p.entries = slices.Delete(p.entries, i, i+1)
	}
}

// replaced records that a worker has returned a name on its own.
func (s *pages) replaced(d pagedDir, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.dirs[d]
	if q == nil {
		return
	}
	if q.loading {
		q.meanwhile = append(q.meanwhile, name)
	}
	for _, p := range q.pages {
		before := len(p.entries)
		p.remove(name)
		s.names += len(p.entries) - before
	}
}

// forget drops the pages of a directory, because its names may have changed.
func (s *pages) forget(d pagedDir) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.dirs[d]
	if q == nil {
		return
	}
	q.stale = true
	for len(q.pages) > 0 {
		s.drop(q, q.pages[0])
	}
}

// LookupNow returns the entry of a name that was read from a worker before, and
// reports whether it has it. It does not wait.
func (r *Reader) LookupNow(mountID, dir, name string) (Entry, bool) {
	entry, ok := r.pages.lookup(pagedDir{mountID, dir}, name, r.epochOf(mountID))
	if ok {
		r.metrics.pagedNames.Inc()
	}
	return entry, ok
}

// lookupPaged returns the entry of a name from a page, which it requests if that is
// due, and reports whether it has it.
func (r *Reader) lookupPaged(ctx context.Context, mountID, dir, name string) (Entry, bool) {
	if e, ok := r.LookupNow(mountID, dir, name); ok {
		return e, true
	}
	cluster, ok := r.config.Cluster.(cachedNames)
	if !ok {
		return Entry{}, false
	}
	d := pagedDir{mountID, dir}
	after, due := r.pages.due(d, name, r.epochOf(mountID))
	if !due {
		return Entry{}, false
	}
	p, err := r.readPage(ctx, cluster, d, after)
	r.pages.add(d, p)
	if err != nil {
		r.config.Logger.Debug("cannot read names ahead", "mount", mountID, "directory", dir, "error", err)
		return Entry{}, false
	}
	return r.LookupNow(mountID, dir, name)
}

// readPage requests a page of names from the owner of their directory.
func (r *Reader) readPage(ctx context.Context, cluster cachedNames, d pagedDir, after string) (*page, error) {
	read := r.config.Clock()
	response, err := cluster.ListCached(ctx, d.mount, d.dir, after, pageNames)
	if err != nil {
		return nil, err
	}
	p := &page{after: after, more: response.GetMore(), read: read, epoch: response.GetEpochs().GetMount(), entries: entriesOf(d.mount, response.GetEntries())}
	for i := range p.entries {
		p.entries[i].Read = read
		p.last = p.entries[i].Name
	}
	if !slices.IsSortedFunc(p.entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) }) {
		return nil, errors.New("the names are not sorted")
	}
	return p, nil
}

// epochOf returns the epoch of a mount, 0 while it is not known.
func (r *Reader) epochOf(mountID string) uint64 {
	for _, m := range r.config.Cluster.View().GetMounts() {
		if m.GetId() == mountID {
			return m.GetEpoch()
		}
	}
	return 0
}
