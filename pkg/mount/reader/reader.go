package reader

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
)

// Reader reads names and bytes. Its methods are safe for concurrent use.
type Reader struct {
	config  Config
	metrics *metrics
	memory  *budget
	// lanes are those of bytes, nameLanes those of names.
	lanes, nameLanes *lanes
	disks            *disks
	stores           *stores
	pages            *pages
	borrowed         *borrowed
	// backingAfter is the time before which no backing is requested, in Unix
	// nanoseconds.
	backingAfter atomic.Int64

	ctx    context.Context
	cancel context.CancelFunc
	// fetching counts the segments being fetched.
	fetching sync.WaitGroup

	// mu is acquired after a shared's mu, never before it.
	mu sync.Mutex
	// versions are those with open files.
	versions map[Version]*shared
}

// New creates a Reader. The caller must close it after its files.
func New(config Config) (*Reader, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Reader{config: config, memory: newBudget(config.Memory), lanes: newLanes(config.StoreReads), nameLanes: newLanes(config.StoreNames), disks: newDisks(config.LocalTimeout), versions: map[Version]*shared{}}
	if r.metrics, err = newMetrics(config.Registry, r.memory); err != nil {
		return nil, err
	}
	r.pages = newPages(config.NameAge, config.Clock)
	r.borrowed = newBorrowed(config.Clock, config.OpenFiles)
	r.stores = newStores(config.OpenStore, config.Cluster, config.Logger)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Close aborts reads in progress and closes the stores.
func (r *Reader) Close() error {
	r.cancel()
	r.fetching.Wait()
	r.borrowed.close()
	return r.stores.close()
}

// Mounts returns the current mounts, sorted by path.
func (r *Reader) Mounts() []Mount {
	view := r.config.Cluster.View()
	out := make([]Mount, 0, len(view.GetMounts()))
	for _, m := range view.GetMounts() {
		out = append(out, Mount{ID: m.GetId(), Path: m.GetPath(), Epoch: m.GetEpoch(), ReadOnly: m.GetReadOnly()})
	}
	slices.SortFunc(out, func(a, b Mount) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// Changes returns a channel that receives a token when Mounts, epochs included,
// has changed. It supports one receiver.
func (r *Reader) Changes() <-chan struct{} { return r.config.Cluster.Changes() }

// Current updates Mounts to the masters' state at the time of the call, or
// returns the reason why Mounts may be older.
func (r *Reader) Current(ctx context.Context) error { return r.config.Cluster.Current(ctx) }

// hasMount reports whether the view contains the mount. Without a view it
// returns true.
func (r *Reader) hasMount(id string) bool {
	view := r.config.Cluster.View()
	if view == nil {
		return true
	}
	for _, m := range view.GetMounts() {
		if m.GetId() == id {
			return true
		}
	}
	return false
}

// Open returns a File for the bytes of one version. It does not check that they
// still exist; the first read does.
func (r *Reader) Open(ctx context.Context, v Version) (*File, error) {
	if v.Key == "" || v.ETag == "" || v.Size < 0 {
		return nil, fmt.Errorf("open %q of mount %s: invalid version %q of %d bytes", v.Key, v.Mount, v.ETag, v.Size)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open %q of mount %s: %w", v.Key, v.Mount, context.Cause(ctx))
	}
	f := &File{shared: r.share(v)}
	f.ctx, f.cancel = context.WithCancel(r.ctx)
	f.local.version, f.local.borrowed, f.local.next = v, r.borrowed, r.config.Clock()
	return f, nil
}

func objectOf(v Version) client.Object {
	return client.Object{Mount: v.Mount, Key: v.Key, ETag: v.ETag, Size: v.Size}
}

// idleTimeout is the time since its last read after which a version or a stream
// loses its read-ahead when others need the memory.
const idleTimeout = 2 * time.Second

// reclaim releases the read-ahead memory of idle versions. The caller must hold
// needs.mu.
func (r *Reader) reclaim(needs *shared) {
	now := r.config.Clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.versions {
		// A version whose lock is held is not idle.
		if f == needs || !f.mu.TryLock() {
			continue
		}
		if now.Sub(f.ahead.used) > idleTimeout {
			f.clear()
		}
		f.mu.Unlock()
	}
}
