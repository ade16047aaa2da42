//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/jindo-io/jindo/pkg/kube/csi/mountmanager"
	"github.com/jindo-io/jindo/pkg/kube/csi/mounts"
	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// sidecarMount is the mount of a volume that its pod's sidecar serves.
type sidecarMount struct {
	volume  records.Volume
	manager *mountmanager.Manager
}

// sidecarMountKey returns the key of the mount in the descriptor store. It differs
// from every runtime's key because it contains slashes.
func sidecarMountKey(v records.Volume) string { return "pods/" + v.Pod.UID + "/" + v.ID }

// sidecarMountOf returns the sidecar mount of a volume, and creates it if
// necessary.
func (n *Node) sidecarMountOf(v records.Volume) *sidecarMount {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m, ok := n.sidecarMounts[v.Target]; ok {
		return m
	}
	m := &sidecarMount{volume: v, manager: mountmanager.New(mountmanager.Config{
		Runtime: v.Runtime, Key: sidecarMountKey(v), Mountpoint: v.Target, FDStore: n.config.FDStore, ServerUIDs: n.config.ServerUIDs,
		AcceptBacking: fusefd.CacheDirectories(func() []*os.File { return n.tiers(v.Runtime) }),
		ServeTimeout:  n.config.ServeTimeout, TerminatingTimeout: n.config.TerminatingTimeout, Logger: n.log,
	})}
	n.sidecarMounts[v.Target] = m
	return m
}

func (n *Node) allSidecarMounts() []*sidecarMount {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*sidecarMount, 0, len(n.sidecarMounts))
	for _, m := range n.sidecarMounts {
		all = append(all, m)
	}
	return all
}

// managerOfVolume returns the manager of the mount of a dataset volume.
func (n *Node) managerOfVolume(v records.Volume) *mountmanager.Manager {
	if v.Sidecar {
		return n.sidecarMountOf(v).manager
	}
	return n.runtime(v.Runtime).manager
}

// hasSidecar reports whether the sidecar of the volume's pod serves it.
func (n *Node) hasSidecar(ctx context.Context, v records.Volume) (bool, error) {
	if v.Role != "" || v.Pod.UID == "" || v.Pod.Name == "" || v.Pod.Namespace == "" {
		return false, nil
	}
	handles, err := n.config.Cluster.Sidecar(ctx, v.Pod)
	if err != nil || !slices.Contains(handles, v.ID) {
		return false, err
	}
	if len(validation.IsDNS1123Subdomain(v.ID)) > 0 {
		return false, invalid("volume %q: volumeHandle is not a valid name", v.ID)
	}
	return true, nil
}

// publishSidecarMount mounts at the target and returns without waiting for a
// server: the sidecar starts after all volumes are published.
func (n *Node) publishSidecarMount(ctx context.Context, v records.Volume, secrets map[string]string) error {
	files, err := sidecarMountFiles(v, secrets)
	if err != nil {
		return err
	}
	for _, other := range n.store.OfPod(v.Pod.UID) {
		if other.Sidecar && other.ID == v.ID && other.Target != v.Target {
			return status.Errorf(codes.AlreadyExists, "volume %s: already published for pod %s/%s at %s", v.ID, v.Pod.Namespace, v.Pod.Name, other.Target)
		}
	}
	r, err := n.putRecord(v, nil)
	if err != nil {
		return err
	}
	sockets, err := r.socketsDir()
	if err != nil {
		return err
	}
	if err := n.prepareVolumeDir(v, sockets, files); err != nil {
		return err
	}
	m := n.sidecarMountOf(v)
	if n.shows(v.Target, m.manager) {
		n.updateSidecarHandoff(m)
		return nil
	}
	return n.ensureSidecarMount(ctx, m)
}

// sidecarMountFiles returns the files of a volume's directory, by name.
func sidecarMountFiles(v records.Volume, secrets map[string]string) (map[string]string, error) {
	if v.SubPath != "" {
		return nil, invalid("volume %s: volumeAttributes.%s is not supported in a pod with a FUSE sidecar: remove it and set subPath: %s in the container's volumeMounts", v.ID, names.AttributeSubPath, v.SubPath)
	}
	files := map[string]string{}
	for _, key := range sessionFiles() {
		if secrets[key] == "" || len(secrets[key]) > secretSize {
			return nil, invalid("volume %s: key %s of the Secret is missing or too large (%d bytes): nodePublishSecretRef of the PersistentVolume must name Secret %s, which the controller creates", v.ID, key, len(secrets[key]), names.Secret(v.Runtime.Name, "fuse"))
		}
		files[key] = secrets[key]
	}
	args := secrets[names.FuseSecretArgs]
	if len(args) > secretSize {
		return nil, invalid("volume %s: key %s of the Secret has %d bytes, the limit is %d", v.ID, names.FuseSecretArgs, len(args), secretSize)
	}
	if args == "" {
		args = "[]" // Secret of an older controller
	}
	files[names.FuseSecretArgs] = args
	return files, nil
}

