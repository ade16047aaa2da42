//go:build linux

package node

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
)

const (
	tickInterval  = time.Second
	pruneInterval = time.Minute
	// recoverInterval is the time between attempts to recover mounts from their
	// servers.
	recoverInterval = 5 * time.Second
)

// Run checks mounts, updates the node's labels and removes the files of unused
// runtimes, until ctx ends. Work that needs the API server runs in a goroutine of
// its own, so that it does not delay other work.
func (n *Node) Run(ctx context.Context) {
	if hidden := n.hiddenHostPaths(); len(hidden) > 0 {
		n.log.Warn("directories of the node are not mounted in this container: cached files there are read through FUSE servers", "directories", hidden)
	}
	var group sync.WaitGroup
	group.Go(func() { every(ctx, pruneInterval, n.prune) })
	group.Go(func() {
		n.recoverMounts(ctx)
		every(ctx, recoverInterval, func() { n.recoverMounts(ctx) })
	})
	group.Go(func() {
		every(ctx, tickInterval, func() {
			for _, r := range n.allRuntimes() {
				n.checkMount(r)
			}
		})
	})
	group.Go(func() { every(ctx, tickInterval, n.checkSidecarMounts) })
	group.Go(func() {
		every(ctx, tickInterval, func() {
			for _, r := range n.allRuntimes() {
				n.reconcileNode(ctx, r)
			}
		})
	})
	group.Wait()
}

func every(ctx context.Context, interval time.Duration, work func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			work()
		}
	}
}

// recoverMounts takes over the mounts of which only FUSE servers hold the descriptors,
// because the pod of the plugin was replaced with its descriptor store. Until then a
// mount ends with its server, and the kubelet publishes a volume again only after a
// minute.
func (n *Node) recoverMounts(ctx context.Context) {
	var group sync.WaitGroup
	for _, r := range n.allRuntimes() {
		group.Go(func() { r.manager.Recover(ctx) })
	}
	for _, m := range n.allSidecarMounts() {
		group.Go(func() { m.manager.Recover(ctx) })
	}
	group.Wait()
}

// checkMount performs the periodic work of a runtime's shared mount.
func (n *Node) checkMount(r *runtime) {
	if r.manager.Tick(n.allPodsTerminating(r.id)) {
		n.recordEvents(r, "MountEnded", fmt.Sprintf("the mount of runtime %s on node %s was unmounted: it had no FUSE server for too long, or it was aborted by another process; it is mounted again for new containers", r.id, n.config.Name))
	}
	n.updateHandoff(r)
}

// reconcileNode updates the node's label for a runtime and removes the runtime's
// files when they are unused.
func (n *Node) reconcileNode(ctx context.Context, r *runtime) {
	n.updateLabelWanted(r)
	if err := n.syncLabel(ctx, r); err != nil {
		n.log.Warn("node label not updated", "runtime", r.id.String(), "error", err)
		return
	}
	n.removeUnused(r)
}

// allPodsTerminating reports whether pods use the runtime's shared mount and all
// of them are being deleted.
func (n *Node) allPodsTerminating(id records.Runtime) bool {
	found := false
	for _, v := range n.store.Of(id) {
		if !v.Shared() {
			continue
		}
		if !n.config.Cluster.Terminating(v.Pod) {
			return false
		}
		found = true
	}
	return found
}

// updateLabelWanted clears labelWanted once a runtime has had no volume for
// IdleTimeout. Before that its pods may just be restarting.
func (n *Node) updateLabelWanted(r *runtime) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(n.store.Of(r.id)) > 0 {
		r.emptySince = time.Time{}
		return
	}
	if r.emptySince.IsZero() {
		r.emptySince = time.Now()
	}
	if time.Since(r.emptySince) > n.config.IdleTimeout {
		r.labelWanted = false
	}
}

// removeUnused unmounts and removes the files of a runtime that has had no volume
// for IdleTimeout and no label.
func (n *Node) removeUnused(r *runtime) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.emptySince.IsZero() || r.labelWanted || time.Since(r.emptySince) <= n.config.IdleTimeout || len(n.store.Of(r.id)) > 0 {
		return
	}
	r.manager.Unmount()
	// RemoveAll below must not descend into a mount.
	if err := n.clearTarget(r.dir); err != nil {
		n.log.Error("directory of an unused runtime not unmounted", "runtime", r.id.String(), "error", err)
		return
	}
	if err := os.RemoveAll(r.dir); err != nil {
		n.log.Error("directory of an unused runtime not removed", "runtime", r.id.String(), "error", err)
		return
	}
	r.removed = true
	n.mu.Lock()
	delete(n.runtimes, r.id)
	n.mu.Unlock()
	n.log.Info("removed directory of an unused runtime", "runtime", r.id.String())
}
