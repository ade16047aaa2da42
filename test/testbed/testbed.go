// Package testbed sets up what the demo, the fault table and the benchmarks run on:
// a store with a data set, and a runtime on this machine that serves it. It is
// started from the samples with the commands that users run.
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
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/manifests/samples"
	"github.com/jindo-io/jindo/pkg/local"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/test/dataset"
)

// Names in the samples.
const (
	namespace = "default"
	runtime   = "hadoop"
	mountName = "hadoop"
)

// Options configure a Testbed.
type Options struct {
	// Bin holds the binaries.
	Bin string
	// Dir is an empty directory, with a path short enough for sockets.
	Dir string
	// Store is oss, s3 or file.
	Store string
	Files []dataset.File
	// FuseArgs replace the mount's options: "-oattr_timeout=1".
	FuseArgs []string
	// Tiers, unless empty, replaces the levels of the tiered store of the runtime, as
	// YAML on one line: "[{mediumtype: HDD, path: /mnt/disk1, quota: 2G}]".
	Tiers string
	// StripeSize, unless 0, is the stripe size of the cluster, in bytes. Objects on one
	// machine are placed whole otherwise.
	StripeSize int64
	// Bucket, unless nil, is served instead of Files, by a server that runs
	// already.
	Bucket *Bucket
	// Prepare, unless nil, runs when Layout is set and nothing is started yet.
	Prepare func(s *Testbed) error
	// Out receives the output of commands; nil discards it.
	Out io.Writer
}

// Testbed is a store and a runtime that serves it.
type Testbed struct {
	// Store of the runtime's mount.
	Store *Store
	// Layout of the runtime's state.
	Layout local.Layout
	// Mountpoint of the file system.
	Mountpoint string

	options Options
	masters *client.Client
}

// Open writes the data set, and starts the store and the runtime. If it fails,
// nothing is left running.
func Open(ctx context.Context, o Options) (*Testbed, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	bin, err := filepath.Abs(o.Bin)
	if err != nil {
		return nil, fmt.Errorf("find the binaries: %w", err)
	}
	o.Bin = bin
	s := &Testbed{
		options:    o,
		Layout:     local.NewLayout(filepath.Join(o.Dir, "cache", "jindo", "local"), namespace, runtime),
		Mountpoint: filepath.Join(o.Dir, "mnt"),
	}
	if err := s.open(ctx); err != nil {
		down, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_ = s.Down(down) // it may not have started
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Testbed) open(ctx context.Context) error {
	var err error
	if s.Store, err = openStore(ctx, s.options); err != nil {
		return err
	}
	if err := s.writeManifests(); err != nil {
		return err
	}
	if s.options.Prepare != nil {
		if err := s.options.Prepare(s); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
	}
	return s.Up(ctx)
}

// Up starts the runtime.
func (s *Testbed) Up(ctx context.Context) error {
	return s.Run(ctx, s.options.Out, "kubectl-jindo", "local", "up",
		"-f", s.manifest("dataset"), "-f", s.manifest("runtime"), "--mountpoint", s.Mountpoint)
}

// Down stops the runtime and removes its data.
func (s *Testbed) Down(ctx context.Context) error {
	return s.Run(ctx, s.options.Out, "kubectl-jindo", "local", "down", runtime, "--purge")
}

// Close stops the store. The runtime must be down.
func (s *Testbed) Close() {
	if s.masters != nil {
		s.masters.Close()
	}
	if s.Store != nil {
		s.Store.Close()
	}
}

// Root returns the directory in which the data set is mounted.
func (s *Testbed) Root() string { return filepath.Join(s.Mountpoint, mountName) }

// MountPath returns the data set's path inside the file system.
func (s *Testbed) MountPath() string { return "/" + mountName }

// Command returns a command of one of the binaries, set up for this runtime.
func (s *Testbed) Command(ctx context.Context, binary string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.options.Bin, binary), args...)
	cmd.Env = append(os.Environ(),
		"XDG_CACHE_HOME="+filepath.Join(s.options.Dir, "cache"),
		"PATH="+s.options.Bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return cmd
}

// Run runs one of the binaries. An error contains its error output.
func (s *Testbed) Run(ctx context.Context, out io.Writer, binary string, args ...string) error {
	cmd := s.Command(ctx, binary, args...)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, io.MultiWriter(out, &stderr)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", binary, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

// Masters returns a client of the masters with the administrator's certificate.
func (s *Testbed) Masters() (*client.Client, error) {
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
	s.masters, err = client.New(client.Config{Topology: members, Identity: identity, Holder: "testbed"})
	if err != nil {
		return nil, fmt.Errorf("connect to the masters: %w", err)
	}
	return s.masters, nil
}

// Issue returns an identity that the authority of the runtime has signed. Its files
// are in a directory of that name, of which there may be only one.
func (s *Testbed) Issue(peer mtls.Peer) (*mtls.Identity, error) {
	authority, err := mtls.LoadAuthority(filepath.Join(s.Layout.Dir, "ca"))
	if err != nil {
		return nil, err
	}
	pair, err := authority.Issue(peer, nil, 24*time.Hour)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.options.Dir, "issued", peer.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("issue a certificate: %w", err)
	}
	if err := pair.Save(dir); err != nil {
		return nil, err
	}
	return mtls.LoadIdentity(dir)
}

