package dirstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// pageID identifies a page of a directory that is not cached.
type pageID struct {
	dirID
	after string
	limit int
	epoch uint64
}

// pageFlight is a read of a page, shared by all requests that wait for it.
type pageFlight struct {
	done chan struct{}
	page []named
	more bool
	at   time.Time
	err  error
}

// pageOfStore returns a page of a directory that is not cached, or not yet.
func (s *Store) pageOfStore(ctx context.Context, m Mount, id dirID, after string, limit int) (Listing, error) {
	f := s.flyPage(m, pageID{id, after, limit, m.Epoch})
	select {
	case <-f.done:
	case <-ctx.Done():
		return Listing{}, fmt.Errorf("read a page of directory %q: %w", id.dir, context.Cause(ctx))
	}
	if f.err != nil {
		return Listing{}, fmt.Errorf("read a page of directory %q of %s: %w", id.dir, m.Store, f.err)
	}
	return Listing{Entries: protos(id.dir, f.page), More: f.more, Age: s.age(f.at)}, nil
}

func (s *Store) flyPage(m Mount, id pageID) *pageFlight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.pages[id]; f != nil {
		return f
	}
	f := &pageFlight{done: make(chan struct{}), at: s.config.Clock()}
	run := func() {
		defer close(f.done)
		p := pager{store: s, mount: m, dir: id.dir, prefix: prefixOf(id.dir), after: id.after, names: map[string]entry{}}
		f.page, f.more, f.err = p.read(id.limit)
		s.mu.Lock()
		delete(s.pages, id)
		s.mu.Unlock()
	}
	if !s.start(run) {
		f.err = errClosed
		close(f.done)
		return f
	}
	s.pages[id] = f
	return f
}

// pager reads names in the order of names from a store that lists keys in the
// order of keys. The orders differ: the key "a-b" precedes "a/", but the name "a"
// precedes "a-b". So the pager must query "a" before it returns "a-b".
type pager struct {
	store  *Store
	mount  Mount
	dir    string
	prefix string
	after  string
	names  map[string]entry
}

func (p *pager) read(limit int) (page []named, more bool, err error) {
	l := lister{store: p.store, mount: p.mount, options: ufs.ListOptions{Prefix: p.prefix, Delimiter: "/"}}
	if p.after != "" {
		l.options.StartAfter = p.prefix + p.after
	}
	for {
		keys, err := l.next()
		if err != nil {
			return nil, false, err
		}
		names, _ := children(p.dir, keys)
		for _, n := range names {
			if n.name > p.after {
				p.names[n.name] = n.entry
			}
		}
		if l.done {
			page, more = cut(p.sorted(), limit)
			return page, more, nil
		}
		if last := strings.TrimPrefix(lastKey(keys), p.prefix); len(p.names) > limit {
			page, ok, err := p.settled(last, limit)
			if err != nil || ok {
				return page, true, err
			}
		}
	}
}

// settled returns limit names, if no name before them can follow after the store
// has listed up to the key last.
func (p *pager) settled(last string, limit int) ([]named, bool, error) {
	for i := 1; i < len(last); i++ {
		// The directory last[:i] would be later in the order of keys.
		name := last[:i]
		if last[i] >= '/' || name <= p.after || p.names[name].kind == directory || !isVisible(p.dir, name) {
			continue
		}
		ctx, cancel := context.WithTimeout(p.store.ctx, p.store.config.PageTimeout)
		below, err := p.store.anyBelow(ctx, p.mount, p.prefix+name)
		err = p.store.explain(ctx, err)
		cancel()
		if err != nil {
			return nil, false, err
		}
		if below {
			p.names[name] = entry{kind: directory}
		}
	}
	sorted := p.sorted()
	// The directory with the name of the last object may come next.
	end, found := slices.BinarySearchFunc(sorted, strings.TrimSuffix(last, "/"), func(n named, name string) int {
		return strings.Compare(n.name, name)
	})
	if found && strings.HasSuffix(last, "/") {
		end++
	}
	if end < limit {
		return nil, false, nil
	}
	return sorted[:limit], true, nil
}

func (p *pager) sorted() []named {
	out := make([]named, 0, len(p.names))
	for name, e := range p.names {
		out = append(out, named{name, e})
	}
	slices.SortFunc(out, func(a, b named) int { return strings.Compare(a.name, b.name) })
	return out
}

func cut(all []named, limit int) ([]named, bool) {
	if len(all) > limit {
		return all[:limit], true
	}
	return all, false
}

func lastKey(page ufs.Page) string {
	last := ""
	if n := len(page.Objects); n > 0 {
		last = page.Objects[n-1].Key
	}
	if n := len(page.Prefixes); n > 0 {
		last = max(last, page.Prefixes[n-1])
	}
	return last
}
