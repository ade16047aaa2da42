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
	// firstPause and longestPause are between attempts to serve a volume.
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
	// whyTime bounds the question why a runtime does not answer.
	whyTime = 2 * time.Second

	readAheadDefault = 256 << 20
	readAheadLeast   = 8 << 20
)

// volume is one dataset volume of the sidecar's pod.
type volume struct {
	handle   string
	dir      string
	name     string
	memory   int64
	registry prometheus.Registerer
	log      *slog.Logger

	mu sync.Mutex
	// server is what serves it now, nil while nothing does; problem is why.
	server  *server
	problem error
}

func newVolume(s *sidecar, handle string) *volume {
	return &volume{
		handle: handle, dir: filepath.Join(s.dir, names.SidecarMounts, handle), name: s.name, memory: readAheadDefault,
		registry: prometheus.WrapRegistererWith(prometheus.Labels{"volume": handle}, s.health.Registry),
		log:      s.log.With("volume", handle), problem: errors.New("its server is starting"),
	}
}

// run serves the volume until the context ends, and tries again whatever
// happens.
func (v *volume) run(ctx context.Context) {
	pause, complained := firstPause, time.Time{}
	for {
		began := time.Now()
		err := v.once(ctx)
		if ctx.Err() != nil {
			return
		}
		v.note(nil, err)
		if time.Since(complained) > complainEvery {
			v.log.Warn("the volume is not served", "error", err)
			complained = time.Now()
		}
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// once serves until something is wrong or the context ends.
func (v *volume) once(ctx context.Context) error {
	o, err := v.options()
	if err != nil {
		return err
	}
	metrics := &session{Registerer: v.registry}
	defer metrics.end()
	s, err := newServer(o, v.log, metrics)
	if err != nil {
		return err
	}
	v.note(s, nil)
	err = s.mount.serve(ctx)
	v.note(nil, err)
	return s.close(err)
}

func (v *volume) note(s *server, problem error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.server, v.problem = s, problem
}

// options of the volume's server: its places are in its folder, the rest its
// runtime says.
func (v *volume) options() (options, error) {
	var o options
	places, flags := flag.NewFlagSet("places", flag.ContinueOnError), flag.NewFlagSet(names.FuseSecretArgs, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	o.places(places)
	o.behaviour(flags)
	o.name, o.tlsDir, o.memory = v.name, v.dir, v.memory
	o.roster = filepath.Join(v.dir, names.FuseSecretRoster)
	o.stateDir, o.socketDir = filepath.Join(v.dir, names.StateDir), filepath.Join(v.dir, names.SocketsDir)
	o.sessionSocket = filepath.Join(v.dir, names.SessionSocket)
	raw, err := os.ReadFile(filepath.Join(v.dir, names.FuseSecretArgs))
	if err != nil {
		return o, fmt.Errorf("reading the runtime's arguments: %w", err)
	}
	var args []string
	if err := json.Unmarshal(raw, &args); err != nil {
		return o, fmt.Errorf("reading the runtime's arguments: %w", err)
	}
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		// A controller may be newer than this server.
		if err := flags.Set(name, value); err != nil {
			v.log.Warn("an argument of the runtime has no effect here", "argument", arg, "error", err)
		}
	}
	return o, nil
}

// ready says why the volume's readers wait, nil when they do not.
func (v *volume) ready(ctx context.Context) error {
	v.mu.Lock()
	s, problem := v.server, v.problem
	v.mu.Unlock()
	switch {
	case s == nil && errors.Is(problem, fs.ErrNotExist):
		return fmt.Errorf("the node's plugin has not published it: %w", problem)
	case s == nil:
		return problem
	case s.workers.View() == nil:
		return v.away(ctx, s)
	}
	if files := s.mount.files.Load(); files != nil {
		return files.Ready()
	}
	return errors.New("the node's plugin has not lent its mount, or what it shows is not known yet")
}

// away says why nothing is known of the runtime yet.
func (v *volume) away(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, whyTime)
	defer cancel()
	_, err := s.masters.View(ctx)
	if err == nil {
		return errors.New("its runtime has just answered")
	}
	return fmt.Errorf("runtime %s/%s does not say what is mounted: %w", s.roster.Namespace, s.roster.Name, err)
}

// memoryLimit of this container in bytes, 0 when there is none or it is not
// known.
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

// readAhead is what each of so many volumes may hold of bytes read ahead: a
// quarter of the container's memory for all of them.
func readAhead(limit int64, volumes int) int64 {
	all := int64(readAheadDefault)
	if limit > 0 {
		all = min(all, limit/4)
	}
	return max(all/int64(max(volumes, 1)), readAheadLeast)
}