func (n *Node) ensureSidecarMount(ctx context.Context, m *sidecarMount) error {
	v := m.volume
	before, renewed, err := n.table.Top(v.Target)
	if err != nil {
		return err
	}
	n.updateSidecarHandoff(m) // a running server may return the descriptors
	if m.manager.Device() == "" && n.config.Cluster.Terminating(v.Pod) {
		return errors.New("not mounted because the pod is being deleted")
	}
	if err := mounts.MakeDir(v.Target); err != nil && !renewed {
		return err
	}
	if err := m.manager.Ensure(ctx); err != nil {
		return err
	}
	after := m.manager.Device()
	renewed = renewed && before.Device != after
	n.log.Info("mounted for a pod with a sidecar", "runtime", v.Runtime.String(), "target", v.Target, "pod", v.Pod.Namespace+"/"+v.Pod.Name, "renewed", renewed, "previousDevice", before.Device)
	if renewed {
		n.config.Cluster.RecordEvent(v.Pod, "MountRenewed", fmt.Sprintf(
			"the mount of runtime %s in this pod was replaced: containers that were started before get \"Transport endpoint is not connected\" from volume %s until they are restarted", v.Runtime, v.ID))
	}
	return nil
}

// updateSidecarHandoff offers the mount at the socket in the volume's directory,
// if the directory exists.
func (n *Node) updateSidecarHandoff(m *sidecarMount) {
	socket := ""
	if _, mounted, err := n.table.Top(n.sidecarView(m.volume.Pod.UID)); err == nil && mounted {
		if _, err := os.Lstat(n.volumeDir(m.volume)); err == nil {
			socket = filepath.Join(n.volumeDir(m.volume), names.SessionSocket)
		}
	}
	m.manager.SetServerSocket(socket)
}

// checkSidecarMounts performs the periodic work of all sidecar mounts,
// concurrently, so that a slow one does not delay the others.
func (n *Node) checkSidecarMounts() {
	var group sync.WaitGroup
	defer group.Wait()
	for _, m := range n.allSidecarMounts() {
		group.Go(func() {
			v := m.volume
			if m.manager.Tick(n.config.Cluster.Terminating(v.Pod)) {
				n.config.Cluster.RecordEvent(v.Pod, "MountEnded", fmt.Sprintf(
					"the mount of runtime %s in this pod was unmounted: container %s did not serve it for too long, or it was aborted by another process; it is mounted again for new containers", v.Runtime, names.SidecarContainer))
			}
			n.updateSidecarHandoff(m)
		})
	}
}

// unpublishSidecar unpublishes a volume of a pod with a sidecar: a dataset volume
// or the sidecar's inline volume.
func (n *Node) unpublishSidecar(v records.Volume) error {
	if v.Sidecar {
		m := n.sidecarMountOf(v)
		n.mu.Lock()
		delete(n.sidecarMounts, v.Target)
		n.mu.Unlock()
		m.manager.Unmount()
	}
	if err := n.table.Clear(v.Target); err != nil {
		return err
	}
	if err := os.Remove(v.Target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", v.Target, err)
	}
	if err := n.deleteSidecarRecord(v); err != nil {
		return err
	}
	if err := n.removeSidecarDir(v.Pod.UID); err != nil {
		return err
	}
	n.log.Info("unpublished", "pod", v.Pod.Namespace+"/"+v.Pod.Name, "target", v.Target)
	return nil
}

func (n *Node) deleteSidecarRecord(v records.Volume) error {
	if !v.Sidecar {
		return n.store.Delete(v.Target)
	}
	if err := n.removeVolumeDir(v); err != nil {
		return err
	}
	r := n.lockedRuntime(v.Runtime)
	defer r.mu.Unlock()
	if err := n.store.Delete(v.Target); err != nil {
		return err
	}
	n.unmountUnused(r, v)
	return nil
}
