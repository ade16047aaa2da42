//go:build linux

package fusefs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// The kernel keeps the names of a directory that handles with FOPEN_CACHE_DIR have
// read, and returns them to later handles with that flag without a request
// (fs/fuse/readdir.c). It appends an entry that follows the last one it has
// from any handle, and uses what it has once a handle has read the end.
//
// Invariants:
//
//   - What the kernel returns from its cache is of one generation of the listing. A
//     handle without FOPEN_CACHE_DIR adds nothing. Before the end is returned to one
//     of several handles that have read different generations, or generations that
//     this server does not know, the kernel drops the names, and so does not use them.
//     If it cannot be made to, the end is not returned: the request fails.
//   - Handles get the names only while they are younger than keptFor. A handle that is
//     opened later makes the kernel drop them; a handle that is open longer is not
//     given them again.
//   - A successor does not know what the kernel has: its first handle of a directory
//     makes the kernel drop it. While handles of a predecessor are open, which the
//     nodes in the table count, no other handle reads or fills the cache.

// keptFor returns how long the kernel may use the names of a directory. The attributes
// that came with them are valid for some time longer, so that a program which reads
// them next needs no lookup for each. A listing shows new files, so that it may be less
// old than a name on a mount whose files are never replaced.
func keptFor(entryTTL time.Duration) time.Duration { return min(entryTTL-entryTTL/4, maxKeptTime) }

// maxKeptTime bounds the time for which the kernel may use the names of a directory.
const maxKeptTime = 45 * time.Second

// maxListings bounds the directories whose names may be kept.
const maxListings = 64 << 10

const (
	// dropTimeout bounds the wait until the kernel has dropped names, for requests
	// without a deadline, and dropPause is the time between two attempts.
	dropTimeout = time.Minute
	dropPause   = 50 * time.Millisecond
)

// dropper makes the kernel drop the names of directories. *fusefd.Attachment
// implements it.
type dropper interface {
	// DropsPages reports whether it can.
	DropsPages() bool
	// DropPages returns when the kernel has dropped the names of a directory. It must
	// not wait for a request of the directory.
	DropPages(ctx context.Context, node uint64) error
}

var _ dropper = (*fusefd.Attachment)(nil)

// listings decides which directory handles share the kernel's cache of names. Its
// methods are safe for concurrent use.
type listings struct {
	table    *table
	notifier *notifier
	dropper  dropper
	kept     time.Duration
	clock    func() time.Time

	// mu is acquired before the table's lock.
	mu     sync.Mutex
	byNode map[uint64]*listing
}

// listing is what the kernel may have of one directory. listings.mu guards it.
type listing struct {
	of   *listings
	node uint64
	path string
	// began is when the first handle was opened.
	began time.Time
	// handles is the number of open handles with FOPEN_CACHE_DIR that this server
	// has opened.
	handles int
	// generation of the names that were read, 0 before the first page.
	generation uint64
	// started is set when the first handle reads: the kernel has dropped earlier
	// names then. complete is set when a handle has read the end.
	started, complete bool
	// broken is set when the kernel must not use the names any more, and unknown
	// when the source does not tell generations apart.
	broken, unknown bool
}

func newListings(t *table, n *notifier, d dropper, entryTTL time.Duration) *listings {
	return &listings{table: t, notifier: n, dropper: d, kept: keptFor(entryTTL), clock: time.Now, byNode: map[uint64]*listing{}}
}

