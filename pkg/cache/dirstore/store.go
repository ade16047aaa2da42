package dirstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// Limits of a page of List.
const (
	defaultLimit = 1000
	maxLimit     = 10000
)

// Store caches the listings of directories of mounts. It is safe for concurrent
// use.
type Store struct {
	config Config
	table  *table
	recent recent

	// ctx is the context of all background work; Close cancels it.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	// listings bounds the concurrent listings of each mount, so that one whose
	// store hangs delays no other.
	listings map[string]chan struct{}
	trimming sync.Mutex

	mu      sync.Mutex
	closed  bool
	flights map[dirID]*flight
	// listing counts the flights of each mount that have not ended, at most
	// maxFlights.
	listing map[string]int
	probes  map[nameID]*probe
	pages   map[pageID]*pageFlight
	// lookups counts lookups in directories without a listing, since the last
	// listing; bounded by maxCounters.
	lookups map[dirID]int
	// failures of recent listings, so that requests use an old one immediately.
	failures map[dirID]failure
	counts   map[string]*count
}

// maxCounters bounds lookups and failures.
const maxCounters = 10000

// maxFlights bounds the listings of one mount that are in progress or wait for
// their turn. Requests for further directories query the store themselves, and end
// with their contexts, so that a store that hangs does not collect listings.
const maxFlights = 1024

// failure is the error of a listing, which is not retried until then if there is
// an old listing.
type failure struct {
	err   error
	until time.Time
}

const retryAfter = 2 * time.Second

// errClosed is returned after Close.
var errClosed = fmt.Errorf("the directory store is closed: %w", ufs.ErrUnavailable)

// Open opens the store in Config.Dir. A database that is damaged or has another
// format is emptied; one that cannot be written is replaced by one in memory.
// An error means that the configuration is invalid.
func Open(config Config) (*Store, error) {
	config = config.withDefaults()
	if config.MaxEntries < 1 || config.MaxTotal < 1 || config.MaxListings < 1 {
		return nil, fmt.Errorf("open directory store: the limits must be positive")
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Store{
		config:   config,
		table:    openTable(config.Dir, config.fs, config.Logger),
		ctx:      ctx,
		cancel:   cancel,
		listings: map[string]chan struct{}{},
		flights:  map[dirID]*flight{},
		listing:  map[string]int{},
		probes:   map[nameID]*probe{},
		pages:    map[pageID]*pageFlight{},
		lookups:  map[dirID]int{},
		failures: map[dirID]failure{},
		counts:   map[string]*count{},
	}, nil
}

// Close cancels the requests in progress and closes the database.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.work.Wait()
	s.table.close()
	return nil
}

// start runs f in the background, and returns false after Close. The caller must
// hold s.mu.
func (s *Store) start(f func()) bool {
	if s.closed {
		return false
	}
	s.work.Go(f)
	return true
}

// Lookup returns one name of a directory. An absent name is not an error. Errors
// are of package ufs or of the context.
func (s *Store) Lookup(ctx context.Context, m Mount, dir, name string) (LookupResult, error) {
	if !isVisible(dir, name) {
		return LookupResult{}, nil
	}
	s.track(m, dir)
	id := nameID{dirID{m.ID, dir}, name}
	h, e, ok := s.table.lookup(id.dirID, name)
	state := s.stateOf(m, h, ok)
	if state == expired {
		var err error
		state, err = s.refresh(ctx, m, id.dirID)
		if err != nil && !unreachable(err) {
			return LookupResult{}, err
		}
		if h, e, ok = s.table.lookup(id.dirID, name); !ok {
			state = missing
		}
	}
	switch {
	case (state == current || state == stale) && e.kind != unknown:
		return s.result(id, e, h.listed), nil
	case state == missing:
		s.countLookup(m, id.dirID)
	}
	found, err := s.query(ctx, m, id)
	if err != nil {
		return LookupResult{}, err
	}
	return s.result(id, found.entry, found.at), nil
}

func (s *Store) result(id nameID, e entry, at time.Time) LookupResult {
	a := LookupResult{Age: s.age(at)}
	if e.kind == file || e.kind == directory {
		a.Found, a.Entry = true, e.proto(id.dir, id.name)
	}
	return a
}

