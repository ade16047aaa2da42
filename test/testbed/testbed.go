// Package testbed is what the demo and the fault table stand on: a store with a
// data set in it and a runtime on this machine that serves it, started from the
// samples through the same commands that a person types.
package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/manifests/samples"
	"github.com/jindo-io/jindo/pkg/local"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/test/dataset"
)

// The names that the samples give.
const (
	namespace = "default"
	runtime   = "hadoop"
	mountName = "hadoop"
)

// Options of a Stand.
type Options struct {
	// Bin holds the binaries.
	Bin string
	// Dir is an empty directory for everything, short enough for sockets.
	Dir string
	// Store is oss, s3 or file.
	Store string
	Files []dataset.File
	// FuseArgs override the mount's options: "-oattr_timeout=1".
	FuseArgs []string
	// Prepare runs after the state directory's place is known and before
	// anything is started.
	Prepare func(s *Stand) error
	// Out gets what the commands print; nil discards it.
	Out io.Writer
}

// Stand is a store and a runtime that serves it.
type Stand struct {
	// Store under the runtime.
	Store *Store
	// Layout of the runtime's state.
	Layout local.Layout
	// Mountpoint of the file system.
	Mountpoint string

	options Options
	masters *client.Client
}

// Open makes the data set, starts the store and brings the runtime up. When it
// fails it leaves nothing running.
func Open(ctx context.Context, o Options) (*Stand, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	bin, err := filepath.Abs(o.Bin)
	if err != nil {
		return nil, fmt.Errorf("finding the binaries: %w", err)
	}
	o.Bin = bin
	s := &Stand{
		options:    o,
		Layout:     local.NewLayout(filepath.Join(o.Dir, "cache", "jindo", "local"), namespace, runtime),
		Mountpoint: filepath.Join(o.Dir, "mnt"),
	}
	if err := s.open(ctx); err != nil {
		down, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_ = s.Down(down) // it may never have come up
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stand) open(ctx context.Context) error {
	var err error
	if s.Store, err = openStore(ctx, s.options); err != nil {
		return err
	}
	if err := s.writeManifests(); err != nil {
		return err
	}
	if s.options.Prepare != nil {
		if err := s.options.Prepare(s); err != nil {
			return fmt.Errorf("preparing: %w", err)
		}
	}
	return s.Up(ctx)
}

// Up brings the runtime up.
func (s *Stand) Up(ctx context.Context) error {
	return s.Run(ctx, s.options.Out, "kubectl-jindo", "local", "up",
		"-f", s.manifest("dataset"), "-f", s.manifest("runtime"), "--mountpoint", s.Mountpoint)
}

// Down stops the runtime and removes everything it kept.
func (s *Stand) Down(ctx context.Context) error {
	return s.Run(ctx, s.options.Out, "kubectl-jindo", "local", "down", runtime, "--purge")
}

// Close ends the store; the runtime must be down.
func (s *Stand) Close() {
	if s.masters != nil {
		s.masters.Close()
	}
	if s.Store != nil {
		s.Store.Close()
	}
}

// Root is where the data set is mounted.
func (s *Stand) Root() string { return filepath.Join(s.Mountpoint, mountName) }

// MountPath is the data set's path inside the file system.
func (s *Stand) MountPath() string { return "/" + mountName }

// Command makes a command of one of the binaries that finds this runtime.
func (s *Stand) Command(ctx context.Context, binary string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.options.Bin, binary), args...)
	cmd.Env = append(os.Environ(),
		"XDG_CACHE_HOME="+filepath.Join(s.options.Dir, "cache"),
		"PATH="+s.options.Bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return cmd
}

