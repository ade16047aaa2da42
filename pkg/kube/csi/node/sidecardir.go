//go:build linux

package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jindo-io/jindo/pkg/kube/csi/mounts"
	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// A pod with a FUSE sidecar has one directory on the node, the sidecar directory.
// Its view is a tmpfs with a directory for each of the pod's volumes; the pod's
// inline volume shows it to the sidecar. The first published volume creates the
// sidecar directory, the last unpublished one removes it. Containers start after
// all volumes are published, so every mount in the view exists by then; later
// changes are files only.
const (
	// sidecarDirSize is the size of a view, and scratchSize the size of the
	// sidecar's writable directory in it, in bytes.
	sidecarDirSize = 16 << 20
	scratchSize    = 1 << 20
)

func (n *Node) sidecarDir(uid string) string { return filepath.Join(n.dir(), "sidecars", uid) }

func (n *Node) sidecarView(uid string) string { return filepath.Join(n.sidecarDir(uid), "view") }

// volumeDir returns the directory of a volume in the view.
func (n *Node) volumeDir(v records.Volume) string { return volumeDirIn(n.sidecarView(v.Pod.UID), v) }

// volumeDirIn returns the directory of a volume in a view or in a bind mount of it.
func volumeDirIn(view string, v records.Volume) string {
	return filepath.Join(view, names.SidecarMounts, v.ID)
}

// volumeStateDir returns the directory for the sidecar's state of a volume. It is
// on disk because it must survive the container and may be large.
func (n *Node) volumeStateDir(v records.Volume) string {
	return filepath.Join(n.sidecarDir(v.Pod.UID), names.StateDir, v.ID)
}

// publishSidecar publishes the sidecar's inline volume.
func (n *Node) publishSidecar(v records.Volume) error {
	n.sidecarDirsMu.Lock()
	defer n.sidecarDirsMu.Unlock()
	if _, known := n.store.Get(v.Target); !known {
		if err := n.store.Put(v); err != nil {
			return err
		}
	}
	if err := n.ensureSidecarDir(v.Pod.UID); err != nil {
		return err
	}
	if n.showsSidecarDir(v) {
		return nil
	}
	if err := n.clearTarget(v.Target); err != nil {
		return err
	}
	if err := mounts.MakeDir(v.Target); err != nil {
		return err
	}
	if err := mounts.BindTree(n.sidecarView(v.Pod.UID), v.Target); err != nil {
		return err
	}
	n.log.Info("published inline volume of a sidecar", "pod", v.Pod.Namespace+"/"+v.Pod.Name, "volumes", v.Handles)
	return nil
}

// ensureSidecarDir creates the view of a pod, with sidecarDirsMu held.
func (n *Node) ensureSidecarDir(uid string) error {
	view := n.sidecarView(uid)
	top, mounted, err := n.table.Top(view)
	if err != nil || mounted && top.Source == mounts.Source {
		return err
	}
	scratch := filepath.Join(view, names.StateDir)
	for _, step := range []func() error{
		func() error { return n.clearTarget(view) },
		func() error { return mounts.MakeDir(view) },
		func() error { return mounts.Tmpfs(view, sidecarDirSize) },
		func() error { return makeDirWithMode(filepath.Join(view, names.SidecarMounts), 0o755) },
		func() error { return mounts.MakeDir(scratch) },
		func() error { return mounts.Tmpfs(scratch, scratchSize) },
		func() error { return makeDirWithMode(scratch, 0o777|os.ModeSticky) },
	} {
		if err := step(); err != nil {
			return errors.Join(err, n.table.Clear(view))
		}
	}
	return nil
}

// makeDirWithMode creates a directory with the given mode, regardless of the
// umask.
func makeDirWithMode(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create %s: %w", dir, err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		return fmt.Errorf("create %s: %w", dir, err)
	}
	return nil
}

// showsSidecarDir reports whether an inline volume is a bind mount of the pod's
// view.
func (n *Node) showsSidecarDir(v records.Volume) bool {
	view, mounted, err := n.table.Top(n.sidecarView(v.Pod.UID))
	if err != nil || !mounted {
		return false
	}
	target, mounted, err := n.table.Top(v.Target)
	return err == nil && mounted && target.Source == mounts.Source && target.Device == view.Device
}

// prepareVolumeDir creates a volume's directory with files, the sockets of the
// runtime's workers on this node, and the state directory, in which a sidecar
// container leaves state for its successor.
func (n *Node) prepareVolumeDir(v records.Volume, sockets string, files map[string]string) error {
	n.sidecarDirsMu.Lock()
	defer n.sidecarDirsMu.Unlock()
	if err := n.ensureSidecarDir(v.Pod.UID); err != nil {
		return err
	}
	dir, state := n.volumeDir(v), n.volumeStateDir(v)
	if err := makeDirWithMode(state, 0o777|os.ModeSticky); err != nil {
		return err
	}
	if err := makeDirWithMode(dir, 0o755); err != nil {
		return err
	}
	views := []string{n.sidecarView(v.Pod.UID)}
	for _, other := range n.store.OfPod(v.Pod.UID) {
		if other.Role == names.RoleSidecar && n.showsSidecarDir(other) {
			views = append(views, other.Target)
		}
	}
	// If mounts propagate, the first bind mount appears in all views.
	for _, view := range views {
		if err := n.bindOnce(sockets, filepath.Join(volumeDirIn(view, v), names.SocketsDir), mounts.BindReadOnly); err != nil {
			return err
		}
		if err := n.bindOnce(state, filepath.Join(volumeDirIn(view, v), names.StateDir), mounts.Bind); err != nil {
			return err
		}
	}
	for name, data := range files {
		if err := writeChanged(filepath.Join(dir, name), []byte(data)); err != nil {
			return err
		}
	}
	return nil
}

// bindOnce binds from to point unless something is mounted on point.
func (n *Node) bindOnce(from, point string, bind func(from, point string) error) error {
	if _, mounted, err := n.table.Top(point); err != nil || mounted {
		return err
	}
	if err := mounts.MakeDir(point); err != nil {
		return err
	}
	return bind(from, point)
}

// removeVolumeDir unmounts and removes a volume's directory and its state.
func (n *Node) removeVolumeDir(v records.Volume) error {
	n.sidecarDirsMu.Lock()
	defer n.sidecarDirsMu.Unlock()
	for _, other := range n.store.OfPod(v.Pod.UID) {
		if other.Role == names.RoleSidecar {
			if err := n.table.Clear(volumeDirIn(other.Target, v)); err != nil {
				return err
			}
		}
	}
	// RemoveAll below must not descend into a mount.
	if err := n.table.Clear(n.volumeDir(v)); err != nil {
		return err
	}
	for _, dir := range []string{n.volumeDir(v), n.volumeStateDir(v)} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove %s: %w", dir, err)
		}
	}
	return nil
}

// removeSidecarDir removes the sidecar directory of a pod unless a volume still
// needs it.
func (n *Node) removeSidecarDir(uid string) error {
	n.sidecarDirsMu.Lock()
	defer n.sidecarDirsMu.Unlock()
	for _, v := range n.store.OfPod(uid) {
		if v.Sidecar || v.Role == names.RoleSidecar {
			return nil
		}
	}
	if err := n.clearTarget(n.sidecarDir(uid)); err != nil {
		return err
	}
	if err := os.RemoveAll(n.sidecarDir(uid)); err != nil {
		return fmt.Errorf("remove sidecar directory: %w", err)
	}
	return nil
}
