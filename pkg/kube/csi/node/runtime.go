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
	id     records.Runtime
	dir    string
	holder *mountmanager.Holder

	// mu is held while volumes come and go.
	mu sync.Mutex
	// wanted says that the node should have the label.
	wanted bool
	// empty is since when there is no volume; zero while there is one.
	empty time.Time
	// gone says that this value is out of use.
	gone bool

	// lendMu is held while the mount moves from one FUSE server's volume to
	// another's; going are volumes that are being taken down.
	lendMu sync.Mutex
	going  map[string]bool

	labelMu sync.Mutex
	// label is what the node had when it was asked at labelled.
	label    bool
	labelled time.Time
}

// runtime by name, made when it is not known.
func (n *Node) runtime(id records.Runtime) *runtime {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r, ok := n.runtimes[id]; ok {
		return r
	}
	r := &runtime{id: id, dir: filepath.Join(n.dir(), id.Dir()), going: map[string]bool{}}
	r.holder = mountmanager.New(mountmanager.Config{
		Runtime: id, Key: id.Dir(), Point: filepath.Join(r.dir, "mnt"), Keeper: n.config.Keeper, ServerUIDs: n.config.ServerUIDs,
		Patience: n.config.Patience, Terminating: n.config.Terminating, Logger: n.log,
	})
	for _, v := range n.store.Of(id) {
		r.wanted = r.wanted || v.Shared()
	}
	r.empty = time.Now()
	n.runtimes[id] = r
	return r
}

func (n *Node) all() []*runtime {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*runtime, 0, len(n.runtimes))
	for _, r := range n.runtimes {
		all = append(all, r)
	}
	return all
}

// locked answers a runtime that is in use and whose mu is held.
func (n *Node) locked(id records.Runtime) *runtime {
	for {
		r := n.runtime(id)
		r.mu.Lock()
		if !r.gone {
			return r
		}
		r.mu.Unlock()
	}
}

// sockets is the directory that the runtime's workers and FUSE servers on this
// node share. Only their volumes show it.
func (r *runtime) sockets() (string, error) { return r.shared(names.SocketsDir) }

// state is what one FUSE server leaves to the next: the files that are open in
// the mount, which outlives its servers' pods. The plugin never reads it.
func (r *runtime) state() (string, error) { return r.shared(names.StateDir) }

func (r *runtime) shared(name string) (string, error) {
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
func (n *Node) lendTo(r *runtime) {
	r.lendMu.Lock()
	defer r.lendMu.Unlock()
	socket := ""
	for _, v := range n.store.Of(r.id) {
		if v.Role == names.RoleFuse && !r.going[v.Target] && n.isInline(v) {
			socket = filepath.Join(n.private(v), names.SessionSocket)
			break
		}
	}
	r.holder.LendAt(socket)
}

// setGoing leaves a volume out, or considers it again.
func (r *runtime) setGoing(target string, going bool) {
	r.lendMu.Lock()
	defer r.lendMu.Unlock()
	if going {
		r.going[target] = true
	} else {
		delete(r.going, target)
	}
}

// labelAgain is how often the node is asked for a label that should be there.
const labelAgain = time.Minute

// syncLabel brings the node's label in line.
func (n *Node) syncLabel(ctx context.Context, r *runtime) error {
	r.labelMu.Lock()
	defer r.labelMu.Unlock()
	r.mu.Lock()
	wanted := r.wanted
	r.mu.Unlock()
	fresh := !r.labelled.IsZero() && (!wanted || time.Since(r.labelled) < labelAgain)
	if r.label == wanted && fresh {
		return nil
	}
	if err := n.config.Cluster.LabelNode(ctx, names.FuseNodeLabel(r.id.Namespace, r.id.Name), wanted); err != nil {
		return fmt.Errorf("labelling node %s for runtime %s: %w", n.config.Name, r.id, err)
	}
	r.label, r.labelled = wanted, time.Now()
	return nil
}
