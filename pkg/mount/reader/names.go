package reader

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/dirstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// Lookup returns the entry of a name in a directory of a mount. dir has no leading
// or trailing slash; "" is the mount's root. The error is ErrNotExist when the
// name does not exist.
//
// A name that no file can have does not exist; no worker is queried for it. When
// several names of a directory are looked up, others are read with them, and the
// Entry of a name that was read before says when.
func (r *Reader) Lookup(ctx context.Context, mountID, dir, name string) (Entry, error) {
	var entry Entry
	if !wire.IsName(name) || !wire.IsKey(path.Join(dir, name)) {
		return found(mountID, dir, name, false, nil)
	}
	if entry, ok := r.lookupPaged(ctx, mountID, dir, name); ok {
		return entry, nil
	}
	use := func(response *workerv1.LookupResponse, err error) error {
		if err == nil {
			entry, err = found(mountID, dir, name, response.GetFound(), response.GetEntry())
		}
		return err
	}
	err := r.readNames(ctx, mountID, nameSources{
		cached: func(ctx context.Context, c cachedNames) error { return use(c.LookupCached(ctx, mountID, dir, name)) },
		workers: func(ctx context.Context) error {
			return use(r.config.Cluster.Lookup(ctx, mountID, dir, name))
		},
		store: func(ctx context.Context, m dirstore.Mount, s *dirstore.Store) error {
			response, err := s.Lookup(ctx, m, dir, name)
			if err != nil {
				return err
			}
			entry, err = found(mountID, dir, name, response.Found, response.Entry)
			return err
		},
	})
	if err == nil || errors.Is(err, ErrNotExist) {
		r.pages.replaced(pagedDir{mountID, dir}, name)
	}
	return entry, err
}

// List returns the names of a directory that follow after, sorted by bytes.
func (r *Reader) List(ctx context.Context, mountID, dir, after string) (Page, error) {
	var out Page
	use := func(response *workerv1.ListResponse, err error) error {
		if err == nil {
			out = Page{Entries: entriesOf(mountID, response.GetEntries()), More: response.GetMore(), Generation: response.GetGeneration()}
		}
		return err
	}
	err := r.readNames(ctx, mountID, nameSources{
		cached: func(ctx context.Context, c cachedNames) error { return use(c.ListCached(ctx, mountID, dir, after, 0)) },
		workers: func(ctx context.Context) error {
			return use(r.config.Cluster.List(ctx, mountID, dir, after, 0))
		},
		store: func(ctx context.Context, m dirstore.Mount, s *dirstore.Store) error {
			page, err := s.List(ctx, m, dir, after, 0)
			if err == nil {
				out = Page{Entries: entriesOf(mountID, page.Entries), More: page.More, Generation: page.Generation}
			}
			return err
		},
	})
	r.pages.forget(pagedDir{mountID, dir})
	return out, err
}

// nameSources are the sources of one request for names.
type nameSources struct {
	// cached needs no store.
	cached  func(context.Context, cachedNames) error
	workers func(context.Context) error
	store   func(context.Context, dirstore.Mount, *dirstore.Store) error
}

// cachedNames is a Cluster that returns what the owner of a directory has cached.
type cachedNames interface {
	LookupCached(ctx context.Context, mount, dir, name string) (*workerv1.LookupResponse, error)
	ListCached(ctx context.Context, mount, dir, after string, limit int) (*workerv1.ListResponse, error)
}

var _ cachedNames = (*client.Client)(nil)

// Totals are the totals of a mount.
type Totals struct {
	// Objects and Bytes are -1 while unknown.
	Objects, Bytes int64
	// AtLeast is set if they are lower bounds.
	AtLeast bool
}

// totalsSource is a Cluster that has totals.
type totalsSource interface {
	Totals(ctx context.Context, mount string) (*commonv1.Totals, error)
}

var _ totalsSource = (*client.Client)(nil)

