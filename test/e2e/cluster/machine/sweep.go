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

// removal bounds the end of a cluster.
const removal = 30 * time.Second

// Remove ends every process of id and removes its namespaces and cgroups, and
// the mount points when it was the last.
func Remove(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, removal)
	defer cancel()
	if err := killCgroups(ctx, id); err != nil {
		return err
	}
	return errors.Join(removeNetworks(id), removeCgroups(ctx, id), removeMountpoints())
}

// Sweep removes what control processes left that run no more, whatever state
// directory they had.
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

// left lists the ids of everything that clusters made on this machine.
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

// Root says whether this process may make a cluster.
func Root() error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root: it makes namespaces, control groups and mounts; run it with sudo")
	}
	return nil
}
