package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Namespaces is the directory of ip(8) for named network namespaces.
const Namespaces = "/run/netns"

// NameNetwork gives the network namespace of process pid a name.
func NameNetwork(pid int, name string) error {
	if err := os.MkdirAll(Namespaces, 0o755); err != nil {
		return err
	}
	path := filepath.Join(Namespaces, name)
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/%d/ns/net", pid), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("name network namespace %s: %w", name, err)
	}
	return nil
}

func removeNetworks(id string) error {
	found, err := filepath.Glob(filepath.Join(Namespaces, id+"*"))
	if err != nil {
		return err
	}
	var failed error
	for _, path := range found {
		if name := filepath.Base(path); name != id && !strings.HasPrefix(name, id+"-") {
			continue
		}
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			failed = errors.Join(failed, fmt.Errorf("unmounting %s: %w", path, err))
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	_ = os.Remove(Namespaces) // only when it is empty
	return failed
}

// IP runs ip(8) in the named network namespace, or in this one.
func IP(ctx context.Context, namespace string, args ...string) error {
	if namespace != "" {
		args = append([]string{"-n", namespace}, args...)
	}
	return Run(ctx, "ip", args...)
}

// Run runs a command; the error contains its output.
func Run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Set writes a kernel setting of this network namespace. Settings that the kernel
// does not have are ignored.
func Set(name, value string) error {
	path := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.WriteFile(path, []byte(value), 0o644)
}
