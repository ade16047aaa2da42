package machine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// private returns the directories of which each node has its own, and the names of
// the directories that are mounted there. Host paths of tests must be among them,
// so that nodes do not share them.
func private() map[string]string {
	return map[string]string{
		"/var/lib/kubelet":    "kubelet",
		"/etc/cni/net.d":      "cni",
		"/var/lib/cni":        "cni-state",
		"/var/log/pods":       "log-pods",
		"/var/log/containers": "log-containers",
		"/mnt":                "mnt",
		"/runtime-mnt":        "runtime-mnt",
	}
}

// memory returns the directories of each node that are in memory.
func memory() []string { return []string{"/run/containerd", "/run/netns", "/dev/shm"} }

// madeFile lists the directories that clusters created as mount points, one per
// line, parents first. The cluster that ends last removes them, because removing a
// directory unmounts it in every namespace.
const madeFile = "/run/" + Prefix + "made"

// MakeMountpoints creates the directories that nodes mount on.
func MakeMountpoints() error {
	made, unlock, err := openMade()
	if err != nil {
		return err
	}
	defer unlock()
	paths := memory()
	for path := range private() {
		paths = append(paths, path)
	}
	for _, path := range paths {
		for _, at := range missing(path) {
			if _, err := made.WriteString(at + "\n"); err != nil {
				return err
			}
			if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return nil
}

// missing returns path and its parents that do not exist, parents first.
func missing(path string) []string {
	if _, err := os.Stat(path); err == nil || path == "/" {
		return nil
	}
	return append(missing(filepath.Dir(path)), path)
}

// removeMountpoints removes the directories that clusters created, unless another
// cluster uses them. A directory that is not empty is kept.
func removeMountpoints() error {
	made, unlock, err := openMade()
	if err != nil {
		return err
	}
	defer unlock()
	if len(left()) > 0 {
		return nil
	}
	raw, err := io.ReadAll(made)
	if err != nil {
		return err
	}
	lines := strings.Fields(string(raw))
	for i := len(lines) - 1; i >= 0; i-- {
		_ = os.Remove(lines[i])
	}
	return os.Remove(madeFile)
}

func openMade() (*os.File, func(), error) {
	for {
		f, err := os.OpenFile(madeFile, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
		if err != nil {
			return nil, nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			return nil, nil, errors.Join(err, f.Close())
		}
		// Another process may have removed the file before this one held the lock.
		here, hereErr := f.Stat()
		there, thereErr := os.Stat(madeFile)
		if hereErr == nil && thereErr == nil && os.SameFile(here, there) {
			return f, func() { _ = f.Close() }, nil
		}
		_ = f.Close()
	}
}

// Furnish mounts the private directories of a node, stored in dir, in the mount
// namespace of this process, which must not be shared.
func Furnish(dir string) error {
	// Mounts must not propagate to the machine, but must propagate to the mount
	// namespaces of pods.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("separating mounts: %w", err)
	}
	for path, name := range private() {
		from := filepath.Join(dir, name)
		if err := os.MkdirAll(from, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(from, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("binding %s: %w", path, err)
		}
	}
	for _, path := range memory() {
		if err := unix.Mount(Prefix+"node", path, "tmpfs", 0, "mode=1777"); err != nil {
			return fmt.Errorf("mount memory on %s: %w", path, err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("sharing mounts with pods: %w", err)
	}
	return nil
}
