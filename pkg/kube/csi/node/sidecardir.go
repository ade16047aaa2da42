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

// A pod with a FUSE server of its own has one place on the node: a tree in
// memory with a folder for each of its volumes, shown to the server by the pod's
// inline volume. Whichever volume is published first makes it; whichever goes
// last takes it away. Containers start after all volumes are published, so every
// mount in the tree is there by then; what comes later is a file in it.
const (
	// placeSize bounds a place, and scratchSize what its server may write beside
	// the volumes' own states.
	sidecarDirSize = 16 << 20
	scratchSize    = 1 << 20
)

func (n *Node) sidecarDir(uid string) string { return filepath.Join(n.dir(), "sidecars", uid) }

func (n *Node) sidecarView(uid string) string { return filepath.Join(n.sidecarDir(uid), "view") }

// folder of a volume, as it is in the place and wherever the place is shown.
func (n *Node) volumeDir(v records.Volume) string { return volumeDirIn(n.sidecarView(v.Pod.UID), v) }

func volumeDirIn(place string, v records.Volume) string {
	return filepath.Join(place, names.SidecarMounts, v.ID)
}

// stateOf a volume is on disk: it outlives the server's container, and may be
// large.
func (n *Node) volumeStateDir(v records.Volume) string {
	return filepath.Join(n.sidecarDir(v.Pod.UID), names.StateDir, v.ID)
}

// publishPlace shows a pod's place to its FUSE server.
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
	n.log.Info("a pod brings its own FUSE server", "pod", v.Pod.Namespace+"/"+v.Pod.Name, "volumes", v.Handles)
	return nil
}

// ensurePlace makes what every place has. placesMu is held.
func (n *Node) ensureSidecarDir(uid string) error {
	view := n.sidecarView(uid)
	top, there, err := n.table.Top(view)
	if err != nil || there && top.Source == mounts.Source {
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

// makeOpen makes a directory that other users get into, whatever the umask.
func makeDirWithMode(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	return nil
}

// showsPlace says that the inline volume is in place.
func (n *Node) showsSidecarDir(v records.Volume) bool {
	view, there, err := n.table.Top(n.sidecarView(v.Pod.UID))
	if err != nil || !there {
		return false
	}
	shown, there, err := n.table.Top(v.Target)
	return err == nil && there && shown.Source == mounts.Source && shown.Device == view.Device
}

// furnish makes a volume's folder: what its server needs to know, the sockets of
// the runtime's workers on this node, and a directory for what one container of
// the server leaves to the next.
func (n *Node) prepareVolumeDir(v records.Volume, sockets string, files map[string]string) error {
	n.sidecarDirsMu.Lock()
	defer n.sidecarDirsMu.Unlock()
	if err := n.ensureSidecarDir(v.Pod.UID); err != nil {
		return err
	}
	folder, state := n.volumeDir(v), n.volumeStateDir(v)
	if err := makeDirWithMode(state, 0o777|os.ModeSticky); err != nil {
		return err
	}
	if err := makeDirWithMode(folder, 0o755); err != nil {
		return err
	}
	places := []string{n.sidecarView(v.Pod.UID)}
	for _, other := range n.store.OfPod(v.Pod.UID) {
		if other.Role == names.RoleSidecar && n.showsSidecarDir(other) {
			places = append(places, other.Target)
		}
	}
	// Where mounts propagate, the first of these is seen in all places.
	for _, place := range places {
		if err := n.bindOnce(sockets, filepath.Join(volumeDirIn(place, v), names.SocketsDir), mounts.BindReadOnly); err != nil {
			return err
		}
		if err := n.bindOnce(state, filepath.Join(volumeDirIn(place, v), names.StateDir), mounts.Bind); err != nil {
			return err
		}
	}
	for name, data := range files {
		if err := writeChanged(filepath.Join(folder, name), []byte(data)); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) bindOnce(from, point string, bind func(from, point string) error) error {
	if _, there, err := n.table.Top(point); err != nil || there {
		return err
	}
	if err := mounts.MakeDir(point); err != nil {
		return err
	}
	return bind(from, point)
}

// clearFolder takes a volume's folder out of its place.
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
	// What is removed must be ours: no mount may be left in it.
	if err := n.table.Clear(n.volumeDir(v)); err != nil {
		return err
	}
	for _, dir := range []string{n.volumeDir(v), n.volumeStateDir(v)} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("removing what served the volume: %w", err)
		}
	}
	return nil
}

// leavePlace removes the place of a pod without volumes that need it.
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
		return fmt.Errorf("removing the place of a FUSE server: %w", err)
	}
	return nil
}