// Leader waits until a master leads, and returns its name.
func (s *Testbed) Leader(ctx context.Context) (string, error) {
	return s.leader(ctx, func(*masterv1.StatusResponse) bool { return true })
}

// SpareableLeader waits until a master leads without which the others are a majority
// that has the whole log, and returns its name.
func (s *Testbed) SpareableLeader(ctx context.Context) (string, error) {
	return s.leader(ctx, func(leader *masterv1.StatusResponse) bool { return leader.GetHealth().GetFailureTolerance() > 0 })
}

func (s *Testbed) leader(ctx context.Context, accept func(*masterv1.StatusResponse) bool) (string, error) {
	masters, err := s.Masters()
	if err != nil {
		return "", err
	}
	for {
		for _, m := range masters.Members(ctx) {
			if m.Err == nil && m.Status.GetState() == "LEADER" && accept(m.Status) {
				return m.Member.Name, nil
			}
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return "", fmt.Errorf("wait for a leader: %w", err)
		}
	}
}

// Components returns the names of the components with a role, ordered.
func (s *Testbed) Components(role string) ([]string, error) {
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
func (s *Testbed) Signal(component string, signal syscall.Signal) error {
	pid, err := s.PID(component)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, signal); err != nil {
		return fmt.Errorf("send %s to %s: %w", signal, component, err)
	}
	return nil
}

// PID returns the process of a component.
func (s *Testbed) PID(component string) (int, error) {
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

// Kill kills the process of a component and waits until it was restarted.
func (s *Testbed) Kill(ctx context.Context, component string) error {
	return s.end(ctx, component, syscall.SIGKILL)
}

// Terminate sends SIGTERM to a component and waits until it was restarted.
func (s *Testbed) Terminate(ctx context.Context, component string) error {
	return s.end(ctx, component, syscall.SIGTERM)
}

func (s *Testbed) end(ctx context.Context, component string, signal syscall.Signal) error {
	before, err := s.PID(component)
	if err != nil {
		return err
	}
	if err := syscall.Kill(before, signal); err != nil {
		return fmt.Errorf("send %s to %s: %w", signal, component, err)
	}
	for {
		if now, err := s.PID(component); err == nil && now != before {
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("wait for the restart of %s: %w", component, err)
		}
	}
}

// KeepDown kills components each time they are restarted, until the context ends.
func (s *Testbed) KeepDown(ctx context.Context, components ...string) {
	for ctx.Err() == nil {
		for _, name := range components {
			if pid, err := s.PID(name); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
			}
		}
		_ = pause(ctx, 5*time.Millisecond)
	}
}

// Alive reports whether a process runs. One that has ended and is not reaped yet
// does not.
func Alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The state follows the name, which can contain any character and ends with ")".
	_, state, ok := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	return ok && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func (s *Testbed) missing(found bool) error {
	if found {
		return nil
	}
	return fmt.Errorf("nothing runs in %s", s.Layout.Dir)
}

func (s *Testbed) manifest(name string) string {
	return filepath.Join(s.options.Dir, name+".yaml")
}

// levels matches the levels in the sample of a runtime.
var levels = regexp.MustCompile(`(?m)^    levels:\n(?:      .*\n)+`)

// writeManifests writes the samples with the endpoint, the credentials and, for
// stores other than OSS, the mount point.
func (s *Testbed) writeManifests() error {
	manifests := map[string]string{
		"dataset": s.Store.fill(samples.Dataset),
		"runtime": samples.Runtime,
	}
	if len(s.options.FuseArgs) > 0 {
		manifests["runtime"] += "  fuse:\n    args: [" + strings.Join(s.options.FuseArgs, ", ") + "]\n"
	}
	if s.options.Tiers != "" {
		manifests["runtime"] = levels.ReplaceAllLiteralString(manifests["runtime"], "    levels: "+s.options.Tiers+"\n")
	}
	if n := s.options.StripeSize; n != 0 {
		const masters = "  master:\n"
		manifests["runtime"] = strings.Replace(manifests["runtime"], masters, masters+fmt.Sprintf("    env: {JINDO_STRIPE_SIZE: %q}\n", strconv.FormatInt(n, 10)), 1)
	}
	for name, content := range manifests {
		if err := os.WriteFile(s.manifest(name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("write the manifests: %w", err)
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
