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
type own struct {
	volume records.Volume
	holder *mountmanager.Holder
}

// ownKey is the deposit's key, which no runtime's is: it has slashes.
func ownKey(v records.Volume) string { return "pods/" + v.Pod.UID + "/" + v.ID }

// ownOf a volume, made when it is not known.
func (n *Node) ownOf(v records.Volume) *own {
	n.mu.Lock()
	defer n.mu.Unlock()
	if o, ok := n.own[v.Target]; ok {
		return o
	}
	o := &own{volume: v, holder: mountmanager.New(mountmanager.Config{
		Runtime: v.Runtime, Key: ownKey(v), Point: v.Target, Keeper: n.config.Keeper, ServerUIDs: n.config.ServerUIDs,
		Patience: n.config.Patience, Terminating: n.config.Terminating, Logger: n.log,
	})}
	n.own[v.Target] = o
	return o
}

func (n *Node) allOwn() []*own {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*own, 0, len(n.own))
	for _, o := range n.own {
		all = append(all, o)
	}
	return all
}

// holderFor the mount that a volume with files shows.
func (n *Node) holderFor(v records.Volume) *mountmanager.Holder {
	if v.Sidecar {
		return n.ownOf(v).holder
	}
	return n.runtime(v.Runtime).holder
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
func (n *Node) publishOwn(ctx context.Context, v records.Volume, secrets map[string]string) error {
	files, err := ownFiles(v, secrets)
	if err != nil {
		return err
	}
	for _, other := range n.store.OfPod(v.Pod.UID) {
		if other.Sidecar && other.ID == v.ID && other.Target != v.Target {
			return status.Errorf(codes.AlreadyExists, "volume %s: pod %s/%s has it at %s already", v.ID, v.Pod.Namespace, v.Pod.Name, other.Target)
		}
	}
	r, err := n.admit(v, nil)
	if err != nil {
		return err
	}
	sockets, err := r.sockets()
	if err != nil {
		return err
	}
	if err := n.furnish(v, sockets, files); err != nil {
		return err
	}
	o := n.ownOf(v)
	if n.shows(v.Target, o.holder) {
		n.lendOwn(o)
		return nil
	}
	return n.mountOwn(ctx, o)
}

// ownFiles are the files of a volume's folder.
func ownFiles(v records.Volume, secrets map[string]string) (map[string]string, error) {
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

func (n *Node) mountOwn(ctx context.Context, o *own) error {
	v := o.volume
	before, renewed, err := n.table.Top(v.Target)
	if err != nil {
		return err
	}
	n.lendOwn(o) // a server that is here may bring the mount back
	if o.holder.Device() == "" && n.config.Cluster.Leaving(v.Pod) {
		return errors.New("its pod is being deleted, so nothing is mounted any more")
	}
	if err := mounts.MakeDir(v.Target); err != nil && !renewed {
		return err
	}
	if err := o.holder.Ensure(ctx); err != nil {
		return err
	}
	after := o.holder.Device()
	renewed = renewed && before.Device != after
	n.log.Info("mounted for a pod that serves itself", "runtime", v.Runtime.String(), "target", v.Target, "pod", v.Pod.Namespace+"/"+v.Pod.Name, "renewed", renewed)
	if renewed {
		n.config.Cluster.Tell(v.Pod, "MountRenewed", fmt.Sprintf(
			"the mount of runtime %s in this pod was made anew (device %s before): containers that run since before get \"Transport endpoint is not connected\" from volume %s until they are restarted; new ones read", v.Runtime, before.Device, v.ID))
	}
	return nil
}

// lendOwn lends the mount at the socket in the volume's folder.
func (n *Node) lendOwn(o *own) {
	socket := ""
	if _, there, err := n.table.Top(n.view(o.volume.Pod.UID)); err == nil && there {
		if _, err := os.Lstat(n.folder(o.volume)); err == nil {
			socket = filepath.Join(n.folder(o.volume), names.SessionSocket)
		}
	}
	o.holder.LendAt(socket)
}

// lookAtOwn looks after the mounts that pods serve themselves. One that takes
// long delays no other.
func (n *Node) lookAtOwn() {
	var group sync.WaitGroup
	defer group.Wait()
	for _, o := range n.allOwn() {
		group.Go(func() {
			v := o.volume
			if o.holder.Tick(n.config.Cluster.Leaving(v.Pod)) {
				n.config.Cluster.Tell(v.Pod, "MountEnded", fmt.Sprintf(
					"the mount of runtime %s in this pod ended: container %s did not serve it for too long, or somebody else ended it; it is made anew for new containers", v.Runtime, names.SidecarContainer))
			}
			n.lendOwn(o)
		})
	}
}

// takeDownOwn takes away what a pod with its own FUSE server has here: one of
// the volumes that it serves, or the place where it does.
func (n *Node) takeDownOwn(v records.Volume) error {
	if v.Sidecar {
		o := n.ownOf(v)
		n.mu.Lock()
		delete(n.own, v.Target)
		n.mu.Unlock()
		o.holder.Drop()
	}
	if err := n.table.Clear(v.Target); err != nil {
		return err
	}
	if err := os.Remove(v.Target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the target: %w", err)
	}
	if err := n.forgetOwn(v); err != nil {
		return err
	}
	if err := n.leavePlace(v.Pod.UID); err != nil {
		return err
	}
	n.log.Info("unpublished", "pod", v.Pod.Namespace+"/"+v.Pod.Name, "target", v.Target)
	return nil
}

func (n *Node) forgetOwn(v records.Volume) error {
	if !v.Sidecar {
		return n.store.Delete(v.Target)
	}
	if err := n.clearFolder(v); err != nil {
		return err
	}
	r := n.locked(v.Runtime)
	defer r.mu.Unlock()
	if err := n.store.Delete(v.Target); err != nil {
		return err
	}
	n.settle(r, v)
	return nil
}
