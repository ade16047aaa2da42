package peer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Store is the S3 store that contenders read. Endpoint is its URL.
type Store struct {
	Endpoint, Bucket, AccessKeyID, AccessKeySecret string
	// Direct is a URL of the same store without a proxy, for copying data in.
	Direct string
	// Listing is set for a store that serves listings and stores nothing.
	Listing bool
	// Source is a directory with the bucket's files.
	Source string
}

// Options configure the peers of one run.
type Options struct {
	// Dir is an empty directory of the run.
	Dir   string
	Store Store
	// CacheMiB bounds each peer's cache. s3fs and geesefs have no such setting.
	CacheMiB int
	// Begin, unless nil, starts the programs, in another network namespace for
	// example.
	Begin func(*exec.Cmd) error
}

// Peer is a file system that is mounted. Its methods are called by one goroutine.
type Peer struct {
	// Name is the program's.
	Name string
	// Root is the directory with the bucket's files.
	Root string
	// Caches is false for a peer without a cache on disk.
	Caches bool
	// Bounded is set where Options.CacheMiB bounds the cache.
	Bounded bool

	processes []*process
	mount     string
}

// start starts a peer of one kind.
type start func(ctx context.Context, o Options, dir string) (*Peer, error)

var kinds = []struct {
	name  string
	start start
}{
	{"s3fs", startS3FS}, {"rclone", startRclone}, {"geesefs", startGeesefs}, {"goofys", startGoofys}, {"juicefs", startJuiceFS},
}

// Names returns the names of all peers.
func Names() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

// Start mounts a peer. The error says what is missing where it cannot start.
func Start(ctx context.Context, name string, o Options) (*Peer, error) {
	for _, k := range kinds {
		if k.name != name {
			continue
		}
		dir := filepath.Join(o.Dir, name)
		for _, sub := range []string{"mnt", "cache"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
				return nil, fmt.Errorf("start %s: %w", name, err)
			}
		}
		p, err := k.start(ctx, o, dir)
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
		p.Name, p.Bounded = name, name == "rclone" || name == "juicefs"
		return p, nil
	}
	return nil, fmt.Errorf("start %s: it must be one of %v", name, Names())
}

// PIDs returns the processes of the peer, with those that they started.
func (p *Peer) PIDs() []int {
	return withChildren(p.processes)
}

// Client returns those processes of the peer that serve its mount.
func (p *Peer) Client() []int { return withChildren(p.processes[len(p.processes)-1:]) }

func withChildren(processes []*process) []int {
	var pids []int
	for _, process := range processes {
		pids = append(pids, process.command.Process.Pid)
	}
	children := parents()
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids
}

// Stop unmounts the peer and ends its processes.
func (p *Peer) Stop() {
	unmount(p.mount)
	for i := len(p.processes) - 1; i >= 0; i-- {
		p.processes[i].stop()
	}
}

// find returns the path of a program, of PEERS_DIR before PATH.
func find(name string) (string, error) {
	if dir := os.Getenv("PEERS_DIR"); dir != "" {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is neither on PATH nor in PEERS_DIR", name)
	}
	return path, nil
}
