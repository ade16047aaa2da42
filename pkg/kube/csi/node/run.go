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
)

// Run looks after mounts, labels and what is left of runtimes, until the context
// ends. What asks the API server never delays what does not.
func (n *Node) Run(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() { every(ctx, pruneInterval, n.prune) })
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

func every(ctx context.Context, pause time.Duration, work func()) {
	tick := time.NewTicker(pause)
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

// look after one runtime's mount.
func (n *Node) checkMount(r *runtime) {
	if r.manager.Tick(n.allPodsTerminating(r.id)) {
		n.recordEvents(r, "MountEnded", fmt.Sprintf("the mount of runtime %s on node %s ended: nobody served it for too long, or somebody else ended it; it is made anew for new containers", r.id, n.config.Name))
	}
	n.updateHandoff(r)
}

// tidy brings the node's label in line, and removes what nobody needs.
func (n *Node) reconcileNode(ctx context.Context, r *runtime) {
	n.updateLabelWanted(r)
	if err := n.syncLabel(ctx, r); err != nil {
		n.log.Warn("the node's label waits", "error", err)
		return
	}
	n.removeUnused(r)
}

// leaving says that there are pods with the runtime's files, and all are being
// deleted.
func (n *Node) allPodsTerminating(id records.Runtime) bool {
	some := false
	for _, v := range n.store.Of(id) {
		if !v.Shared() {
			continue
		}
		if !n.config.Cluster.Terminating(v.Pod) {
			return false
		}
		some = true
	}
	return some
}

// noteEmpty takes the label from a runtime that has had no volume for a while:
// until then its pods may just be restarting.
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

// remove what is left of a runtime without volumes and label.
func (n *Node) removeUnused(r *runtime) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.emptySince.IsZero() || r.labelWanted || time.Since(r.emptySince) <= n.config.IdleTimeout || len(n.store.Of(r.id)) > 0 {
		return
	}
	r.manager.Unmount()
	// Nothing below may be a mount any more: what is removed must be ours.
	if err := n.clearTarget(r.dir); err != nil {
		n.log.Error("what a runtime left stays", "runtime", r.id.String(), "error", err)
		return
	}
	if err := os.RemoveAll(r.dir); err != nil {
		n.log.Error("what a runtime left stays", "runtime", r.id.String(), "error", err)
		return
	}
	r.removed = true
	n.mu.Lock()
	delete(n.runtimes, r.id)
	n.mu.Unlock()
	n.log.Info("nothing of a runtime is left here", "runtime", r.id.String())
}
