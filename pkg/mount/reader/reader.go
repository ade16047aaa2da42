package reader

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
)

// Reader gets names and bytes. Safe for concurrent use.
type Reader struct {
	config  Config
	metrics *metrics
	memory  *budget
	stores  *stores

	ctx    context.Context
	cancel context.CancelFunc

	// mu may be locked while a File's is held, and never the other way round.
	mu sync.Mutex
	// files that are open.
	files map[*File]struct{}
}

// New makes a Reader. Close it after its files.
func New(config Config) (*Reader, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Reader{config: config, memory: newBudget(config.Memory), files: map[*File]struct{}{}}
	if r.metrics, err = newMetrics(config.Registry, r.memory); err != nil {
		return nil, err
	}
	r.stores = newStores(config.OpenStore, config.Cluster, config.Logger)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Close ends reads under way and lets go of the stores.
func (r *Reader) Close() error {
	r.cancel()
	return r.stores.close()
}

// Mounts as of now, in the order of their paths.
func (r *Reader) Mounts() []Mount {
	view := r.config.Cluster.View()
	out := make([]Mount, 0, len(view.GetMounts()))
	for _, m := range view.GetMounts() {
		out = append(out, Mount{ID: m.GetId(), Path: m.GetPath(), Epoch: m.GetEpoch(), ReadOnly: m.GetReadOnly()})
	}
	slices.SortFunc(out, func(a, b Mount) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// Changes has a token when Mounts answers something new, epochs included. For
// one listener.
func (r *Reader) Changes() <-chan struct{} { return r.config.Cluster.Changes() }

// Current brings Mounts up to what the masters say at the time of the call, or
// answers why they may be older.
func (r *Reader) Current(ctx context.Context) error { return r.config.Cluster.Current(ctx) }

// mounted tells whether the view has a mount, or there is no view to tell.
func (r *Reader) mounted(id string) bool {
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

// Open answers the bytes of one version. It does not ask whether they are
// still there: the first read does.
func (r *Reader) Open(ctx context.Context, v Version) (*File, error) {
	if v.Key == "" || v.ETag == "" || v.Size < 0 {
		return nil, fmt.Errorf("opening %q of mount %s: version %q of %d bytes names no bytes", v.Key, v.Mount, v.ETag, v.Size)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("opening %q of mount %s: %w", v.Key, v.Mount, context.Cause(ctx))
	}
	f := &File{reader: r, version: v, object: client.Object{Mount: v.Mount, Key: v.Key, ETag: v.ETag, Size: v.Size}}
	f.ctx, f.cancel = context.WithCancel(r.ctx)
	f.local.next = r.config.Clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[f] = struct{}{}
	return f, nil
}

func (r *Reader) closed(f *File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.files, f)
}

// idleAfter is how long a handle keeps what it read ahead while others need
// the memory.
const idleAfter = 2 * time.Second

// reclaim memory of handles that nobody has read for a while. f.mu is held of
// the file that needs it.
func (r *Reader) reclaim(needs *File) {
	now := r.config.Clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for f := range r.files {
		// One whose lock is taken is not idle.
		if f == needs || !f.mu.TryLock() {
			continue
		}
		if now.Sub(f.ahead.used) > idleAfter {
			f.clear()
		}
		f.mu.Unlock()
	}
}
