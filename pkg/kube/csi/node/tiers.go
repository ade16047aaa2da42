//go:build linux

package node

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// The plugin registers cached files with the kernel for FUSE servers, which lack the
// privilege (see the broker of package fusefd). A server of a mount may register
// files only that are in a tier of the workers of the mount's runtime.
//
// FUSE servers, sidecars above all, are hostile: a user of a namespace may run any
// program in their place. A registration gives such a server no bytes that it could
// not read: it holds the file open for reading, and the kernel shows the registered
// file to readers of the server's own mount only, to which the server could reply
// with the same bytes. What it could gain from a registration of any file is
//
//   - that the plugin, as root in the node's user namespace, opens a special file, or
//     opens for reading what the server may only write or only name: the broker
//     refuses other than regular files, and descriptors that are not read-only;
//   - that a file, and the file system and volume that it is on, stays in use after
//     its pod has ended, or that readers wait for a file system that it controls: the
//     check below refuses volumes other than tiers;
//   - memory of the kernel and of the plugin: the broker bounds the registrations of
//     each mount and the requests in progress.
//
// The directories of tiers are derived from what users of a namespace cannot choose:
// the uids of pods that were verified to be the runtime's own workers, below the
// directory of the kubelet, and the namespace and name of the runtime below the
// directories that the administrator allows. Paths that the server sends are not
// trusted; files are compared by device and inode.
//
// Limits: workers run in the runtime's namespace, so its users can put any bytes into
// its tiers; a runtime with the namespace and name of an earlier one has the tiers of
// the earlier one too.

// tierPrefix begins the names of the volumes of a worker's tiers. The controller
// chooses the names, and names of a pod's volumes are unique.
const tierPrefix = "tier-"

// tiers opens the directories of the tiers of a runtime's workers on this node.
// Directories that do not exist are left out.
func (n *Node) tiers(id records.Runtime) []*os.File {
	return append(n.emptyDirTiers(id), n.hostPathTiers(id)...)
}

// emptyDirTiers opens the tiers in emptyDirs. The kubelet owns all directories above
// them, and only the pod's containers write in them.
func (n *Node) emptyDirTiers(id records.Runtime) []*os.File {
	var tiers []*os.File
	for _, v := range n.store.Of(id) {
		if v.Role != names.RoleWorker {
			continue
		}
		volumes := filepath.Join(n.config.KubeletDir, "pods", v.Pod.UID, "volumes", "kubernetes.io~empty-dir")
		entries, err := os.ReadDir(volumes)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), tierPrefix) {
				continue
			}
			dir := filepath.Join(volumes, entry.Name())
			if f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0); err == nil {
				tiers = append(tiers, f)
			}
		}
	}
	return tiers
}

// hostPathTiers opens the tiers in allowed directories of the node. It follows symlinks
// of the administrator at and above an allowed directory, as far as their targets are
// below NodeRoot too. Workers of other runtimes may write below it, so no symlink is
// followed there.
func (n *Node) hostPathTiers(id records.Runtime) []*os.File {
	if n.config.NodeRoot == "" || len(n.config.HostPaths) == 0 {
		return nil
	}
	root, err := os.OpenFile(n.config.NodeRoot, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = root.Close() }()
	var tiers []*os.File
	for _, allowed := range n.config.HostPaths {
		dir, err := openDirAt(root, allowed, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
		if err != nil {
			continue
		}
		tier, err := openDirAt(dir, names.NodeDirectory(".", id.Namespace, id.Name, "tier"), unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
		_ = dir.Close()
		if err == nil {
			tiers = append(tiers, tier)
		}
	}
	return tiers
}

// hiddenHostPaths returns the allowed directories that are not mounted in this
// container: those whose nearest existing parent is on the file system of NodeRoot
// itself. An allowed directory may be absent on a node.
func (n *Node) hiddenHostPaths() []string {
	device := func(path string) (uint64, bool) {
		var stat unix.Stat_t
		err := unix.Stat(path, &stat)
		return stat.Dev, err == nil
	}
	root, ok := device(n.config.NodeRoot)
	if !ok {
		return n.config.HostPaths
	}
	var hidden []string
	for _, allowed := range n.config.HostPaths {
		at := filepath.Clean(allowed)
		found, ok := device(filepath.Join(n.config.NodeRoot, at))
		for !ok && at != "/" {
			at = filepath.Dir(at)
			found, ok = device(filepath.Join(n.config.NodeRoot, at))
		}
		if found == root {
			hidden = append(hidden, allowed)
		}
	}
	return hidden
}

// openDirAt opens a directory by a path that starts at another one.
func openDirAt(at *os.File, path string, resolve uint64) (*os.File, error) {
	raw, err := at.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if err := raw.Control(func(start uintptr) {
		how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: resolve}
		fd, err = unix.Openat2(int(start), path, how)
	}); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}
