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

// Config of a node's plugin. Zero durations mean the defaults.
type Config struct {
	// Name of the node, and Version of the program.
	Name, Version string
	// KubeletDir is the kubelet's root directory, the same path here as there.
	KubeletDir string
	Cluster    Cluster
	FDStore    *fdstore.Client
	// ServerUIDs may be FUSE servers besides root.
	ServerUIDs []uint32
	// PublishWait is how long a publish call waits for a FUSE server.
	PublishTimeout time.Duration
	// Linger is how long what belongs to a runtime without volumes stays here.
	IdleTimeout time.Duration
	// Patience is how long nobody may serve a mount that is used; Terminating the
	// same when every pod that uses it is being deleted.
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
	set(&c.ServeTimeout, fusefd.DefaultPatience)
	set(&c.TerminatingTimeout, DefaultTerminatingTimeout)
	return c
}

// Node is the plugin.
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

	// placesMu is held while a pod's place changes.
	sidecarDirsMu sync.Mutex
}

// New reads what was published before, and takes over the mounts that the keeper
// holds. It waits for the keeper, not for ever.
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

// dir is the plugin's own directory on the node.
func (n *Node) dir() string { return filepath.Join(n.config.KubeletDir, "plugins", names.Driver) }

// findRuntimes that have something here.
func (n *Node) findRuntimes() {
	entries, err := os.ReadDir(n.dir())
	if err != nil {
		n.log.Warn("looking for what was here before", "error", err)
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

// takeBack what the keeper holds.
func (n *Node) restoreMounts(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, fdStoreTimeout)
	defer cancel()
	held, err := n.config.FDStore.Connect(ctx)
	if err != nil {
		n.log.Error("the keeper does not answer: mounts of before are made anew", "error", err)
		return
	}
	for _, d := range held {
		if err := n.restoreMount(d); err != nil {
			n.log.Warn("a mount that was kept is not taken over", "key", d.Key, "error", err)
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
	n.log.Info("took over a mount", "key", d.Key)
	return nil
}

// holderOf a deposit: the runtime's, or that of a pod's own mount.
func (n *Node) managerOfEntry(key string, description mountmanager.Description) (*mountmanager.Manager, error) {
	if description.Runtime.Dir() == key {
		return n.runtime(description.Runtime).manager, nil
	}
	v, ok := n.store.Get(description.Mountpoint)
	if !ok || !v.Sidecar || sidecarMountKey(v) != key {
		return nil, fmt.Errorf("it describes %s of runtime %s", description.Mountpoint, description.Runtime)
	}
	return n.sidecarMountOf(v).manager, nil
}

// tell the pods that use a runtime's files something.
func (n *Node) recordEvents(r *runtime, reason, message string) {
	for _, v := range n.store.Of(r.id) {
		if v.Shared() {
			n.config.Cluster.RecordEvent(v.Pod, reason, message)
		}
	}
}

// prune forgets records of pods whose directories the kubelet has removed: it
// will not ask for them to be unpublished.
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
		n.log.Info("forgetting a volume of a pod that is gone", "target", v.Target)
		if err := n.removeVolume(v); err != nil {
			n.log.Error("forgetting a volume", "target", v.Target, "error", err)
		}
	}
}

// forget a volume whose target is gone with its pod.
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

// Close lets go of everything without unmounting: a successor takes it over.
func (n *Node) Close() error {
	for _, r := range n.allRuntimes() {
		r.manager.Release()
	}
	for _, o := range n.allSidecarMounts() {
		o.manager.Release()
	}
	return n.table.Close()
}
