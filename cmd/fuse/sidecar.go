//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
	// healthSocket in the sidecar's own state directory answers probes. A port
	// would be the pod's, or the node's.
	healthSocket = "health.sock"
	// listenAgain is the pause after a socket could not be opened: a sidecar
	// serves whether it can be asked or not.
	listenAgain = time.Second
)

// sidecar serves the dataset volumes of its pod, each by itself.
type sidecar struct {
	name, dir string
	volumes   []*volume
	health    *daemon.Health
	log       *slog.Logger
}

func parseSidecar(args []string) (*sidecar, error) {
	s := &sidecar{}
	flags := flag.NewFlagSet("fuse sidecar", flag.ContinueOnError)
	flags.StringVar(&s.name, "name", "fuse", "name of this server in logs: the pod's")
	flags.StringVar(&s.dir, "dir", names.SidecarDir, "where the volume of the node's plugin is")
	handles := flags.String("volumes", "", "handles of the volumes to serve, with commas")
	debugging := flags.Bool("debug", false, "log more")
	if err := flags.Parse(args); err != nil {
		return nil, fmt.Errorf("fuse sidecar: %w", err)
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("fuse sidecar takes flags only, not %q", flags.Arg(0))
	}
	s.log, s.health = daemon.Logger(s.name, *debugging), daemon.NewHealth()
	seen := map[string]bool{}
	for handle := range strings.SplitSeq(*handles, ",") {
		switch {
		case handle == "" || handle == "." || handle == ".." || strings.ContainsRune(handle, '/'):
			return nil, fmt.Errorf("--volumes=%s: %q is no handle of a volume", *handles, handle)
		case seen[handle]:
			return nil, fmt.Errorf("--volumes=%s: %s is there twice", *handles, handle)
		}
		seen[handle] = true
		s.volumes = append(s.volumes, newVolume(s, handle))
	}
	return s, nil
}

// runSidecar serves until the context ends, which leaves the mounts to whoever
// holds them. Nothing that is wrong with one volume ends it: the others' readers
// would wait for its next start.
func runSidecar(ctx context.Context, args []string) error {
	s, err := parseSidecar(args)
	if err != nil {
		return err
	}
	limit := memoryLimit("/sys/fs/cgroup/memory.max")
	if os.Getenv("GOMEMLIMIT") == "" && limit > 0 {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
	for _, v := range s.volumes {
		v.memory = readAhead(limit, len(s.volumes))
	}
	var group sync.WaitGroup
	for _, v := range s.volumes {
		group.Go(func() { v.run(ctx) })
	}
	group.Go(func() { s.answer(ctx) })
	group.Wait()
	return nil
}

// answer probes at the socket until the context ends.
func (s *sidecar) answer(ctx context.Context) {
	socket := filepath.Join(s.dir, names.StateDir, healthSocket)
	for {
		err := s.serve(ctx, socket)
		if ctx.Err() != nil {
			return
		}
		s.log.Error("probes are not answered", "socket", socket, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(listenAgain):
		}
	}
}

func (s *sidecar) serve(ctx context.Context, socket string) error {
	// It is what the container before this one left.
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listening for probes: %w", err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("listening for probes: %w", err)
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	return server.Serve(listener)
}

// handler answers /readyz with a line for each volume that is not served, and
// the rest as every component does.
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

// ready says what each volume lacks, empty when all are served.
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

// askTime bounds the question of a probe, whose own time is 5 s.
const askTime = 4 * time.Second

// runReady asks the sidecar in this container whether it serves. The answer is
// the exit code, and a line for each volume that it does not serve.
func runReady(args []string, out io.Writer) int {
	flags := flag.NewFlagSet("fuse ready", flag.ContinueOnError)
	dir := flags.String("dir", names.SidecarDir, "the sidecar's --dir")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	problem := askReady(ctx, filepath.Join(*dir, names.StateDir, healthSocket))
	if problem == "" {
		return 0
	}
	_, _ = fmt.Fprintln(out, problem)
	return 1
}

func askReady(ctx context.Context, socket string) string {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sidecar/readyz", nil)
	if err != nil {
		return err.Error()
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Sprintf("the FUSE server does not answer yet: %v", errors.Unwrap(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusOK {
		return ""
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<10))
	if err != nil {
		return fmt.Sprintf("the FUSE server's answer broke off: %v", err)
	}
	return strings.TrimSpace(string(body))
}