// Totals returns the totals of a mount, as the workers have counted them.
func (r *Reader) Totals(ctx context.Context, mountID string) (Totals, error) {
	source, ok := r.config.Cluster.(totalsSource)
	if !ok {
		return Totals{Objects: -1, Bytes: -1}, nil
	}
	t, err := source.Totals(ctx, mountID)
	if err != nil {
		return Totals{}, err
	}
	return Totals{Objects: t.GetObjects(), Bytes: t.GetBytes(), AtLeast: t.GetAtLeast()}, nil
}

// forgetTimeout is the deadline of a Forget request to a directory's owner.
const forgetTimeout = 5 * time.Second

// Forget drops a version that does not exist any more, here and at the owner of
// its directory, so that the next Lookup queries the store.
func (r *Reader) Forget(ctx context.Context, v Version) {
	dir, name := path.Split(v.Key)
	if dir != "" {
		dir = dir[:len(dir)-1]
	}
	r.pages.forget(pagedDir{v.Mount, dir})
	if names := r.stores.opened(); names != nil {
		names.Forget(v.Mount, dir, name)
	}
	ctx, cancel := context.WithTimeout(ctx, forgetTimeout)
	defer cancel()
	if err := r.config.Cluster.Forget(ctx, v.Mount, dir, name); err != nil {
		r.config.Logger.Warn("a stale name was not dropped at its owner; it is served until the listing expires", "key", v.Key, "error", err)
	}
}

// readNames tries the workers, then the store itself, and retries until
// Config.ReadTimeout or until a retry cannot succeed.
func (r *Reader) readNames(ctx context.Context, mountID string, from nameSources) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.config.ReadTimeout, errTimeout)
	defer cancel()
	state := storeState{began: r.config.Clock()}
	for wait := minWait; ; wait = min(2*wait, maxWait) {
		state.reset()
		err := r.nameRound(ctx, mountID, from)
		if err == nil || errors.Is(err, ErrNotExist) {
			return err
		}
		state.add(err)
		verdict := state.verdict(r.config.Clock(), r.config.RefusedTimeout)
		switch {
		case verdict != nil:
			return fmt.Errorf("%w: %w", verdict, err)
		case !r.hasMount(mountID):
			return fmt.Errorf("mount %s does not exist any more: %w", mountID, ErrNotExist)
		}
		pause := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// nameRound tries every source once. While too many requests of the mount may wait
// for its store, it requests cached names first and then waits for its turn.
func (r *Reader) nameRound(ctx context.Context, mountID string, from nameSources) error {
	lane := r.nameLanes.of(mountID)
	if !lane.TryAcquire(1) {
		if c, ok := r.config.Cluster.(cachedNames); ok {
			if err := from.cached(ctx, c); err == nil || errors.Is(err, ErrNotExist) {
				return err
			}
		}
		if err := lane.Acquire(ctx, 1); err != nil {
			return fmt.Errorf("%w: %w", errBusy, context.Cause(ctx))
		}
	}
	defer lane.Release(1)
	err := from.workers(ctx)
	if err == nil || errors.Is(err, ErrNotExist) || !r.stores.usable() || ctx.Err() != nil {
		return err
	}
	fromStore := r.stores.names(ctx, mountID, from.store)
	if fromStore == nil || errors.Is(fromStore, ErrNotExist) {
		return fromStore
	}
	return errors.Join(err, fromStore)
}

func found(mountID, dir, name string, exists bool, e *workerv1.Entry) (Entry, error) {
	if !exists {
		return Entry{}, fmt.Errorf("%q in directory %q of mount %s: %w", name, dir, mountID, ErrNotExist)
	}
	return entryOf(mountID, e), nil
}

func entryOf(mountID string, e *workerv1.Entry) Entry {
	out := Entry{Name: string(e.GetName()), Dir: e.GetKind() == workerv1.EntryKind_ENTRY_KIND_DIRECTORY}
	if e.GetModified() != nil {
		out.Modified = e.GetModified().AsTime()
	}
	if !out.Dir {
		out.Version = Version{Mount: mountID, Key: string(e.GetKey()), ETag: string(e.GetEtag()), Size: e.GetSize()}
	}
	return out
}

func entriesOf(mountID string, page []*workerv1.Entry) []Entry {
	out := make([]Entry, len(page))
	for i, e := range page {
		out[i] = entryOf(mountID, e)
	}
	return out
}
