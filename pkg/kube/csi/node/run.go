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
	tickEvery  = time.Second
	pruneEvery = time.Minute
)

// Run looks after mounts, labels and what is left of runtimes, until the context
// ends. What asks the API server never delays what does not.
func (n *Node) Run(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() { every(ctx, pruneEvery, n.prune) })
	group.Go(func() {
		every(ctx, tickEvery, func() {
			for _, r := range n.all() {
				n.look(r)
			}
		})
	})
	group.Go(func() { every(ctx, tickEvery, n.lookAtOwn) })
	group.Go(func() {
		every(ctx, tickEvery, func() {
			for _, r := range n.all() {
				n.tidy(ctx, r)
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
func (n *Node) look(r *runtime) {
	if r.holder.Tick(n.leaving(r.id)) {
		n.tell(r, "MountEnded", fmt.Sprintf("the mount of runtime %s on node %s ended: nobody served it for too long, or somebody else ended it; it is made anew for new containers", r.id, n.config.Name))
	}
	n.lendTo(r)
}

// tidy brings the node's label in line, and removes what nobody needs.
func (n *Node) tidy(ctx context.Context, r *runtime) {
	n.noteEmpty(r)
	if err := n.syncLabel(ctx, r); err != nil {
		n.log.Warn("the node's label waits", "error", err)
		return
	}
	n.remove(r)
}

// leaving says that there are pods with the runtime's files, and all are being
// deleted.
func (n *Node) leaving(id records.Runtime) bool {
	some := false
	for _, v := range n.store.Of(id) {
		if !v.Shared() {
			continue
		}
		if !n.config.Cluster.Leaving(v.Pod) {
			return false
		}
		some = true
	}
	return some
}

// noteEmpty takes the label from a runtime that has had no volume for a while:
// until then its pods may just be restarting.
func (n *Node) noteEmpty(r *runtime) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(n.store.Of(r.id)) > 0 {
		r.empty = time.Time{}
		return
	}
	if r.empty.IsZero() {
		r.empty = time.Now()
	}
	if time.Since(r.empty) > n.config.Linger {
		r.wanted = false
	}
}

// remove what is left of a runtime without volumes and label.
func (n *Node) remove(r *runtime) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.empty.IsZero() || r.wanted || time.Since(r.empty) <= n.config.Linger || len(n.store.Of(r.id)) > 0 {
		return
	}
	r.holder.Drop()
	// Nothing below may be a mount any more: what is removed must be ours.
	if err := n.clearTarget(r.dir); err != nil {
		n.log.Error("what a runtime left stays", "runtime", r.id.String(), "error", err)
		return
	}
	if err := os.RemoveAll(r.dir); err != nil {
		n.log.Error("what a runtime left stays", "runtime", r.id.String(), "error", err)
		return
	}
	r.gone = true
	n.mu.Lock()
	delete(n.runtimes, r.id)
	n.mu.Unlock()
	n.log.Info("nothing of a runtime is left here", "runtime", r.id.String())
}
