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
)

// own is the mount of a volume that its pod serves itself.
type sidecarMount struct {
	volume  records.Volume
	manager *mountmanager.Manager
}

// ownKey is the deposit's key, which no runtime's is: it has slashes.
func sidecarMountKey(v records.Volume) string { return "pods/" + v.Pod.UID + "/" + v.ID }

// ownOf a volume, made when it is not known.
func (n *Node) sidecarMountOf(v records.Volume) *sidecarMount {
	n.mu.Lock()
	defer n.mu.Unlock()
	if o, ok := n.sidecarMounts[v.Target]; ok {
		return o
	}
	o := &sidecarMount{volume: v, manager: mountmanager.New(mountmanager.Config{
		Runtime: v.Runtime, Key: sidecarMountKey(v), Mountpoint: v.Target, FDStore: n.config.FDStore, ServerUIDs: n.config.ServerUIDs,
		ServeTimeout: n.config.ServeTimeout, TerminatingTimeout: n.config.TerminatingTimeout, Logger: n.log,
	})}
	n.sidecarMounts[v.Target] = o
	return o
}

func (n *Node) allSidecarMounts() []*sidecarMount {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*sidecarMount, 0, len(n.sidecarMounts))
	for _, o := range n.sidecarMounts {
		all = append(all, o)
	}
	return all
}

// holderFor the mount that a volume with files shows.
func (n *Node) managerOfVolume(v records.Volume) *mountmanager.Manager {
	if v.Sidecar {
		return n.sidecarMountOf(v).manager
	}
	return n.runtime(v.Runtime).manager
}

// hasSidecar says that the volume's pod serves it itself.
func (n *Node) hasSidecar(ctx context.Context, v records.Volume) (bool, error) {
	if v.Role != "" || v.Pod.UID == "" || v.Pod.Name == "" || v.Pod.Namespace == "" {
		return false, nil
	}
	handles, err := n.config.Cluster.Sidecar(ctx, v.Pod)
	if err != nil || !slices.Contains(handles, v.ID) {
		return false, err
	}
	if len(validation.IsDNS1123Subdomain(v.ID)) > 0 {
		return false, invalid("volume %q: its handle is no name", v.ID)
	}
	return true, nil
}

// publishOwn mounts at the target and returns: nobody serves before all volumes
// are published.
func (n *Node) publishSidecarMount(ctx context.Context, v records.Volume, secrets map[string]string) error {
	files, err := sidecarMountFiles(v, secrets)
	if err != nil {
		return err
	}
	for _, other := range n.store.OfPod(v.Pod.UID) {
		if other.Sidecar && other.ID == v.ID && other.Target != v.Target {
			return status.Errorf(codes.AlreadyExists, "volume %s: pod %s/%s has it at %s already", v.ID, v.Pod.Namespace, v.Pod.Name, other.Target)
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
	o := n.sidecarMountOf(v)
	if n.shows(v.Target, o.manager) {
		n.updateSidecarHandoff(o)
		return nil
	}
	return n.ensureSidecarMount(ctx, o)
}

// ownFiles are the files of a volume's folder.
func sidecarMountFiles(v records.Volume, secrets map[string]string) (map[string]string, error) {
	if v.SubPath != "" {
		return nil, invalid("volume %s: a pod with its own FUSE server shows the whole dataset: take volumeAttributes.%s away, and write subPath: %s in the container's volumeMounts", v.ID, names.AttributeSubPath, v.SubPath)
	}
	files := map[string]string{}
	for _, key := range sessionFiles() {
		if secrets[key] == "" || len(secrets[key]) > secretSize {
			return nil, invalid("volume %s: key %s of the Secret has %d bytes: the PersistentVolume must name Secret %s in nodePublishSecretRef, which the controller makes", v.ID, key, len(secrets[key]), names.Secret(v.Runtime.Name, "fuse"))
		}
		files[key] = secrets[key]
	}
	args := secrets[names.FuseSecretArgs]
	if len(args) > secretSize {
		return nil, invalid("volume %s: key %s of the Secret has %d bytes, more than %d", v.ID, names.FuseSecretArgs, len(args), secretSize)
	}
	if args == "" {
		args = "[]" // of a controller of before
	}
	files[names.FuseSecretArgs] = args
	return files, nil
}

func (n *Node) ensureSidecarMount(ctx context.Context, o *sidecarMount) error {
	v := o.volume
	before, renewed, err := n.table.Top(v.Target)
	if err != nil {
		return err
	}
	n.updateSidecarHandoff(o) // a server that is here may bring the mount back
	if o.manager.Device() == "" && n.config.Cluster.Terminating(v.Pod) {
		return errors.New("its pod is being deleted, so nothing is mounted any more")
	}
	if err := mounts.MakeDir(v.Target); err != nil && !renewed {
		return err
	}
	if err := o.manager.Ensure(ctx); err != nil {
		return err
	}
	after := o.manager.Device()
	renewed = renewed && before.Device != after
	n.log.Info("mounted for a pod that serves itself", "runtime", v.Runtime.String(), "target", v.Target, "pod", v.Pod.Namespace+"/"+v.Pod.Name, "renewed", renewed)
	if renewed {
		n.config.Cluster.RecordEvent(v.Pod, "MountRenewed", fmt.Sprintf(
			"the mount of runtime %s in this pod was made anew (device %s before): containers that run since before get \"Transport endpoint is not connected\" from volume %s until they are restarted; new ones read", v.Runtime, before.Device, v.ID))
	}
	return nil
}

// lendOwn lends the mount at the socket in the volume's folder.
func (n *Node) updateSidecarHandoff(o *sidecarMount) {
	socket := ""
	if _, there, err := n.table.Top(n.sidecarView(o.volume.Pod.UID)); err == nil && there {
		if _, err := os.Lstat(n.volumeDir(o.volume)); err == nil {
			socket = filepath.Join(n.volumeDir(o.volume), names.SessionSocket)
		}
	}
	o.manager.SetServerSocket(socket)
}

// lookAtOwn looks after the mounts that pods serve themselves. One that takes
// long delays no other.
func (n *Node) checkSidecarMounts() {
	var group sync.WaitGroup
	defer group.Wait()
	for _, o := range n.allSidecarMounts() {
		group.Go(func() {
			v := o.volume
			if o.manager.Tick(n.config.Cluster.Terminating(v.Pod)) {
				n.config.Cluster.RecordEvent(v.Pod, "MountEnded", fmt.Sprintf(
					"the mount of runtime %s in this pod ended: container %s did not serve it for too long, or somebody else ended it; it is made anew for new containers", v.Runtime, names.SidecarContainer))
			}
			n.updateSidecarHandoff(o)
		})
	}
}

// takeDownOwn takes away what a pod with its own FUSE server has here: one of
// the volumes that it serves, or the place where it does.
func (n *Node) unpublishSidecar(v records.Volume) error {
	if v.Sidecar {
		o := n.sidecarMountOf(v)
		n.mu.Lock()
		delete(n.sidecarMounts, v.Target)
		n.mu.Unlock()
		o.manager.Unmount()
	}
	if err := n.table.Clear(v.Target); err != nil {
		return err
	}
	if err := os.Remove(v.Target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the target: %w", err)
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
