//go:build linux

package node

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/kube/csi/mountmanager"
	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// runtime is the state of a JindoRuntime on this node.
type runtime struct {
	id      records.Runtime
	dir     string
	manager *mountmanager.Manager

	// mu protects the fields below and is held while volumes are added or
	// removed.
	mu sync.Mutex
	// labelWanted reports whether the node should have the runtime's label.
	labelWanted bool
	// label is the label of nodes that attracts the runtime's FUSE server.
	label string
	// emptySince is the time since which there has been no volume; zero while
	// there is one.
	emptySince time.Time
	// removed reports that this value is no longer in Node.runtimes.
	removed bool

	// handoffMu is held while the handoff moves from one FUSE server's volume to
	// another's. unpublishing holds the targets that are being unpublished.
	handoffMu    sync.Mutex
	unpublishing map[string]bool

	labelMu sync.Mutex
	// labelled is the state of the label labelledAs at labelledAt.
	labelled   bool
	labelledAs string
	labelledAt time.Time
}

// runtime returns the state of a runtime, and creates it if necessary.
func (n *Node) runtime(id records.Runtime) *runtime {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r, ok := n.runtimes[id]; ok {
		return r
	}
	r := &runtime{id: id, dir: filepath.Join(n.dir(), id.Dir()), unpublishing: map[string]bool{}, label: nodeLabel(records.Volume{Runtime: id})}
	r.manager = mountmanager.New(mountmanager.Config{
		Runtime: id, Key: id.Dir(), Mountpoint: filepath.Join(r.dir, "mnt"), FDStore: n.config.FDStore, ServerUIDs: n.config.ServerUIDs,
		AcceptBacking: fusefd.CacheDirectories(func() []*os.File { return n.tiers(id) }),
		ServeTimeout:  n.config.ServeTimeout, TerminatingTimeout: n.config.TerminatingTimeout, Logger: n.log,
	})
	for _, v := range n.store.Of(id) {
		if v.Shared() {
			r.labelWanted, r.label = true, nodeLabel(v)
		}
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

// lockedRuntime returns the state of a runtime with r.mu held.
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

// socketsDir returns the directory of the workers' sockets on this node, and
// creates it if necessary. Only the volumes of the runtime's workers and FUSE
// servers show it.
func (r *runtime) socketsDir() (string, error) { return r.makeSharedDir(names.SocketsDir) }

// stateDir returns the directory in which a FUSE server leaves state, such as open
// files, for its successor, and creates it if necessary. The plugin never reads
// it.
func (r *runtime) stateDir() (string, error) { return r.makeSharedDir(names.StateDir) }

func (r *runtime) makeSharedDir(name string) (string, error) {
	dir := filepath.Join(r.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create directory for %s: %w", name, err)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		return "", fmt.Errorf("create directory for %s: %w", name, err)
	}
	return dir, nil
}

// updateHandoff offers the mount to the oldest FUSE server whose volume is still
// published. While its process may be alive, no other server may get the mount.
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

// setUnpublishing excludes a volume from the handoff, or includes it again.
func (r *runtime) setUnpublishing(target string, unpublishing bool) {
	r.handoffMu.Lock()
	defer r.handoffMu.Unlock()
	if unpublishing {
		r.unpublishing[target] = true
	} else {
		delete(r.unpublishing, target)
	}
}

// nodeLabel returns the label of nodes of a dataset volume.
func nodeLabel(v records.Volume) string {
	return cmp.Or(v.NodeLabel, names.ScopeOf(v.Runtime.Namespace, v.Runtime.Name, "").FuseNodeLabel())
}

// labelRefreshInterval is how often a label that should exist is set again.
const labelRefreshInterval = time.Minute

// syncLabel sets or removes the runtime's label of the node.
func (n *Node) syncLabel(ctx context.Context, r *runtime) error {
	r.labelMu.Lock()
	defer r.labelMu.Unlock()
	r.mu.Lock()
	wanted, label := r.labelWanted, r.label
	r.mu.Unlock()
	fresh := label == r.labelledAs && !r.labelledAt.IsZero() && (!wanted || time.Since(r.labelledAt) < labelRefreshInterval)
	if r.labelled == wanted && fresh {
		return nil
	}
	if err := n.config.Cluster.LabelNode(ctx, label, wanted); err != nil {
		return fmt.Errorf("label node %s for runtime %s: %w", n.config.Name, r.id, err)
	}
	r.labelled, r.labelledAs, r.labelledAt = wanted, label, time.Now()
	return nil
}
