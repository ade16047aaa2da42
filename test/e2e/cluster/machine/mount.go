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

// madeFile lists the directories of the machine that clusters made to mount
// upon, a line each, parents first. Whoever ends last removes them: removing a
// directory ends the mounts upon it in every namespace.
const madeFile = "/run/" + Prefix + "made"

// MakeMountpoints makes the directories that nodes mount upon.
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

// missing lists path and those above it that are not there, parents first.
func missing(path string) []string {
	if _, err := os.Stat(path); err == nil || path == "/" {
		return nil
	}
	return append(missing(filepath.Dir(path)), path)
}

// removeMountpoints removes what clusters made, unless one is left that uses
// it. A directory that somebody put something into stays.
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
		// Another may have removed it before the lock was ours.
		here, hereErr := f.Stat()
		there, thereErr := os.Stat(madeFile)
		if hereErr == nil && thereErr == nil && os.SameFile(here, there) {
			return f, func() { _ = f.Close() }, nil
		}
		_ = f.Close()
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
