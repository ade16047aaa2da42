//go:build linux

package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/kube/csi/mountmanager"
	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// runtime is what a runtime has on this node.
type runtime struct {
	id      records.Runtime
	dir     string
	manager *mountmanager.Manager

	// mu is held while volumes come and go.
	mu sync.Mutex
	// wanted says that the node should have the label.
	labelWanted bool
	// empty is since when there is no volume; zero while there is one.
	emptySince time.Time
	// gone says that this value is out of use.
	removed bool

	// lendMu is held while the mount moves from one FUSE server's volume to
	// another's; going are volumes that are being taken down.
	handoffMu    sync.Mutex
	unpublishing map[string]bool

	labelMu sync.Mutex
	// label is what the node had when it was asked at labelled.
	labelled   bool
	labelledAt time.Time
}

// runtime by name, made when it is not known.
func (n *Node) runtime(id records.Runtime) *runtime {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r, ok := n.runtimes[id]; ok {
		return r
	}
	r := &runtime{id: id, dir: filepath.Join(n.dir(), id.Dir()), unpublishing: map[string]bool{}}
	r.manager = mountmanager.New(mountmanager.Config{
		Runtime: id, Key: id.Dir(), Mountpoint: filepath.Join(r.dir, "mnt"), FDStore: n.config.FDStore, ServerUIDs: n.config.ServerUIDs,
		ServeTimeout: n.config.ServeTimeout, TerminatingTimeout: n.config.TerminatingTimeout, Logger: n.log,
	})
	for _, v := range n.store.Of(id) {
		r.labelWanted = r.labelWanted || v.Shared()
	}
	r.emptySince = time.Now()
	n.runtimes[id] = r
	return r
}

func (n *Node) allRuntimes() []*runtime {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*runtime, 0, len(n.runtimes))
	for _, r := range n.runtimes {
		all = append(all, r)
	}
	return all
}

// locked answers a runtime that is in use and whose mu is held.
func (n *Node) lockedRuntime(id records.Runtime) *runtime {
	for {
		r := n.runtime(id)
		r.mu.Lock()
		if !r.removed {
			return r
		}
		r.mu.Unlock()
	}
}

// sockets is the directory that the runtime's workers and FUSE servers on this
// node share. Only their volumes show it.
func (r *runtime) socketsDir() (string, error) { return r.makeSharedDir(names.SocketsDir) }

// state is what one FUSE server leaves to the next: the files that are open in
// the mount, which outlives its servers' pods. The plugin never reads it.
func (r *runtime) stateDir() (string, error) { return r.makeSharedDir(names.StateDir) }

func (r *runtime) makeSharedDir(name string) (string, error) {
	dir := filepath.Join(r.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the directory for %s: %w", name, err)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		return "", fmt.Errorf("making the directory for %s: %w", name, err)
	}
	return dir, nil
}

// lendTo lends the mount to the FUSE server that came first and is still here:
// while the process of one may live, no other may have the mount.
func (n *Node) updateHandoff(r *runtime) {
	r.handoffMu.Lock()
	defer r.handoffMu.Unlock()
	socket := ""
	for _, v := range n.store.Of(r.id) {
		if v.Role == names.RoleFuse && !r.unpublishing[v.Target] && n.isInline(v) {
			socket = filepath.Join(n.privateDir(v), names.SessionSocket)
			break
		}
	}
	r.manager.SetServerSocket(socket)
}

// setGoing leaves a volume out, or considers it again.
func (r *runtime) setUnpublishing(target string, going bool) {
	r.handoffMu.Lock()
	defer r.handoffMu.Unlock()
	if going {
		r.unpublishing[target] = true
	} else {
		delete(r.unpublishing, target)
	}
}

// labelAgain is how often the node is asked for a label that should be there.
const labelRefreshInterval = time.Minute

// syncLabel brings the node's label in line.
func (n *Node) syncLabel(ctx context.Context, r *runtime) error {
	r.labelMu.Lock()
	defer r.labelMu.Unlock()
	r.mu.Lock()
	wanted := r.labelWanted
	r.mu.Unlock()
	fresh := !r.labelledAt.IsZero() && (!wanted || time.Since(r.labelledAt) < labelRefreshInterval)
	if r.labelled == wanted && fresh {
		return nil
	}
	if err := n.config.Cluster.LabelNode(ctx, names.FuseNodeLabel(r.id.Namespace, r.id.Name), wanted); err != nil {
		return fmt.Errorf("labelling node %s for runtime %s: %w", n.config.Name, r.id, err)
	}
	r.labelled, r.labelledAt = wanted, time.Now()
	return nil
}
