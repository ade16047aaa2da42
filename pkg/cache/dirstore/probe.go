package dirstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// probe is a query for one name, shared by all requests that wait for it.
type probe struct {
	mount  Mount
	id     nameID
	done   chan struct{}
	result observation
	err    error
}

// query returns a recent observation of a name, or queries the store.
func (s *Store) query(ctx context.Context, m Mount, id nameID) (observation, error) {
	if known, ok := s.recent.get(id); ok && s.valid(m, known) {
		return known, nil
	}
	p := s.probe(m, id)
	select {
	case <-p.done:
		return p.result, p.err
	case <-ctx.Done():
		return observation{}, fmt.Errorf("look up %q in directory %q: %w", id.name, id.dir, context.Cause(ctx))
	}
}

func (s *Store) valid(m Mount, known observation) bool {
	if known.epoch < m.Epoch {
		return false
	}
	age := s.config.Clock().Sub(known.at)
	return m.Policy == commonv1.MetaPolicy_META_POLICY_ONCE && known.entry.kind != 0 || age >= 0 && age <= s.config.TTL
}

// probe returns the query for a name in progress, or one that has just ended, or starts
// one.
func (s *Store) probe(m Mount, id nameID) *probe {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.probes[id]; p != nil && p.mount.Epoch >= m.Epoch {
		return p
	}
	p := &probe{mount: m, id: id, done: make(chan struct{})}
	// A query that has ended since the caller looked for its result needs no other:
	// its end and its result become visible together, under s.mu.
	if known, ok := s.recent.get(id); ok && s.valid(m, known) {
		p.result = known
		close(p.done)
		return p
	}
	if !s.start(func() { s.runProbe(p) }) {
		p.err = errClosed
		close(p.done)
		return p
	}
	s.probes[id] = p
	return p
}

func (s *Store) runProbe(p *probe) {
	defer close(p.done)
	at := s.config.Clock()
	h, _, listed := s.table.lookup(p.id.dirID, p.id.name)
	e, err := s.statOrList(p.mount, p.id)
	if err != nil {
		p.err = fmt.Errorf("look up %q in directory %q of %s: %w", p.id.name, p.id.dir, p.mount.Store, err)
	}
	p.result = observation{id: p.id, entry: e, at: at, epoch: p.mount.Epoch}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probes[p.id] != p {
		return // Forgotten meanwhile: valid only for the requests that waited.
	}
	delete(s.probes, p.id)
	if err != nil {
		return
	}
	s.recent.put(p.result)
	if listed && !h.tooBig {
		s.table.update(p.id.dirID, h.generation, p.id.name, e)
	}
}

// statOrList requests the object and the keys below the name concurrently. The
// kind of the entry is 0 only if the store has neither.
func (s *Store) statOrList(m Mount, id nameID) (entry, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.config.PageTimeout)
	defer cancel()
	key := prefixOf(id.dir) + id.name
	var object ufs.Object
	var objectErr error
	var below bool
	var belowErr error
	both := errgroup.Group{}
	both.Go(func() error {
		object, objectErr = m.Store.Stat(ctx, key)
		if errors.Is(objectErr, ufs.ErrInvalidKey) {
			cancel() // There is nothing below the name either.
		}
		return nil
	})
	both.Go(func() error {
		below, belowErr = s.anyBelow(ctx, m, key)
		return nil
	})
	_ = both.Wait()
	switch {
	case errors.Is(objectErr, ufs.ErrInvalidKey):
		return entry{}, nil
	case belowErr != nil:
		return entry{}, s.explain(ctx, belowErr)
	case below:
		return entry{kind: directory}, nil
	case objectErr == nil && hasVersion(object):
		object.Key = key
		return fileOf(object), nil
	case objectErr == nil, errors.Is(objectErr, ufs.ErrNotFound) && !errors.Is(objectErr, ufs.ErrNoBucket), s.cannotHold(ctx, m, key, objectErr):
		return entry{}, nil
	}
	return entry{}, s.explain(ctx, objectErr)
}

// cannotHold reports whether an error means that the store can hold no key that
// begins with the given one. A store that rejects a request about the key, for
// instance because the key is too long for it or has a character that its protocol
// cannot carry, and serves a request about none, is such a store. Otherwise it
// rejects every request, as with the wrong region, which says nothing about names.
func (s *Store) cannotHold(ctx context.Context, m Mount, key string, err error) bool {
	if key == "" || !errors.Is(err, ufs.ErrInvalid) {
		return false
	}
	if errors.Is(err, ufs.ErrInvalidKey) {
		return true
	}
	_, err = m.Store.List(ctx, ufs.ListOptions{MaxKeys: 1})
	return err == nil || errors.Is(err, ufs.ErrPermission)
}

// anyBelow reports whether there are keys below a name.
func (s *Store) anyBelow(ctx context.Context, m Mount, key string) (bool, error) {
	options := ufs.ListOptions{Prefix: key + "/", MaxKeys: 1}
	for {
		page, err := m.Store.List(ctx, options)
		if err != nil && options.Continuation == "" && s.cannotHold(ctx, m, key, err) {
			return false, nil
		}
		if err != nil || len(page.Objects)+len(page.Prefixes) > 0 {
			return err == nil, err
		}
		// An empty page may have a successor.
		if page.Next == "" || page.Next == options.Continuation {
			return false, nil
		}
		options.Continuation = page.Next
	}
}

// resolveUnknown queries the unknown names of a page and removes the absent ones.
func (s *Store) resolveUnknown(ctx context.Context, m Mount, id dirID, page []named) ([]named, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	settled := false
	for i := range page {
		if page[i].entry.kind != unknown {
			continue
		}
		settled = true
		group.Go(func() error {
			found, err := s.query(ctx, m, nameID{id, page[i].name})
			page[i].entry = found.entry
			return err
		})
	}
	if err := group.Wait(); err != nil || !settled {
		return page, err
	}
	kept := page[:0]
	for _, n := range page {
		if n.entry.kind != 0 {
			kept = append(kept, n)
		}
	}
	return kept, nil
}

// trim drops the oldest listings if there are too many entries.
func (s *Store) trim() {
	limit := s.limits().total
	if s.table.size() <= limit || !s.trimming.TryLock() {
		return
	}
	defer s.trimming.Unlock()
	began := time.Now()
	dropped := 0
	for _, old := range s.table.oldest() {
		if s.table.size() <= limit-limit/10 {
			break
		}
		s.table.drop(old)
		dropped++
	}
	s.config.Logger.Info("dropped old listings to stay within the limit", "directories", dropped, "limit", limit, "took", time.Since(began))
}
