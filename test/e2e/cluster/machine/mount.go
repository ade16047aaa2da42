package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// private are the directories that each node has to itself, and the names of
// what is bound there. Host paths that tests use belong here, so that a node
// is a node.
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

// memory are directories of each node that end with it.
func memory() []string { return []string{"/run/containerd", "/run/netns", "/dev/shm"} }

// MakeMountpoints makes the directories that nodes mount upon and answers
// those that were not there before, parents first.
func MakeMountpoints() ([]string, error) {
	var made []string
	paths := memory()
	for path := range private() {
		paths = append(paths, path)
	}
	for _, path := range paths {
		var missing []string
		for at := path; ; at = filepath.Dir(at) {
			if _, err := os.Stat(at); err == nil {
				break
			}
			missing = append([]string{at}, missing...)
		}
		for _, at := range missing {
			if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return made, err
			}
			made = append(made, at)
		}
	}
	return made, nil
}

// removeMountpoints removes what MakeMountpoints made and nobody uses.
func removeMountpoints(made []string) {
	for i := len(made) - 1; i >= 0; i-- {
		_ = os.Remove(made[i])
	}
}

// Furnish gives this process, alone in a mount namespace, the private
// directories of a node, whose files are kept in dir.
func Furnish(dir string) error {
	// What happens here must not reach the machine, but has to reach the
	// namespaces of pods below.
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
			return fmt.Errorf("mounting memory on %s: %w", path, err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("sharing mounts with pods: %w", err)
	}
	return nil
}
