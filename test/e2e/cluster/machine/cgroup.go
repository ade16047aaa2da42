// Package machine creates and removes the resources of a cluster on a Linux
// machine: cgroups, network namespaces, mount points and processes. Their names
// contain the pid of the control process, so that a later run removes exactly what
// a killed one left.
package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Prefix is the prefix of the names of a cluster's resources.
const Prefix = "jindo-kube-"

// ID returns the prefix of the resources of the control process pid.
func ID(pid int) string { return Prefix + strconv.Itoa(pid) }

// hierarchy is one mounted tree of control groups.
type hierarchy struct {
	root    string
	unified bool
}

// hierarchies returns every mounted tree. On a hybrid machine runc creates groups in
// the version 2 tree too, which has no controllers there.
func hierarchies() ([]hierarchy, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var found []hierarchy
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(kind) < 1 {
			continue
		}
		switch {
		case kind[0] == "cgroup":
			found = append(found, hierarchy{root: fields[4]})
		case kind[0] == "cgroup2":
			found = append(found, hierarchy{root: fields[4], unified: true})
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no control groups are mounted under /sys/fs/cgroup")
	}
	return found, nil
}

// MakeCgroup creates path in every hierarchy.
func MakeCgroup(path string) error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	for _, tree := range trees {
		if err := tree.make(path); err != nil {
			return fmt.Errorf("create control group %s: %w", path, err)
		}
	}
	return nil
}

func (h hierarchy) make(path string) error {
	at := h.root
	for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
		parent := at
		at = filepath.Join(at, part)
		if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if h.unified {
			if err := delegate(parent); err != nil {
				return err
			}
			continue // without controllers, on a hybrid machine, delegating does nothing
		}
		// A new cpuset is empty, and nothing can run in it.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(parent, file))
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(at, file), value, 0o644)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// delegate enables every controller of a version 2 group for its children.
func delegate(dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(raw)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("enabling %s below %s: %w", controller, dir, err)
		}
	}
	return nil
}

// Join moves this process, and so its future children, into path.
func Join(path string) error {
	tree, err := tracking()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tree.root, path, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return fmt.Errorf("join control group %s: %w", path, err)
	}
	return nil
}

// tracking returns the tree that records a cluster's own processes. One suffices,
// because no limits are set.
func tracking() (hierarchy, error) {
	trees, err := hierarchies()
	if err != nil {
		return hierarchy{}, err
	}
	for _, tree := range trees {
		if filepath.Base(tree.root) == "pids" {
			return tree, nil
		}
	}
	for _, tree := range trees {
		if tree.unified {
			return tree, nil
		}
	}
	return hierarchy{}, errors.New("there is neither a pids nor a version 2 hierarchy of control groups")
}

// killCgroups ends every process in the groups of id but this one.
func killCgroups(ctx context.Context, id string) error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	for {
		left := map[int]bool{}
		for _, tree := range trees {
			for _, dir := range groups(filepath.Join(tree.root, id)) {
				for _, pid := range members(dir) {
					left[pid] = true
				}
			}
		}
		delete(left, os.Getpid())
		if len(left) == 0 {
			return nil
		}
		for pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stop %d processes of %s: %w", len(left), id, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// removeCgroups removes the groups of id, which must hold no process except
// possibly this one.
func removeCgroups(ctx context.Context, id string) error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	failed := Join("/")
	for _, tree := range trees {
		dirs := groups(filepath.Join(tree.root, id))
		slices.Reverse(dirs)
		for _, dir := range dirs {
			failed = errors.Join(failed, removeGroup(ctx, dir))
		}
	}
	return failed
}

// removeGroup removes a group, and retries while the kernel still counts an ended
// process.
func removeGroup(ctx context.Context, dir string) error {
	for {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// groups returns dir and every group below it, parents first.
func groups(dir string) []string {
	var found []string
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			found = append(found, path)
		}
		return nil
	})
	return found
}

func members(dir string) []int {
	raw, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(raw)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
