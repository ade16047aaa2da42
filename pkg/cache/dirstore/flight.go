package dirstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// flight is a listing of one directory, shared by all requests that wait.
type flight struct {
	mount Mount
	id    dirID
	// forgotten names must be queried even if the listing has them. Store.mu
	// guards it.
	forgotten []string
	// began is when the flight was created, which is not after the listing began.
	began   time.Time
	partial *partial
	// done is closed once err is set.
	done chan struct{}
	err  error
}

// refresh lists a directory, or waits for a listing in progress, and returns the
// resulting state. It returns missing if the listing takes longer than
// Config.ListingWait; the listing then continues in the background.
func (s *Store) refresh(ctx context.Context, m Mount, id dirID) (state, error) {
	if state, ok := s.afterFailure(m, id); ok {
		return state, nil
	}
	f, now := s.joinListing(m, id)
	if f == nil {
		return now, nil
	}
	timeout := time.NewTimer(s.config.ListingWait)
	defer timeout.Stop()
	select {
	case <-f.done:
		return s.outcome(m, f)
	case <-timeout.C:
		return missing, nil
	case <-ctx.Done():
		return missing, waitError(ctx, id)
	}
}

func waitError(ctx context.Context, id dirID) error {
	return fmt.Errorf("wait for the listing of %q: %w", id.dir, context.Cause(ctx))
}

// outcome returns the state of a directory after a listing has ended.
func (s *Store) outcome(m Mount, f *flight) (state, error) {
	h, ok := s.table.header(f.id)
	now := s.stateOf(m, h, ok)
	if f.err == nil {
		if now == expired {
			now = missing
		}
		return now, nil
	}
	if now == expired && m.ReadOnly && unreachable(f.err) {
		return stale, nil
	}
	return missing, f.err
}

// afterFailure returns stale if the store was unreachable recently and there is
// an older listing.
func (s *Store) afterFailure(m Mount, id dirID) (state, bool) {
	s.mu.Lock()
	failed, ok := s.failures[id]
	s.mu.Unlock()
	if !ok || !m.ReadOnly || !unreachable(failed.err) || s.config.Clock().After(failed.until) {
		return missing, false
	}
	h, ok := s.table.header(id)
	return stale, s.stateOf(m, h, ok) == expired
}

// joinListing returns the listing of a directory in progress, or starts one. If
// one has just ended, or maxFlights are in progress, it returns the resulting state
// instead.
func (s *Store) joinListing(m Mount, id dirID) (*flight, state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[id]; f != nil && f.mount.Epoch >= m.Epoch {
		return f, missing
	}
	h, ok := s.table.header(id)
	if now := s.stateOf(m, h, ok); now == current || now == tooBig {
		return nil, now
	}
	if s.listing[m.ID] >= maxFlights {
		return nil, missing
	}
	f := &flight{mount: m, id: id, began: s.config.Clock(), partial: newPartial(s.table), done: make(chan struct{})}
	if !s.start(func() { s.run(f) }) {
		f.err = errClosed
		close(f.done)
		return f, missing
	}
	// A listing of an older epoch continues for its waiters and commits nothing.
	s.flights[id] = f
	s.listing[m.ID]++
	return f, missing
}

func (s *Store) run(f *flight) {
	defer close(f.done)
	err := s.listAll(f)
	if err != nil {
		err = fmt.Errorf("list directory %q of %s: %w", f.id.dir, f.mount.Store, err)
		s.config.Logger.Warn("listing failed", "mount", f.id.mount, "directory", f.id.dir, "error", err)
	}
	f.err = err
	s.mu.Lock()
	if s.listing[f.id.mount]--; s.listing[f.id.mount] == 0 {
		delete(s.listing, f.id.mount)
	}
	if s.flights[f.id] == f {
		delete(s.flights, f.id)
	}
	delete(s.failures, f.id)
	delete(s.lookups, f.id)
	if err != nil {
		if len(s.failures) >= maxCounters {
			clear(s.failures)
		}
		s.failures[f.id] = failure{err, s.config.Clock().Add(retryAfter)}
	}
	s.mu.Unlock()
	s.trim()
}

// turns returns the channel that holds a token for each listing of a mount in
// progress.
func (s *Store) turns(mount string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	turns := s.listings[mount]
	if turns == nil {
		turns = make(chan struct{}, s.config.MaxListings)
		s.listings[mount] = turns
	}
	return turns
}

// listAll writes a complete new generation of the directory, or none.
func (s *Store) listAll(f *flight) error {
	turns := s.turns(f.mount.ID)
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-s.ctx.Done():
		return errClosed
	}
	began := s.config.Clock()
	w := s.table.begin(f.id)
	f.partial.begin(w)
	front := frontier{store: s, flight: f, prefix: prefixOf(f.id.dir)}
	defer front.stop()
	limit := s.limits().entries
	l := lister{store: s, mount: f.mount, options: ufs.ListOptions{Prefix: prefixOf(f.id.dir), Delimiter: "/"}}
	for !l.done {
		page, err := l.next()
		if err != nil {
			w.abort()
			return err
		}
		names, hidden := children(f.id.dir, page)
		w.add(names)
		w.hidden += hidden
		if !l.done {
			front.listed(w, l.last, names)
		}
		if w.count+w.hidden > limit {
			s.commit(f, func([]string) bool {
				return w.commitTooBig(f.mount.Epoch, began, s.age(began))
			}, w)
			return nil
		}
	}
	s.logHidden(f.id, w.hidden)
	s.commit(f, func(forgotten []string) bool {
		return w.commit(header{epoch: f.mount.Epoch, listed: began, took: s.age(began)}, forgotten)
	}, w)
	return nil
}

// commit makes the generation current, unless a listing of a newer epoch has
// begun. Holding s.mu lets Forget find either the flight or the generation.
func (s *Store) commit(f *flight, swap func(forgotten []string) bool, w *writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[f.id] != f || !swap(slices.Clone(f.forgotten)) {
		w.abort()
		return
	}
	delete(s.flights, f.id)
}

// logHidden reports names that are not visible, when their number has changed.
func (s *Store) logHidden(id dirID, hidden int64) {
	if before, _ := s.table.header(id); before.hidden != hidden {
		s.config.Logger.Warn("names in a directory cannot be names of files and are hidden", "mount", id.mount, "directory", id.dir, "names", hidden)
	}
}

// explain turns the end of a deadline of this package into an error of package
// ufs.
func (s *Store) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case s.ctx.Err() != nil:
		return errClosed
	case ctx.Err() != nil:
		return fmt.Errorf("no response within %s: %w: %w", s.config.PageTimeout, ufs.ErrUnavailable, err)
	}
	return err
}

// countLookup starts a listing in the background after ListAfter lookups in a
// directory.
func (s *Store) countLookup(m Mount, id dirID) {
	s.mu.Lock()
	if len(s.lookups) >= maxCounters {
		clear(s.lookups)
	}
	s.lookups[id]++
	enough := s.lookups[id] >= s.config.ListAfter && s.flights[id] == nil && s.config.Clock().After(s.failures[id].until)
	s.mu.Unlock()
	if enough {
		s.joinListing(m, id)
	}
}
