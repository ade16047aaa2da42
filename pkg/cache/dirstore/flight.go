package dirstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// flight lists one directory for everybody who waits for it.
type flight struct {
	mount Mount
	id    dirID
	// forgotten names must be asked for even if the listing has them; guarded
	// by Store.mu.
	forgotten []string
	// done is closed once err is set.
	done chan struct{}
	err  error
}

// refresh lists a directory, or waits for a flight that does, and answers what
// is known then. A flight that goes on for longer than Config.Patience goes on
// without its waiters: missing is the answer.
func (s *Store) refresh(ctx context.Context, m Mount, id dirID) (state, error) {
	if state, ok := s.afterFailure(m, id); ok {
		return state, nil
	}
	f, now := s.fly(m, id)
	if f == nil {
		return now, nil
	}
	patience := time.NewTimer(s.config.Patience)
	defer patience.Stop()
	select {
	case <-f.done:
	case <-patience.C:
		return missing, nil
	case <-ctx.Done():
		return missing, fmt.Errorf("waiting for the listing of %q: %w", id.dir, context.Cause(ctx))
	}
	h, ok := s.table.header(id)
	now = s.judge(m, h, ok)
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

// afterFailure answers from an old listing while the store was not to be
// reached a moment ago.
func (s *Store) afterFailure(m Mount, id dirID) (state, bool) {
	s.mu.Lock()
	failed, ok := s.failures[id]
	s.mu.Unlock()
	if !ok || !m.ReadOnly || !unreachable(failed.err) || s.config.Clock().After(failed.until) {
		return missing, false
	}
	h, ok := s.table.header(id)
	return stale, s.judge(m, h, ok) == expired
}

// fly joins the flight that lists a directory, or starts one, unless one has
// landed a moment ago: then the state it left is the answer.
func (s *Store) fly(m Mount, id dirID) (*flight, state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[id]; f != nil && f.mount.Epoch >= m.Epoch {
		return f, missing
	}
	h, ok := s.table.header(id)
	if now := s.judge(m, h, ok); now == current || now == tooBig {
		return nil, now
	}
	f := &flight{mount: m, id: id, done: make(chan struct{})}
	if !s.start(func() { s.run(f) }) {
		f.err = errClosed
		close(f.done)
		return f, missing
	}
	// One of an older epoch flies on for its waiters and commits nothing.
	s.flights[id] = f
	return f, missing
}

func (s *Store) run(f *flight) {
	defer close(f.done)
	err := s.listAll(f)
	if err != nil {
		err = fmt.Errorf("listing directory %q of %s: %w", f.id.dir, f.mount.Store, err)
		s.config.Logger.Warn("listing failed", "mount", f.id.mount, "directory", f.id.dir, "reason", err)
	}
	f.err = err
	s.mu.Lock()
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

// listAll writes a new generation of the directory, complete or not at all.
func (s *Store) listAll(f *flight) error {
	select {
	case s.listings <- struct{}{}:
		defer func() { <-s.listings }()
	case <-s.ctx.Done():
		return errClosed
	}
	began := s.config.Clock()
	w := s.table.begin(f.id)
	limit := s.limits().entries
	options := ufs.ListOptions{Prefix: prefixOf(f.id.dir), Delimiter: "/"}
	for {
		page, err := s.page(f.mount, options)
		if err != nil {
			w.abort()
			return err
		}
		w.add(children(options.Prefix, page))
		if w.count > limit {
			s.commit(f, func([]string) bool {
				return w.commitTooBig(f.mount.Epoch, began, s.age(began))
			}, w)
			return nil
		}
		if page.Next == "" {
			break
		}
		options.Continuation = page.Next
	}
	s.commit(f, func(forgotten []string) bool {
		return w.commit(header{epoch: f.mount.Epoch, listed: began, took: s.age(began)}, forgotten)
	}, w)
	return nil
}

// commit swaps the generation in, unless a flight of a newer epoch has begun.
// Forget waits meanwhile, so that it finds either flight or generation.
func (s *Store) commit(f *flight, swap func(forgotten []string) bool, w *writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[f.id] != f || !swap(slices.Clone(f.forgotten)) {
		w.abort()
		return
	}
	delete(s.flights, f.id)
}

// page asks the store for one page, with a deadline of its own.
func (s *Store) page(m Mount, options ufs.ListOptions) (ufs.Page, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.config.PageTimeout)
	defer cancel()
	page, err := m.Store.List(ctx, options)
	if err == nil && page.Next != "" && page.Next == options.Continuation {
		err = fmt.Errorf("the store's listing goes round in a circle: %w", ufs.ErrUnavailable)
	}
	return page, s.explain(ctx, err)
}

// explain makes a deadline of ours one of package ufs's errors.
func (s *Store) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case s.ctx.Err() != nil:
		return errClosed
	case ctx.Err() != nil:
		return fmt.Errorf("no answer within %s: %w: %w", s.config.PageTimeout, ufs.ErrUnavailable, err)
	}
	return err
}

// countLookup starts a listing once enough names of a directory were asked
// for; nobody waits for it.
func (s *Store) countLookup(m Mount, id dirID) {
	s.mu.Lock()
	if len(s.lookups) >= maxCounters {
		clear(s.lookups)
	}
	s.lookups[id]++
	enough := s.lookups[id] >= s.config.ListAfter && s.flights[id] == nil && s.config.Clock().After(s.failures[id].until)
	s.mu.Unlock()
	if enough {
		s.fly(m, id)
	}
}