// open opens a handle of a directory and returns the flags of its reply. cacheable is
// false for directories whose names do not come from one listing.
func (l *listings) open(unique uint64, n node, cacheable bool) (*handle, uint32) {
	if !cacheable || l.kept <= 0 || n.id == rootID {
		return l.table.openDir(unique, n, false), 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d, flags := l.share(n)
	h := l.table.openDir(unique, n, d != nil)
	if d != nil && h.counted {
		d.handles++
		h.listing = d
		return h, flags
	}
	return h, fuse.FOPEN_KEEP_CACHE
}

// share returns the listing that a new handle shares, nil if it must not use the
// kernel's cache, and the flags of the handle. The caller must hold the lock.
func (l *listings) share(n node) (*listing, uint32) {
	d := l.byNode[n.id]
	own := 0
	if d != nil {
		own = d.handles
	}
	// The table counts the handles of predecessors too.
	if !l.dropper.DropsPages() || l.table.cachedHandles(n.id) > own {
		return nil, 0
	}
	now := l.clock()
	young := d != nil && now.Sub(d.began) < l.kept && now.Sub(d.began) >= 0
	switch {
	case d == nil:
	case d.unknown && young:
		return nil, 0
	case young && d.started && !d.broken:
		return d, fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE
	case d.handles > 0:
		return nil, 0
	case d.started && !d.complete:
		// The kernel appends to an incomplete listing only, until one is complete.
		// The names that this handle appends are dropped at its end.
		d.began, d.broken, d.unknown = now, true, false
		return d, fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE
	}
	l.makeRoom()
	d = &listing{of: l, node: n.id, path: n.path, began: now}
	l.byNode[n.id] = d
	return d, fuse.FOPEN_CACHE_DIR
}

// makeRoom drops what is known of directories without open handles if there are too
// many. The caller must hold the lock.
func (l *listings) makeRoom() {
	if len(l.byNode) < maxListings {
		return
	}
	for id, d := range l.byNode {
		if d.handles == 0 {
			delete(l.byNode, id)
		}
	}
}

// released records the release of a handle.
func (l *listings) released(h *handle) {
	if h == nil || h.listing == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h.listing.handles--
}

// drop makes the kernel not use the names of a directory for handles that are opened
// from now on.
func (l *listings) drop(node uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.byNode[node]; d != nil {
		d.broken = true
	}
}

// dropBelow is like drop for a directory and all below it.
func (l *listings) dropBelow(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.byNode {
		if below(d.path, path) {
			d.broken = true
		}
	}
}

// run drops the names that handles of a predecessor may have read, whose age is not
// known, and those that become too old while handles are open, until the context ends.
func (l *listings) run(ctx context.Context) {
	var ticks <-chan time.Time
	if l.kept > 0 {
		tick := time.NewTicker(max(l.kept/6, time.Millisecond))
		defer tick.Stop()
		ticks = tick.C
	}
	inherited := l.table.inherited
	for {
		select {
		case <-ctx.Done():
			return
		case <-inherited:
			inherited = nil
			for _, id := range l.table.cachedDirs {
				l.notifier.pages(id)
			}
		case <-ticks:
			l.expire()
		}
	}
}

func (l *listings) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.byNode {
		if d.handles > 0 && !d.broken && l.clock().Sub(d.began) >= l.kept {
			d.broken = true
			l.notifier.pages(d.node)
		}
	}
}

// starts records that a handle reads its directory from the beginning.
func (d *listing) starts() {
	if d != nil {
		d.of.mu.Lock()
		defer d.of.mu.Unlock()
		d.started = true
	}
}

// read records that a handle has read a page of a generation.
func (d *listing) read(generation uint64) {
	if d == nil {
		return
	}
	d.of.mu.Lock()
	defer d.of.mu.Unlock()
	switch {
	case generation == 0:
		d.broken, d.unknown = true, true
	case d.generation == 0:
		d.generation = generation
	case d.generation != generation:
		d.broken = true
	}
}

// ends must be called before the end of the directory is returned to a handle, which
// makes the kernel use the names that it has. It returns an error if these must not be
// used and the kernel could not be made to drop them before the context ends: the end
// must not be returned then.
func (l *listings) ends(ctx context.Context, h *handle) error {
	if !h.counted {
		return nil
	}
	if d := h.listing; d != nil {
		l.mu.Lock()
		d.complete = true
		valid := !d.broken
		l.mu.Unlock()
		if valid {
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, dropTimeout)
	defer cancel()
	for {
		err := l.dropper.DropPages(ctx, h.node)
		if err == nil {
			return nil
		}
		// The holder may be being replaced.
		select {
		case <-ctx.Done():
			return fmt.Errorf("the names that the kernel keeps are of two listings: %w", err)
		case <-time.After(dropPause):
		}
	}
}
