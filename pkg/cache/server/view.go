package server

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/ring"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// view is a ClusterView with its rings and mounts. It is immutable.
type view struct {
	*commonv1.ClusterView
	ring *ring.Ring
	// previous rings, newest first, without the current one.
	previous []*ring.Ring
	mounts   map[string]*commonv1.Mount
	// ringSeen is the time at which this worker first saw the current ring.
	ringSeen time.Time
}

func newView(v *commonv1.ClusterView, before *view, now time.Time) *view {
	out := &view{ClusterView: v, ring: ring.New(v.GetRing()), mounts: map[string]*commonv1.Mount{}, ringSeen: now}
	for _, r := range v.GetPreviousRings() {
		if r.GetEpoch() != v.GetRing().GetEpoch() {
			out.previous = append(out.previous, ring.New(r))
		}
	}
	for _, m := range v.GetMounts() {
		out.mounts[m.GetId()] = m
	}
	if before != nil && before.GetRing().GetEpoch() == v.GetRing().GetEpoch() {
		out.ringSeen = before.ringSeen
	}
	return out
}

// views holds the newest view, in memory and on disk.
type views struct {
	dir     string
	current atomic.Pointer[view]

	mu       sync.Mutex
	identity identityFile
	// onChange is called with each newer view, by one goroutine at a time.
	onChange func(*view)
}

// openViews loads the state in a data directory. A damaged view is treated as
// absent; the second result is the reason.
func openViews(dir, clusterID string, onChange func(*view)) (*views, error, error) {
	identity, err := loadIdentity(dir)
	if err != nil {
		return nil, nil, err
	}
	v := &views{dir: dir, identity: identity, onChange: onChange}
	if clusterID != "" {
		if err := v.belong(clusterID); err != nil {
			return nil, nil, err
		}
	}
	kept, damaged := loadView(dir)
	if kept != nil && kept.GetClusterId() == v.identity.ClusterID {
		v.current.Store(newView(kept, nil, time.Now()))
	}
	return v, damaged, nil
}

// belong makes the worker a member of a cluster. This is permanent.
func (v *views) belong(clusterID string) error {
	switch v.identity.ClusterID {
	case clusterID:
		return nil
	case "":
		next := v.identity
		next.ClusterID = clusterID
		if err := next.save(v.dir); err != nil {
			return err
		}
		v.identity = next
		return nil
	}
	return fmt.Errorf("this worker's data in %s belongs to cluster %s, not to %s; start it with the topology of its cluster, or give it an empty data directory", v.dir, v.identity.ClusterID, clusterID)
}

// renew mints a new id, after another worker has registered the current one.
func (v *views) renew() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := v.identity
	next.ID = newID()
	if err := next.save(v.dir); err != nil {
		return err
	}
	v.identity = next
	return nil
}

// id returns the ids of the worker and of its cluster.
func (v *views) id() (string, string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.identity.ID, v.identity.ClusterID
}

// offer uses a view if it is newer than the current one. If the view cannot be
// written to disk, it is used nevertheless and the error is returned.
func (v *views) offer(offered *commonv1.ClusterView) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.belong(offered.GetClusterId()); err != nil {
		return err
	}
	before := v.current.Load()
	if before != nil && before.GetIndex() >= offered.GetIndex() {
		return nil
	}
	next := newView(offered, before, time.Now())
	v.current.Store(next)
	v.onChange(next)
	return saveView(v.dir, offered)
}

// load returns the newest view; nil if there is none yet.
func (v *views) load() *view { return v.current.Load() }

// epochs returns the epochs of the ring, of a mount and of the view; they are 0
// without a view.
func (v *view) epochs(mountID string) wire.Epochs {
	if v == nil {
		return wire.Epochs{}
	}
	return wire.Epochs{Ring: v.GetRing().GetEpoch(), Mount: v.mounts[mountID].GetEpoch(), View: v.GetIndex()}
}

// owns reports whether a worker owns the key. Without a ring every worker does.
func (v *view) owns(name, key string) bool {
	if v == nil {
		return true
	}
	order := v.ring.Order(key)
	return len(order) == 0 || order[0].GetName() == name
}

// nameOf returns the key that places the stripe of a version with the byte at offset
// in the current ring. Clients request the bytes of one stripe at a time.
func (v *view) nameOf(key blockstore.Key, offset int64) string {
	if v == nil {
		return ""
	}
	return stripeName(v.ring, key, offset)
}

// stripeName is like nameOf for any ring.
func stripeName(r *ring.Ring, key blockstore.Key, offset int64) string {
	if mutantWholePlacement {
		offset = 0
	}
	return ring.ObjectKey(key.Mount, key.Key, key.ETag, key.Size, r.Stripe(offset))
}

// index returns the index of the view; 0 for none.
func (v *view) index() uint64 {
	if v == nil {
		return 0
	}
	return v.GetIndex()
}
