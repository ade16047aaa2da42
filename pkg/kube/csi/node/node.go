//go:build linux

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/jindo-io/jindo/pkg/kube/csi/fdstore"
	"github.com/jindo-io/jindo/pkg/kube/csi/mountmanager"
	"github.com/jindo-io/jindo/pkg/kube/csi/mounts"
	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// Defaults of Config.
const (
	DefaultPublishTimeout     = 20 * time.Second
	DefaultIdleTimeout        = 20 * time.Second
	DefaultTerminatingTimeout = 5 * time.Second
	fdStoreTimeout            = 30 * time.Second
	fileSystemTimeout         = 10 * time.Second
)

// Config configures a Node. Zero durations select the defaults.
type Config struct {
	// Name is the node's name, and Version the program's version.
	Name, Version string
	// KubeletDir is the kubelet's root directory. The path must be the same in the
	// plugin's container as on the node.
	KubeletDir string
	Cluster    Cluster
	FDStore    *fdstore.Client
	// ServerUIDs are the users, besides root, that FUSE servers may run as.
	ServerUIDs []uint32
	// HostPaths are the directories of the node that tiers may use, and NodeRoot is
	// the directory below which they are at their paths on the node. Files of tiers
	// there are read through the FUSE server if NodeRoot is empty, or does not have
	// them.
	NodeRoot  string
	HostPaths []string
	// PublishTimeout is how long a publish call waits for a FUSE server.
	PublishTimeout time.Duration
	// IdleTimeout is how long the mount, label and files of a runtime without
	// volumes are kept.
	IdleTimeout time.Duration
	// ServeTimeout is how long a mount may be without a server before it is
	// aborted. TerminatingTimeout replaces it when every pod that uses the mount
	// is being deleted.
	ServeTimeout, TerminatingTimeout time.Duration
	Logger                           *slog.Logger
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	set(&c.PublishTimeout, DefaultPublishTimeout)
	set(&c.IdleTimeout, DefaultIdleTimeout)
	set(&c.ServeTimeout, fusefd.DefaultServerTimeout)
	set(&c.TerminatingTimeout, DefaultTerminatingTimeout)
	return c
}

// Node implements the CSI identity and node services. It is safe for concurrent
// use.
type Node struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer

	config  Config
	log     *slog.Logger
	table   *mounts.Table
	store   *records.Store
	targets targetLocks

	mu            sync.Mutex
	runtimes      map[records.Runtime]*runtime
	sidecarMounts map[string]*sidecarMount // by target

	// sidecarDirsMu protects the directories of pods with a sidecar.
	sidecarDirsMu sync.Mutex
}

// New reads the records of published volumes and takes over the mounts in the
// descriptor store. It waits at most 30 seconds for the descriptor store.
func New(ctx context.Context, config Config) (*Node, error) {
	config = config.withDefaults()
	n := &Node{config: config, log: config.Logger, runtimes: map[records.Runtime]*runtime{}, sidecarMounts: map[string]*sidecarMount{}}
	var err error
	if n.store, err = records.Open(filepath.Join(n.dir(), "volumes"), n.log); err != nil {
		return nil, err
	}
	if n.table, err = mounts.OpenTable(); err != nil {
		return nil, err
	}
	n.findRuntimes()
	n.restoreMounts(ctx)
	n.prune()
	for _, r := range n.allRuntimes() {
		n.updateHandoff(r)
	}
	for _, o := range n.allSidecarMounts() {
		n.updateSidecarHandoff(o)
	}
	return n, nil
}

// dir returns the plugin's own directory on the node.
func (n *Node) dir() string { return filepath.Join(n.config.KubeletDir, "plugins", names.Driver) }

// findRuntimes loads the runtimes and sidecar mounts that have files or records
// on this node.
func (n *Node) findRuntimes() {
	entries, err := os.ReadDir(n.dir())
	if err != nil {
		n.log.Warn("directories of earlier runtimes not listed", "error", err)
	}
	for _, e := range entries {
		if id, ok := records.RuntimeOfDir(e.Name()); ok && e.IsDir() {
			n.runtime(id)
		}
	}
	for _, v := range n.store.All() {
		if v.Role != names.RoleSidecar {
			n.runtime(v.Runtime)
		}
		if v.Sidecar {
			n.sidecarMountOf(v)
		}
	}
}

