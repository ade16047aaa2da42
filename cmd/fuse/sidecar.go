//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

const (
	// healthSocket is the socket for probes and metrics, in the sidecar's state
	// directory. A TCP port would occupy a port of the pod, or of the node.
	healthSocket = "health.sock"
	// listenInterval is the time between attempts to listen on healthSocket. The
	// volumes are served meanwhile.
	listenInterval = time.Second
)

// sidecar serves the dataset volumes of its pod. A failure of one volume does not
// affect the others.
type sidecar struct {
	name, dir string
	volumes   []*volume
	health    *daemon.Health
	profiling daemon.Profiling
	log       *slog.Logger
}

// parseSidecar parses the arguments of "fuse sidecar".
func parseSidecar(args []string) (*sidecar, error) {
	s := &sidecar{}
	flags := flag.NewFlagSet("fuse sidecar", flag.ContinueOnError)
	flags.StringVar(&s.name, "name", "fuse", "name of this server in logs, usually the pod's name")
	flags.StringVar(&s.dir, "dir", names.SidecarDir, "directory that is shared with the node plugin")
	handles := flags.String("volumes", "", "comma-separated handles of the volumes to serve (required)")
	s.profiling.AddFlag(flags)
	debugLog := flags.Bool("debug", false, "log more")
	if err := flags.Parse(args); err != nil {
		return nil, fmt.Errorf("fuse sidecar: %w", err)
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("fuse sidecar: unexpected argument %q: only flags are accepted", flags.Arg(0))
	}
	s.log, s.health = daemon.Logger(s.name, *debugLog), daemon.NewHealth()
	seen := map[string]bool{}
	for handle := range strings.SplitSeq(*handles, ",") {
		switch {
		case handle == "" || handle == "." || handle == ".." || strings.ContainsRune(handle, '/'):
			return nil, fmt.Errorf("invalid value %q for --volumes: %q is not a volume handle", *handles, handle)
		case seen[handle]:
			return nil, fmt.Errorf("invalid value %q for --volumes: duplicate handle %q", *handles, handle)
		}
		seen[handle] = true
		s.volumes = append(s.volumes, newVolume(s, handle))
	}
	return s, nil
}

// runSidecar serves until the context ends, which leaves the mounts to their
// holders. An error of one volume does not end it, because the readers of the
// other volumes would hang until the restart of the container.
func runSidecar(ctx context.Context, args []string) error {
	s, err := parseSidecar(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	limit := memoryLimit("/sys/fs/cgroup/memory.max")
	if os.Getenv("GOMEMLIMIT") == "" && limit > 0 {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
	for _, v := range s.volumes {
		v.memory = readAheadMemory(limit, len(s.volumes))
	}
	var group sync.WaitGroup
	for _, v := range s.volumes {
		group.Go(func() { v.run(ctx) })
	}
	group.Go(func() { s.serveHealth(ctx) })
	group.Go(func() {
		if err := s.profiling.Serve(ctx); err != nil {
			s.log.Error("profiles are not served", "error", err)
		}
	})
	group.Wait()
	return nil
}

// serveHealth serves probes and metrics on the socket until the context ends, and
// listens again after an error.
func (s *sidecar) serveHealth(ctx context.Context) {
	socket := filepath.Join(s.dir, names.StateDir, healthSocket)
	for {
		err := s.listenAndServe(ctx, socket)
		if ctx.Err() != nil {
			return
		}
		s.log.Error("cannot serve probes; retrying", "socket", socket, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(listenInterval):
		}
	}
}

func (s *sidecar) listenAndServe(ctx context.Context, socket string) error {
	// A previous container may have left its socket.
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listen for probes: %w", err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("listen for probes: %w", err)
	}
	// Every process of the pod may connect.
	return s.health.ServeHandler(ctx, listener, s.handler())
}

// handler serves /readyz, which returns status 503 and one line for each volume
// that is not served. It serves the other paths like every component.
func (s *sidecar) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.health.Handler())
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if problem := s.ready(r.Context()); problem != "" {
			http.Error(w, problem, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// ready returns one line for each volume that is not served; empty when all are.
func (s *sidecar) ready(ctx context.Context) string {
	problems := make([]string, len(s.volumes))
	var group sync.WaitGroup
	for i, v := range s.volumes {
		group.Go(func() {
			if err := v.ready(ctx); err != nil {
				problems[i] = fmt.Sprintf("volume %s: %v", v.handle, err)
			}
		})
	}
	group.Wait()
	var lines []string
	for _, p := range problems {
		if p != "" {
			lines = append(lines, p)
		}
	}
	return strings.Join(lines, "\n")
}
