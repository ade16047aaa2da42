package dirstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// Page sizes of List.
const (
	defaultLimit = 1000
	maxLimit     = 10000
)

// Store keeps the listings of the directories of mounts. Safe for concurrent
// use.
type Store struct {
	config Config
	table  *table
	recent recent

	// ctx of everything that goes on behind requests; ends with Close.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	// listings limits how many run at once.
	listings chan struct{}
	trimming sync.Mutex

	mu      sync.Mutex
	closed  bool
	flights map[dirID]*flight
	probes  map[nameID]*probe
	pages   map[pageID]*pageFlight
	// lookups in directories that are not listed, since they were last
	// listed; bounded by maxCounters.
	lookups map[dirID]int
	// failures of listings, so that old ones are answered at once.
	failures map[dirID]failure
	counts   map[string]*count
}

// Bounds of the small tables.
const maxCounters = 10000

// failure of a listing, and until when it is not tried again for those who can
// do with an old one.
type failure struct {
	err   error
	until time.Time
}

const retryAfter = 2 * time.Second

// errClosed is answered after Close.
var errClosed = fmt.Errorf("the directory store is closed: %w", ufs.ErrUnavailable)

// Open opens the store in Config.Dir. A database that is damaged or of another
// version is emptied; one that cannot be written is done without. The error is
// of the configuration only.
func Open(config Config) (*Store, error) {
	config = config.withDefaults()
	if config.MaxEntries < 1 || config.MaxTotal < 1 || config.MaxListings < 1 {
		return nil, fmt.Errorf("opening the directory store: its limits must be positive")
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Store{
		config:   config,
		table:    openTable(config.Dir, config.fs, config.Logger),
		ctx:      ctx,
		cancel:   cancel,
		listings: make(chan struct{}, config.MaxListings),
		flights:  map[dirID]*flight{},
		probes:   map[nameID]*probe{},
		pages:    map[pageID]*pageFlight{},
		lookups:  map[dirID]int{},
		failures: map[dirID]failure{},
		counts:   map[string]*count{},
	}, nil
}

// Close ends what is under way and closes the database.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.work.Wait()
	s.table.close()
	return nil
}

// start runs f behind the requests; it is not run after Close. s.mu is held.
func (s *Store) start(f func()) bool {
	if s.closed {
		return false
	}
	s.work.Go(f)
	return true
}

// Lookup finds one name of a directory. The error is one of package ufs or of
// the context; that the name is not there is none.
func (s *Store) Lookup(ctx context.Context, m Mount, dir, name string) (Answer, error) {
	if !isName(name) || !isDirectory(dir) {
		return Answer{}, nil
	}
	s.know(m, dir)
	id := nameID{dirID{m.ID, dir}, name}
	h, e, ok := s.table.lookup(id.dirID, name)
	state := s.judge(m, h, ok)
	if state == expired {
		var err error
		state, err = s.refresh(ctx, m, id.dirID)
		if err != nil && !unreachable(err) {
			return Answer{}, err
		}
		if h, e, ok = s.table.lookup(id.dirID, name); !ok {
			state = missing
		}
	}
	switch {
	case (state == current || state == stale) && e.kind != unknown:
		return s.answer(id, e, h.listed), nil
	case state == missing:
		s.countLookup(m, id.dirID)
	}
	found, err := s.ask(ctx, m, id)
	if err != nil {
		return Answer{}, err
	}
	return s.answer(id, found.entry, found.at), nil
}

func (s *Store) answer(id nameID, e entry, at time.Time) Answer {
	a := Answer{Age: s.age(at)}
	if e.kind == file || e.kind == directory {
		a.Found, a.Entry = true, e.proto(id.dir, id.name)
	}
	return a
}

func (s *Store) age(at time.Time) time.Duration { return max(0, s.config.Clock().Sub(at)) }

// List answers a page of a directory: at most limit names that follow after,
// from the first if after is empty. limit 0 is 1000. A directory that is not
// there is empty. The error is one of package ufs or of the context.
func (s *Store) List(ctx context.Context, m Mount, dir, after string, limit int) (Listing, error) {
	if !isDirectory(dir) {
		return Listing{}, nil
	}
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	s.know(m, dir)
	id := dirID{m.ID, dir}
	h, page, more, ok := s.table.page(id, after, limit)
	state := s.judge(m, h, ok)
	if state == expired || state == missing {
		var err error
		if state, err = s.refresh(ctx, m, id); err != nil {
			return Listing{}, err
		}
		if h, page, more, ok = s.table.page(id, after, limit); !ok {
			state = missing
		}
	}
	if state != current && state != stale {
		return s.pageOfStore(ctx, m, id, after, limit)
	}
	page, err := s.settle(ctx, m, id, page)
	if err != nil {
		return Listing{}, err
	}
	return Listing{Entries: protos(dir, page), More: more, Age: s.age(h.listed)}, nil
}

func protos(dir string, page []named) []*workerv1.Entry {
	out := make([]*workerv1.Entry, len(page))
	for i, n := range page {
		out[i] = n.entry.proto(dir, n.name)
	}
	return out
}

// Forget drops what is known of one name, so that the next to ask for it makes
// the store be asked.
func (s *Store) Forget(mountID, dir, name string) {
	if !isName(name) || !isDirectory(dir) {
		return
	}
	id := nameID{dirID{mountID, dir}, name}
	s.mu.Lock()
	if f := s.flights[id.dirID]; f != nil {
		// It may have read the name already.
		f.forgotten = append(f.forgotten, name)
	}
	// What a probe under way answers may be what is to be forgotten.
	delete(s.probes, id)
	s.mu.Unlock()
	s.recent.forget(id)
	if h, e, ok := s.table.lookup(id.dirID, name); ok && e.kind != 0 && !h.tooBig {
		s.table.update(id.dirID, h.generation, name, entry{kind: unknown})
	}
}

// state of what is known of a directory.
type state int

const (
	// missing: nothing is known, or of an older epoch.
	missing state = iota
	// expired: a complete listing that must be made anew.
	expired
	// stale: an expired listing that is believed because the store cannot be
	// reached.
	stale
	// current: a complete listing that is believed.
	current
	// tooBig: the directory is not kept.
	tooBig
)

// judge a header.
func (s *Store) judge(m Mount, h header, ok bool) state {
	if !ok || h.epoch < m.Epoch {
		return missing
	}
	age := s.config.Clock().Sub(h.listed)
	life := max(s.config.TTL, 10*h.took)
	fresh := age >= 0 && age <= life
	ours := h.boot == s.table.boot
	switch {
	case h.tooBig && age >= 0 && age <= 10*life:
		return tooBig
	case h.tooBig:
		return missing
	case m.Policy == commonv1.MetaPolicy_META_POLICY_ONCE && (ours || m.ReadOnly):
		return current
	case ours && fresh:
		return current
	}
	return expired
}

// unreachable tells of errors that say nothing about names.
func unreachable(err error) bool {
	return errors.Is(err, ufs.ErrUnavailable) || errors.Is(err, ufs.ErrThrottled) ||
		errors.Is(err, ufs.ErrNoBucket) || errors.Is(err, context.DeadlineExceeded)
}
