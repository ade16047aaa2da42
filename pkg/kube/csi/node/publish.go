//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/csi/mountmanager"
	"github.com/jindo-io/jindo/pkg/kube/csi/mounts"
	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// NodePublishVolume makes a volume appear at its target. The kubelet repeats it
// once a second.
func (n *Node) NodePublishVolume(ctx context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	v, err := n.volumeOf(req)
	if err != nil {
		return nil, err
	}
	release, ok := n.targets.tryLock(v.Target)
	if !ok {
		return nil, status.Errorf(codes.Aborted, "volume %s: another call works on %s", v.ID, v.Target)
	}
	defer release()
	before, known := n.store.Get(v.Target)
	if known {
		v.Sidecar = before.Sidecar
	} else if v.Sidecar, err = n.hasSidecar(ctx, v); err != nil {
		return nil, unavailable(v, err)
	}
	if known {
		if !v.Same(before) {
			return nil, status.Errorf(codes.AlreadyExists, "volume %s: %s has volume %s of runtime %s, or other attributes; unpublish it first", v.ID, v.Target, before.ID, before.Runtime)
		}
		v.Since = before.Since
	}
	switch v.Role {
	case names.RoleFuse:
		err = n.publishSession(v, req.GetSecrets())
	case names.RoleWorker:
		err = n.publishSockets(v)
	case names.RoleSidecar:
		err = n.publishSidecar(v)
	default:
		if v.Sidecar {
			err = n.publishSidecarMount(ctx, v, req.GetSecrets())
		} else {
			err = n.publishFiles(ctx, v)
		}
	}
	if err != nil {
		return nil, unavailable(v, err)
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// unavailable makes the kubelet try again and unpublish in the end.
func unavailable(v records.Volume, err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	if v.Role == names.RoleSidecar {
		return status.Errorf(codes.Unavailable, "volume %s of pod %s/%s: %v", v.ID, v.Pod.Namespace, v.Pod.Name, err)
	}
	return status.Errorf(codes.Unavailable, "volume %s of runtime %s: %v", v.ID, v.Runtime, err)
}

// admit notes a volume before anything of it exists. Answers the runtime.
func (n *Node) putRecord(v records.Volume, begin func(*runtime) error) (*runtime, error) {
	r := n.lockedRuntime(v.Runtime)
	defer r.mu.Unlock()
	if _, ok := n.store.Get(v.Target); !ok {
		if err := n.store.Put(v); err != nil {
			return nil, err
		}
	}
	r.emptySince = time.Time{}
	if begin == nil {
		return r, nil
	}
	return r, begin(r)
}

// publishFiles shows the runtime's files at the target, once they are served.
func (n *Node) publishFiles(ctx context.Context, v records.Volume) error {
	r, err := n.putRecord(v, func(r *runtime) error {
		r.labelWanted = true
		return r.manager.Ensure(ctx)
	})
	if err != nil {
		return err
	}
	if n.shows(v.Target, r.manager) {
		return nil
	}
	// The label brings a server here; one that is here needs no API server.
	if err := n.syncLabel(ctx, r); err != nil && r.manager.Serving() != nil {
		return err
	}
	before, renewed, err := n.table.Top(v.Target)
	if err != nil {
		return err
	}
	if err := n.awaitServer(ctx, r); err != nil {
		return err
	}
	if err := n.clearTarget(v.Target); err != nil {
		return err
	}
	if err := mounts.MakeDir(v.Target); err != nil {
		return err
	}
	touching, cancel := context.WithTimeout(ctx, fileSystemTimeout)
	defer cancel()
	if err := mounts.BindWithin(touching, r.manager.Mountpoint(), v.SubPath, v.Target, v.ReadOnly); err != nil {
		_ = os.Remove(v.Target)
		return err
	}
	n.log.Info("published", "runtime", r.id.String(), "target", v.Target, "pod", v.Pod.Namespace+"/"+v.Pod.Name, "renewed", renewed)
	if renewed {
		n.config.Cluster.RecordEvent(v.Pod, "MountRenewed", fmt.Sprintf(
			"the mount of runtime %s on node %s was made anew (device %s before): containers that run since before get \"Transport endpoint is not connected\" from volume %s until they are restarted; new ones read", r.id, n.config.Name, before.Device, v.ID))
	}
	return nil
}

// shows says that the target shows the living mount of a holder.
func (n *Node) shows(target string, held *mountmanager.Manager) bool {
	device := held.Device()
	top, there, err := n.table.Top(target)
	return err == nil && there && device != "" && top.Device == device
}

func (n *Node) awaitServer(ctx context.Context, r *runtime) error {
	ctx, cancel := context.WithTimeout(ctx, n.config.PublishTimeout)
	defer cancel()
	if err := r.manager.Wait(ctx); err != nil {
		return fmt.Errorf("%w: its pod is of DaemonSet %s, see \"kubectl get pods -n %s -o wide\"", err, names.Component(r.id.Name, "fuse"), r.id.Namespace)
	}
	return nil
}

// clearTarget of what the plugin mounted there before.
func (n *Node) clearTarget(target string) error {
	if err := n.table.CheckOurs(target); err != nil {
		return err
	}
	return n.table.Clear(target)
}

// NodeUnpublishVolume takes a volume away, whoever still uses it.
func (n *Node) NodeUnpublishVolume(_ context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	id, target := req.GetVolumeId(), req.GetTargetPath()
	if err := n.checkTarget(id, target); err != nil {
		return nil, err
	}
	release, ok := n.targets.tryLock(target)
	if !ok {
		return nil, status.Errorf(codes.Aborted, "volume %s: another call works on %s", id, target)
	}
	defer release()
	v, known := n.store.Get(target)
	if known && v.ID != id {
		return nil, status.Errorf(codes.NotFound, "%s has volume %s, not %s", target, v.ID, id)
	}
	if err := n.unpublish(v, known, target); err != nil {
		return nil, status.Errorf(codes.Internal, "volume %s: %v", id, err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

func (n *Node) unpublish(v records.Volume, known bool, target string) error {
	if v.Sidecar || v.Role == names.RoleSidecar {
		return n.unpublishSidecar(v)
	}
	if known && v.Role == names.RoleFuse {
		r := n.runtime(v.Runtime)
		r.setUnpublishing(target, true)
		defer r.setUnpublishing(target, false)
		n.updateHandoff(r)
	}
	if known && v.Role == names.RoleFuse {
		if err := n.clearInline(n.privateDir(v), target); err != nil {
			return err
		}
	}
	free := n.clearTarget
	if known {
		free = n.table.Clear
	}
	if err := free(target); err != nil {
		return err
	}
	// Not RemoveAll: nothing that is not the plugin's goes with it.
	if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the target: %w", err)
	}
	if !known {
		return nil
	}
	r := n.lockedRuntime(v.Runtime)
	defer r.mu.Unlock()
	if err := n.store.Delete(target); err != nil {
		return err
	}
	n.unmountUnused(r, v)
	n.log.Info("unpublished", "runtime", r.id.String(), "target", target)
	return nil
}

// settle undoes what nobody needs after a volume went. r.mu is held.
func (n *Node) unmountUnused(r *runtime, went records.Volume) {
	left := n.store.Of(r.id)
	if len(left) == 0 {
		r.emptySince = time.Now()
	}
	for _, v := range left {
		if v.Shared() {
			return
		}
	}
	if went.Shared() && went.CleanPolicy == string(v1alpha1.OnDemandCleanPolicy) {
		r.labelWanted = false
		r.manager.Unmount()
	}
}