// restoreMounts takes over the mounts in the descriptor store.
func (n *Node) restoreMounts(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, fdStoreTimeout)
	defer cancel()
	entries, err := n.config.FDStore.Connect(ctx)
	if err != nil {
		n.log.Error("descriptor store is unavailable: existing mounts are replaced", "error", err)
		return
	}
	for _, d := range entries {
		if err := n.restoreMount(d); err != nil {
			n.log.Warn("stored mount not taken over", "key", d.Key, "error", err)
			_ = n.config.FDStore.Remove(d.Key)
		}
	}
}

func (n *Node) restoreMount(d fdstore.Entry) error {
	var description mountmanager.Description
	err := json.Unmarshal(d.Description, &description)
	var found *mountmanager.Manager
	if err == nil {
		found, err = n.managerOfEntry(d.Key, description)
	}
	if err != nil {
		for _, f := range d.Files {
			_ = f.Close()
		}
		return err
	}
	if err := found.Adopt(d.Files); err != nil {
		return err
	}
	n.log.Info("took over a stored mount", "key", d.Key)
	return nil
}

// managerOfEntry returns the manager of a stored entry: that of a runtime's shared
// mount or of a sidecar's mount.
func (n *Node) managerOfEntry(key string, description mountmanager.Description) (*mountmanager.Manager, error) {
	if description.Runtime.Dir() == key {
		return n.runtime(description.Runtime).manager, nil
	}
	v, ok := n.store.Get(description.Mountpoint)
	if !ok || !v.Sidecar || sidecarMountKey(v) != key {
		return nil, fmt.Errorf("entry %s does not match its description: mount point %s of runtime %s", key, description.Mountpoint, description.Runtime)
	}
	return n.sidecarMountOf(v).manager, nil
}

// recordEvents records an event for every pod that uses the runtime's shared
// mount.
func (n *Node) recordEvents(r *runtime, reason, message string) {
	for _, v := range n.store.Of(r.id) {
		if v.Shared() {
			n.config.Cluster.RecordEvent(v.Pod, reason, message)
		}
	}
}

// prune removes the volumes of pods whose directories the kubelet has removed,
// because the kubelet will not unpublish them.
func (n *Node) prune() {
	pods := filepath.Join(n.config.KubeletDir, "pods")
	for _, v := range n.store.All() {
		if v.Pod.UID == "" {
			continue
		}
		_, err := os.Lstat(filepath.Join(pods, v.Pod.UID))
		if !os.IsNotExist(err) {
			continue
		}
		n.log.Info("removing volume of a deleted pod", "target", v.Target)
		if err := n.removeVolume(v); err != nil {
			n.log.Error("volume of a deleted pod not removed", "target", v.Target, "error", err)
		}
	}
}

// removeVolume removes a volume whose pod, and thus target, was deleted.
func (n *Node) removeVolume(v records.Volume) error {
	if v.Sidecar || v.Role == names.RoleSidecar {
		return n.unpublishSidecar(v)
	}
	if v.Role == names.RoleFuse {
		r := n.runtime(v.Runtime)
		r.setUnpublishing(v.Target, true)
		defer r.setUnpublishing(v.Target, false)
		n.updateHandoff(r)
		if err := n.clearInline(n.privateDir(v), v.Target); err != nil {
			return err
		}
	}
	r := n.lockedRuntime(v.Runtime)
	defer r.mu.Unlock()
	if err := n.store.Delete(v.Target); err != nil {
		return err
	}
	n.unmountUnused(r, v)
	return nil
}

// Close releases all mounts without unmounting, so that a successor can take them
// over.
func (n *Node) Close() error {
	for _, r := range n.allRuntimes() {
		r.manager.Release()
	}
	for _, o := range n.allSidecarMounts() {
		o.manager.Release()
	}
	return n.table.Close()
}
