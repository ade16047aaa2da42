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

// NodePublishVolume mounts a volume at its target. The kubelet repeats the call
// about once a second, because the driver sets requiresRepublish.
func (n *Node) NodePublishVolume(ctx context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	v, err := n.volumeOf(req)
	if err != nil {
		return nil, err
	}
	release, ok := n.targets.tryLock(v.Target)
	if !ok {
		return nil, status.Errorf(codes.Aborted, "volume %s: another operation on %s is in progress", v.ID, v.Target)
	}
	defer release()
	before, known := n.store.Get(v.Target)
	if known {
		v.Sidecar = before.Sidecar
	} else if err := n.admit(ctx, &v); err != nil {
		return nil, unavailable(v, err)
	}
	if known {
		if !v.Same(before) {
			return nil, status.Errorf(codes.AlreadyExists, "volume %s: volume %s of runtime %s is already published at %s, possibly with other attributes; unpublish it first", v.ID, before.ID, before.Runtime, v.Target)
		}
		v.Since = before.Since
	}
	if err := n.publish(ctx, v, req.GetSecrets()); err != nil {
		return nil, unavailable(v, err)
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// admit checks the pod of a volume that is not published yet, and sets v.Sidecar.
//
// A worker's volume is the writable directory of the workers' sockets, and a FUSE
// server's volume gives it the mount of all readers on this node: with either, a pod
// could serve forged bytes. So they are for the runtime's own pods only.
func (n *Node) admit(ctx context.Context, v *records.Volume) error {
	if v.Role == names.RoleFuse || v.Role == names.RoleWorker {
		return n.config.Cluster.CheckOwned(ctx, v.Pod, v.Runtime, v.Role)
	}
	var err error
	v.Sidecar, err = n.hasSidecar(ctx, *v)
	return err
}

// publish publishes a volume according to its role.
func (n *Node) publish(ctx context.Context, v records.Volume, secrets map[string]string) error {
	switch {
	case v.Role == names.RoleFuse:
		return n.publishSession(v, secrets)
	case v.Role == names.RoleWorker:
		return n.publishSockets(v)
	case v.Role == names.RoleSidecar:
		return n.publishSidecar(v)
	case v.Sidecar:
		return n.publishSidecarMount(ctx, v, secrets)
	}
	return n.publishFiles(ctx, v)
}

// unavailable wraps an error in the code Unavailable, after which the kubelet
// retries and eventually unpublishes. Errors with a code are returned unchanged.
func unavailable(v records.Volume, err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	if v.Role == names.RoleSidecar {
		return status.Errorf(codes.Unavailable, "volume %s of pod %s/%s: %v", v.ID, v.Pod.Namespace, v.Pod.Name, err)
	}
	return status.Errorf(codes.Unavailable, "volume %s of runtime %s: %v", v.ID, v.Runtime, err)
}

// putRecord records a volume before anything of it is created, calls begin, if
// not nil, with r.mu held, and returns the volume's runtime.
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

// publishFiles binds the runtime's shared mount to the target once it has a
// server.
func (n *Node) publishFiles(ctx context.Context, v records.Volume) error {
	r, err := n.putRecord(v, func(r *runtime) error {
		r.labelWanted, r.label = true, nodeLabel(v)
		return r.manager.Ensure(ctx)
	})
	if err != nil {
		return err
	}
	if n.shows(v.Target, r.manager) {
		return nil
	}
	// The label makes the DaemonSet start a server here. If a server is running
	// already, an unavailable API server does not matter.
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
	if err := n.bindFiles(ctx, v, r); err != nil {
		return err
	}
	n.log.Info("published", "runtime", r.id.String(), "target", v.Target, "pod", v.Pod.Namespace+"/"+v.Pod.Name, "renewed", renewed, "previousDevice", before.Device)
	if renewed {
		n.config.Cluster.RecordEvent(v.Pod, "MountRenewed", fmt.Sprintf(
			"the mount of runtime %s on node %s was replaced: containers that were started before get \"Transport endpoint is not connected\" from volume %s until they are restarted", r.id, n.config.Name, v.ID))
	}
	return nil
}

// bindFiles binds the runtime's shared mount to the target.
func (n *Node) bindFiles(ctx context.Context, v records.Volume, r *runtime) error {
	if err := n.clearTarget(v.Target); err != nil {
		return err
	}
	if err := mounts.MakeDir(v.Target); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fileSystemTimeout)
	defer cancel()
	if err := mounts.BindWithin(ctx, r.manager.Mountpoint(), v.SubPath, v.Target, v.ReadOnly); err != nil {
		_ = os.Remove(v.Target)
		return err
	}
	return nil
}

// shows reports whether target is a bind mount of the manager's live mount.
func (n *Node) shows(target string, manager *mountmanager.Manager) bool {
	device := manager.Device()
	top, mounted, err := n.table.Top(target)
	return err == nil && mounted && device != "" && top.Device == device
}

func (n *Node) awaitServer(ctx context.Context, r *runtime) error {
	ctx, cancel := context.WithTimeout(ctx, n.config.PublishTimeout)
	defer cancel()
	if err := r.manager.Wait(ctx); err != nil {
		return fmt.Errorf("%w: check the pods of DaemonSet %s with \"kubectl get pods -n %s -o wide\"", err, names.Component(r.id.Name, "fuse"), r.id.Namespace)
	}
	return nil
}

// clearTarget unmounts what this driver mounted at target. It returns an error if
// target has a mount of another driver.
func (n *Node) clearTarget(target string) error {
	if err := n.table.CheckOurs(target); err != nil {
		return err
	}
	return n.table.Clear(target)
}

// NodeUnpublishVolume unmounts a volume and removes its target, also if it is in
// use.
func (n *Node) NodeUnpublishVolume(_ context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	id, target := req.GetVolumeId(), req.GetTargetPath()
	if err := n.checkTarget(id, target); err != nil {
		return nil, err
	}
	release, ok := n.targets.tryLock(target)
	if !ok {
		return nil, status.Errorf(codes.Aborted, "volume %s: another operation on %s is in progress", id, target)
	}
	defer release()
	v, known := n.store.Get(target)
	if known && v.ID != id {
		return nil, status.Errorf(codes.NotFound, "volume %s is not published at %s, volume %s is", id, target, v.ID)
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
	unmount := n.clearTarget
	if known {
		unmount = n.table.Clear
	}
	if err := unmount(target); err != nil {
		return err
	}
	// Not RemoveAll: files that the plugin did not create must remain.
	if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", target, err)
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
	n.log.Info("unpublished", "runtime", r.id.String(), "target", target, "pod", v.Pod.Namespace+"/"+v.Pod.Name)
	return nil
}

// unmountUnused unmounts the runtime's shared mount after the removal of its last
// shared volume, if the clean policy is OnDemand. r.mu must be held.
func (n *Node) unmountUnused(r *runtime, removed records.Volume) {
	left := n.store.Of(r.id)
	if len(left) == 0 {
		r.emptySince = time.Now()
	}
	for _, v := range left {
		if v.Shared() {
			return
		}
	}
	if removed.Shared() && removed.CleanPolicy == string(v1alpha1.OnDemandCleanPolicy) {
		r.labelWanted = false
		r.manager.Unmount()
	}
}