func (s *Store) age(at time.Time) time.Duration { return max(0, s.config.Clock().Sub(at)) }

// List returns a page of a directory: at most limit names after the given one,
// from the first if after is "". limit 0 means 1000. An absent directory is
// empty. Errors are of package ufs or of the context.
func (s *Store) List(ctx context.Context, m Mount, dir, after string, limit int) (Listing, error) {
	if !wire.IsPath(dir) {
		return Listing{}, nil
	}
	limit = limitOf(limit)
	s.track(m, dir)
	id := dirID{m.ID, dir}
	h, page, more, ok := s.table.page(id, after, limit)
	state := s.stateOf(m, h, ok)
	if state == expired || state == missing {
		var started *Listing
		var err error
		if started, state, err = s.pageInProgress(ctx, m, id, after, limit); err != nil {
			return Listing{}, err
		}
		if started != nil {
			return *started, nil
		}
		if h, page, more, ok = s.table.page(id, after, limit); !ok {
			state = missing
		}
	}
	if state != current && state != stale {
		return s.pageOfStore(ctx, m, id, after, limit)
	}
	for len(page) > 0 {
		last := page[len(page)-1].name
		var err error
		if page, err = s.resolveUnknown(ctx, m, id, page); err != nil {
			return Listing{}, err
		}
		if len(page) > 0 || !more {
			break
		}
		// All names of the page were deleted: without names it would have no position
		// for the next one.
		after = last
		h, page, more, ok = s.table.page(id, after, limit)
		if state = s.stateOf(m, h, ok); state != current && state != stale {
			return s.pageOfStore(ctx, m, id, after, limit)
		}
	}
	return Listing{Entries: protos(dir, page), More: more, Generation: h.identity(), Age: s.age(h.listed)}, nil
}

func protos(dir string, page []named) []*workerv1.Entry {
	out := make([]*workerv1.Entry, len(page))
	for i, n := range page {
		out[i] = n.entry.proto(dir, n.name)
	}
	return out
}

// Forget drops what is cached of one name, so that the next request for it
// queries the store.
func (s *Store) Forget(mountID, dir, name string) {
	if !isVisible(dir, name) {
		return
	}
	id := nameID{dirID{mountID, dir}, name}
	s.mu.Lock()
	if f := s.flights[id.dirID]; f != nil {
		// The listing may have read the name already.
		f.forgotten = append(f.forgotten, name)
	}
	// The result of a query in progress may be the outdated one.
	delete(s.probes, id)
	s.mu.Unlock()
	s.recent.forget(id)
	if h, e, ok := s.table.lookup(id.dirID, name); ok && e.kind != 0 && !h.tooBig {
		s.table.update(id.dirID, h.generation, name, entry{kind: unknown})
	}
}

// state is the validity of what is cached of a directory.
type state int

const (
	// missing: there is no listing, or one of an older epoch.
	missing state = iota
	// expired: there is a complete listing that must be refreshed.
	expired
	// stale: there is an expired listing, used because the store is
	// unreachable.
	stale
	// current: there is a valid complete listing.
	current
	// tooBig: the directory is not cached.
	tooBig
)

// stateOf returns the state of a directory with a header.
func (s *Store) stateOf(m Mount, h header, ok bool) state {
	if !ok || h.epoch < m.Epoch {
		return missing
	}
	age := s.config.Clock().Sub(h.listed)
	life := max(s.config.TTL, 10*h.took)
	fresh := age >= 0 && age <= life
	thisRun := h.boot == s.table.boot
	switch {
	case h.tooBig && age >= 0 && age <= 10*life:
		return tooBig
	case h.tooBig:
		return missing
	case m.Policy == commonv1.MetaPolicy_META_POLICY_ONCE && (thisRun || m.ReadOnly):
		return current
	case thisRun && fresh:
		return current
	}
	return expired
}

// unreachable reports whether the error says nothing about names.
func unreachable(err error) bool {
	return errors.Is(err, ufs.ErrUnavailable) || errors.Is(err, ufs.ErrThrottled) ||
		errors.Is(err, ufs.ErrNoBucket) || errors.Is(err, context.DeadlineExceeded)
}
