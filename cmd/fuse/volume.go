//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

const (
	// minBackoff and maxBackoff bound the time between attempts to serve a volume.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 2 * time.Second
	// viewTimeout is the deadline of the request that finds out why a runtime is
	// unreachable.
	viewTimeout = 2 * time.Second

	// maxReadAhead bounds the read-ahead memory of all volumes, minReadAhead is
	// the least of one volume, both in bytes.
	maxReadAhead = 256 << 20
	minReadAhead = 8 << 20
)

// volume is one dataset volume of the sidecar's pod. Its methods run and ready may
// be called concurrently.
type volume struct {
	handle   string
	dir      string
	name     string
	memory   int64
	registry prometheus.Registerer
	log      *slog.Logger

	// mu guards the fields below.
	mu sync.Mutex
	// server serves the volume; while it is nil, problem is the reason.
	server  *server
	problem error
}

func newVolume(s *sidecar, handle string) *volume {
	return &volume{
		handle: handle, dir: filepath.Join(s.dir, names.SidecarMounts, handle), name: s.name, memory: maxReadAhead,
		registry: prometheus.WrapRegistererWith(prometheus.Labels{"volume": handle}, s.health.Registry),
		log:      s.log.With("volume", handle), problem: errors.New("the server of the volume is starting"),
	}
}

// run serves the volume until the context ends. It retries with backoff after
// every error.
func (v *volume) run(ctx context.Context) {
	backoff, lastLog := minBackoff, time.Time{}
	for {
		began := time.Now()
		err := v.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		v.setState(nil, err)
		if time.Since(lastLog) > logInterval {
			v.log.Warn("the volume is not served; retrying", "error", err)
			lastLog = time.Now()
		}
		if time.Since(began) > maxBackoff {
			backoff = minBackoff
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// serve serves the volume until an error occurs or the context ends.
func (v *volume) serve(ctx context.Context) error {
	o, err := v.options()
	if err != nil {
		return err
	}
	metrics := &scopedRegistry{Registerer: v.registry}
	defer metrics.unregisterAll()
	s, err := newServer(o, v.log, metrics)
	if err != nil {
		return err
	}
	v.setState(s, nil)
	err = s.mount.serve(ctx)
	v.setState(nil, err)
	return s.close(err)
}

func (v *volume) setState(s *server, problem error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.server, v.problem = s, problem
}

// options returns the options of the volume's server. The paths are in the
// volume's directory; the runtime's arguments set the rest.
func (v *volume) options() (options, error) {
	var o options
	pathFlags, mountFlags := flag.NewFlagSet("paths", flag.ContinueOnError), flag.NewFlagSet(names.FuseSecretArgs, flag.ContinueOnError)
	mountFlags.SetOutput(io.Discard)
	o.addPathFlags(pathFlags)
	o.addMountFlags(mountFlags)
	o.name, o.tlsDir, o.memory = v.name, v.dir, v.memory
	o.roster = filepath.Join(v.dir, names.FuseSecretRoster)
	o.stateDir, o.socketDir = filepath.Join(v.dir, names.StateDir), filepath.Join(v.dir, names.SocketsDir)
	o.sessionSocket = filepath.Join(v.dir, names.SessionSocket)
	raw, err := os.ReadFile(filepath.Join(v.dir, names.FuseSecretArgs))
	if err != nil {
		return o, fmt.Errorf("read the runtime's arguments: %w", err)
	}
	var args []string
	if err := json.Unmarshal(raw, &args); err != nil {
		return o, fmt.Errorf("read the runtime's arguments: %w", err)
	}
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		// The controller may be newer than this server, so that an unknown
		// argument must not fail the volume.
		if err := mountFlags.Set(name, value); err != nil {
			v.log.Warn("ignoring an argument of the runtime", "argument", arg, "error", err)
		}
	}
	return o, nil
}

// ready returns the reason why readers of the volume wait; nil when it is served.
func (v *volume) ready(ctx context.Context) error {
	v.mu.Lock()
	s, problem := v.server, v.problem
	v.mu.Unlock()
	switch {
	case s == nil && errors.Is(problem, fs.ErrNotExist):
		return fmt.Errorf("not published by the node plugin yet: %w", problem)
	case s == nil:
		return problem
	case s.workers.View() == nil:
		return s.viewError(ctx)
	}
	if files := s.mount.files.Load(); files != nil {
		return files.Ready()
	}
	return errors.New("not attached to the mount of the node plugin yet")
}

// viewError returns the reason why the runtime's mounts are not known yet.
func (s *server) viewError(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, viewTimeout)
	defer cancel()
	_, err := s.masters.View(ctx)
	if err == nil {
		return errors.New("the runtime became reachable a moment ago")
	}
	return fmt.Errorf("get the mounts of runtime %s/%s: %w", s.members.Namespace, s.members.Name, err)
}

// memoryLimit returns the memory limit of this container in bytes, 0 when there is
// none or it is unknown.
func memoryLimit(file string) int64 {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil || limit < 0 {
		return 0
	}
	return limit
}

// readAheadMemory returns the read-ahead memory of each volume, in bytes. All
// volumes together get a quarter of the container's memory limit.
func readAheadMemory(limit int64, volumes int) int64 {
	all := int64(maxReadAhead)
	if limit > 0 {
		all = min(all, limit/4)
	}
	return max(all/int64(max(volumes, 1)), minReadAhead)
}