// Run runs one of the binaries to its end; a failure carries what it said.
func (s *Stand) Run(ctx context.Context, out io.Writer, binary string, args ...string) error {
	cmd := s.Command(ctx, binary, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, io.MultiWriter(out, &said)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", binary, strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return nil
}

// Masters speaks to the masters as an administrator.
func (s *Stand) Masters() (*client.Client, error) {
	if s.masters != nil {
		return s.masters, nil
	}
	members, err := topology.Load(s.Layout.Roster())
	if err != nil {
		return nil, err
	}
	identity, err := mtls.LoadIdentity(s.Layout.TLS(local.Admin))
	if err != nil {
		return nil, err
	}
	s.masters, err = client.New(client.Config{Topology: members, Identity: identity, Holder: "stand"})
	if err != nil {
		return nil, fmt.Errorf("speaking to the masters: %w", err)
	}
	return s.masters, nil
}

// Leader waits until a master leads and says its name.
func (s *Stand) Leader(ctx context.Context) (string, error) {
	masters, err := s.Masters()
	if err != nil {
		return "", err
	}
	for {
		for _, m := range masters.Members(ctx) {
			if m.Err == nil && m.Status.GetState() == "LEADER" {
				return m.Member.Name, nil
			}
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return "", fmt.Errorf("waiting for a leader: %w", err)
		}
	}
}

// Components with a role, in the order of their names.
func (s *Stand) Components(role string) ([]string, error) {
	state, found, err := local.ReadState(s.Layout)
	if err != nil || !found {
		return nil, errors.Join(err, s.missing(found))
	}
	var names []string
	for _, c := range state.Components {
		if c.Role == role {
			names = append(names, c.Name)
		}
	}
	return names, nil
}

// Signal sends a signal to the process of a component.
func (s *Stand) Signal(component string, signal syscall.Signal) error {
	pid, err := s.PID(component)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, signal); err != nil {
		return fmt.Errorf("sending %s to %s: %w", signal, component, err)
	}
	return nil
}

// PID of a component's process.
func (s *Stand) PID(component string) (int, error) {
	state, found, err := local.ReadState(s.Layout)
	if err != nil || !found {
		return 0, errors.Join(err, s.missing(found))
	}
	c, ok := state.Component(component)
	if !ok || c.Process.PID == 0 {
		return 0, fmt.Errorf("%s is not running", component)
	}
	return c.Process.PID, nil
}

// Kill kills a component's process and waits until its successor runs.
func (s *Stand) Kill(ctx context.Context, component string) error {
	before, err := s.PID(component)
	if err != nil {
		return err
	}
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing %s: %w", component, err)
	}
	for {
		if now, err := s.PID(component); err == nil && now != before {
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for %s to be started again: %w", component, err)
		}
	}
}

// KeepDown kills components again and again as they are restarted, until the
// context ends.
func (s *Stand) KeepDown(ctx context.Context, components ...string) {
	for ctx.Err() == nil {
		for _, name := range components {
			if pid, err := s.PID(name); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
			}
		}
		_ = pause(ctx, 5*time.Millisecond)
	}
}

// Alive tells whether a process is there and has not ended. One that ended and
// that nobody has waited for yet is not alive.
func Alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The state follows the name, which may hold anything but ends with ")".
	_, state, ok := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	return ok && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func (s *Stand) missing(found bool) error {
	if found {
		return nil
	}
	return fmt.Errorf("nothing runs in %s", s.Layout.Dir)
}

func (s *Stand) manifest(name string) string {
	return filepath.Join(s.options.Dir, name+".yaml")
}

// writeManifests fills in the samples: endpoint, credentials, and where the
// store is another one, the mount point.
func (s *Stand) writeManifests() error {
	manifests := map[string]string{
		"dataset": s.Store.fill(samples.Dataset),
		"runtime": samples.Runtime,
	}
	if len(s.options.FuseArgs) > 0 {
		manifests["runtime"] += "  fuse:\n    args: [" + strings.Join(s.options.FuseArgs, ", ") + "]\n"
	}
	for name, content := range manifests {
		if err := os.WriteFile(s.manifest(name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("writing the manifests: %w", err)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
