package dirstore

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// partial is what a listing in progress has read so far, from which requests get
// pages before the listing is complete. The listing changes it; read is safe for
// concurrent use.
//
// Stores list keys in the order of keys, which is not that of names: the name "a"
// may follow the key "a-b", as the key "a/c". A name is returned only once no key
// that the store has not listed yet can have it or a smaller one.
type partial struct {
	table *table

	mu sync.Mutex
	// writer is the generation of the listing, nil until it begins.
	writer *writer
	// end is greater than every name that may be returned, and not greater than any
	// other.
	end string
	// moved is closed when writer or end change.
	moved chan struct{}
	// waiting is the number of requests that wait for names.
	waiting int
}

func newPartial(t *table) *partial { return &partial{table: t, moved: make(chan struct{})} }

// begin makes a generation the one that is read.
func (p *partial) begin(w *writer) { p.change(func() { p.writer = w }) }

func (p *partial) extend(end string) { p.change(func() { p.end = end }) }

func (p *partial) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.moved)
	p.moved = make(chan struct{})
}

// wait records that a request waits, until the returned function is called.
func (p *partial) wait() (done func()) {
	p.add(1)
	return func() { p.add(-1) }
}

func (p *partial) add(n int) {
	p.mu.Lock()
	p.waiting += n
	p.mu.Unlock()
}

func (p *partial) isAwaited() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting > 0
}

// read returns at most limit entries after a name and the identity of their
// generation. There may be more later, once moved is closed.
func (p *partial) read(after string, limit int) (page []named, generation uint64, moved <-chan struct{}) {
	p.mu.Lock()
	w, end, moved := p.writer, p.end, p.moved
	p.mu.Unlock()
	if w == nil || end <= after {
		return nil, 0, moved
	}
	return p.table.writtenPage(w, after, end, limit), identity(p.table.boot, w.generation), moved
}

// frontier finds out which names of a listing are final. It is used by the goroutine
// of the listing.
type frontier struct {
	store  *Store
	flight *flight
	prefix string
	// known are the names that were queried: a directory with such a name, if there
	// is one, is an entry already.
	known map[string]bool
	// query is the query in progress, nil if there is none.
	query chan nameQuery
	// failed is set after a query that failed; there are no others.
	failed bool
	last   string
	pages  int
}

type nameQuery struct {
	name      string
	directory bool
	err       error
}

// listed records that the store has listed the keys up to last, the last page with
// the given names. w has them.
func (f *frontier) listed(w *writer, last string, names []named) {
	f.finish(w)
	f.last, f.pages = strings.TrimPrefix(last, f.prefix), f.pages+1
	end, blocked := f.end()
	f.flight.partial.extend(end)
	// A query pays when none of the names of a page is final without it. Queries are
	// few in comparison with the pages.
	if blocked && !f.failed && 4*len(f.known) < f.pages && f.flight.partial.isAwaited() &&
		!slices.ContainsFunc(names, func(n named) bool { return n.name < end }) {
		f.start(end)
	}
}

// end returns the smallest name that may still change, and whether it is that of a
// directory which may come later.
func (f *frontier) end() (end string, blocked bool) {
	for i := 1; i < len(f.last); i++ {
		// The key of a directory with this name is greater than the last key.
		if name := f.last[:i]; f.last[i] < '/' && !f.known[name] && isVisible(f.flight.id.dir, name) {
			return name, true
		}
	}
	if name, isDir := strings.CutSuffix(f.last, "/"); isDir {
		return name + "\x00", false
	}
	// A directory with the name of the last object may come next.
	return f.last, false
}

// start queries in the background whether there is a directory with a name.
func (f *frontier) start(name string) {
	f.query = make(chan nameQuery, 1)
	go func() {
		ctx, cancel := context.WithTimeout(f.store.ctx, f.store.config.PageTimeout)
		defer cancel()
		below, err := f.store.anyBelow(ctx, f.flight.mount, f.prefix+name)
		f.query <- nameQuery{name, below, err}
	}()
}

// finish waits for the query in progress. Its directory becomes an entry.
func (f *frontier) finish(w *writer) {
	if f.query == nil {
		return
	}
	q := <-f.query
	f.query = nil
	if q.err != nil {
		f.failed = true
		return
	}
	if f.known == nil {
		f.known = map[string]bool{}
	}
	f.known[q.name] = true
	if q.directory {
		w.set(named{q.name, entry{kind: directory}})
	}
}

// stop waits for the query in progress at the end of the listing, which has the
// directory in question itself if it is complete, and keeps nothing if it has failed.
func (f *frontier) stop() {
	if f.query != nil {
		<-f.query
	}
}

// markForgotten marks the entries that Forget has named since the listing began, so
// that they are queried.
func (s *Store) markForgotten(f *flight, page []named) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(f.forgotten) == 0 {
		return
	}
	forgotten := map[string]bool{}
	for _, name := range f.forgotten {
		forgotten[name] = true
	}
	for i := range page {
		if forgotten[page[i].name] {
			page[i].entry = entry{kind: unknown}
		}
	}
}

// pageInProgress returns a page of a directory from the listing in progress, which
// it starts or waits for. Without one it returns nil and the state of the directory
// after the listing; the state is missing if the listing is too slow.
func (s *Store) pageInProgress(ctx context.Context, m Mount, id dirID, after string, limit int) (*Listing, state, error) {
	if state, ok := s.afterFailure(m, id); ok {
		return nil, state, nil
	}
	f, now := s.joinListing(m, id)
	if f == nil {
		return nil, now, nil
	}
	defer f.partial.wait()()
	wait := time.NewTimer(s.config.ListingWait)
	defer wait.Stop()
	for {
		page, generation, moved := f.partial.read(after, limit)
		if n := len(page); n > 0 {
			after = page[n-1].name
			s.markForgotten(f, page)
			page, err := s.resolveUnknown(ctx, m, id, page)
			if err != nil {
				return nil, missing, err
			}
			if len(page) > 0 {
				return &Listing{Entries: protos(id.dir, page), More: true, Generation: generation, Age: s.age(f.began)}, missing, nil
			}
			continue
		}
		select {
		case <-f.done:
			state, err := s.outcome(m, f)
			return nil, state, err
		case <-moved:
		case <-wait.C:
			return nil, missing, nil
		case <-ctx.Done():
			return nil, missing, waitError(ctx, id)
		}
	}
}
