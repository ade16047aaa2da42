package reader

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
}

// New makes a Reader. Close it after its files.
func New(config Config) (*Reader, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Reader{config: config, memory: newBudget(config.Memory)}
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

// mounted tells whether the view has a mount.
func (r *Reader) mounted(id string) bool {
	for _, m := range r.config.Cluster.View().GetMounts() {
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
	return f, nil
}
