package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// removal is the timeout for removing a cluster.
const removal = 30 * time.Second

// Remove kills every process of id and removes its namespaces and cgroups, and the
// mount points if no cluster is left.
func Remove(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, removal)
	defer cancel()
	if err := killCgroups(ctx, id); err != nil {
		return err
	}
	return errors.Join(removeNetworks(id), removeCgroups(ctx, id), removeMountpoints())
}

// Sweep removes what ended control processes left, regardless of their state
// directory, and returns their ids.
func Sweep(ctx context.Context) ([]string, error) {
	var swept []string
	var failed error
	for id := range left() {
		pid, err := strconv.Atoi(strings.TrimPrefix(id, Prefix))
		if err != nil || controls(pid) {
			continue
		}
		swept = append(swept, id)
		failed = errors.Join(failed, Remove(ctx, id))
	}
	return swept, failed
}

// left returns the ids of the clusters that have resources on this machine.
func left() map[string]bool {
	patterns := []string{filepath.Join(Namespaces, Prefix+"*")}
	if trees, err := hierarchies(); err == nil {
		for _, tree := range trees {
			patterns = append(patterns, filepath.Join(tree.root, Prefix+"*"))
		}
	}
	ids := map[string]bool{}
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern)
		for _, path := range found {
			name := strings.TrimPrefix(filepath.Base(path), Prefix)
			pid, _, _ := strings.Cut(name, "-")
			ids[Prefix+pid] = true
		}
	}
	return ids
}

// Root returns an error unless this process may create a cluster.
func Root() error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root: it makes namespaces, control groups and mounts; run it with sudo")
	}
	return nil
}
