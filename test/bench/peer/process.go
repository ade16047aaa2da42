package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds the start of a peer.
const startTimeout = 30 * time.Second

// process is a program of a peer. It ends with this process at the latest.
type process struct {
	command *exec.Cmd
	output  string
	exited  chan struct{}
}

// run starts a program with its output in a file of dir.
func (o Options) run(dir, program string, env []string, args ...string) (*process, error) {
	path, err := find(program)
	if err != nil {
		return nil, err
	}
	output := filepath.Join(dir, program+".log")
	file, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p := &process{command: exec.Command(path, args...), output: output, exited: make(chan struct{})}
	p.command.Env = append(environment(), env...)
	p.command.Dir, p.command.Stdout, p.command.Stderr = dir, file, file
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := (*exec.Cmd).Start
	if o.Begin != nil {
		begin = o.Begin
	}
	if err := begin(p.command); err != nil {
		return nil, err
	}
	go func() {
		_ = p.command.Wait()
		close(p.exited)
	}()
	return p, nil
}

// environment returns this process's environment without the settings of AWS
// clients: rclone refuses to start with AWS_CA_BUNDLE.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			env = append(env, v)
		}
	}
	return env
}

// tail returns the last line of the program's output.
func (p *process) tail() string {
	raw, _ := os.ReadFile(p.output)
	lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	return string(lines[len(lines)-1])
}

func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		_ = p.command.Process.Kill()
		<-p.exited
	}
}

// await waits until ready returns true, while the program runs.
func (p *process) await(ctx context.Context, what string, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for !ready() {
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended: %s", filepath.Base(p.command.Path), p.tail())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %s", what, ctx.Err(), p.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// mounted starts a program that mounts dir/mnt, and waits until the directory is
// a mount point.
func (o Options) mounted(ctx context.Context, dir, program string, env []string, args ...string) (*Peer, error) {
	p, err := o.run(dir, program, env, args...)
	if err != nil {
		return nil, err
	}
	mount := filepath.Join(dir, "mnt")
	peer := &Peer{Root: mount, mount: mount, processes: []*process{p}, Caches: true}
	if err := p.await(ctx, "its mount", func() bool { return isMount(mount) }); err != nil {
		peer.Stop()
		return nil, err
	}
	return peer, nil
}

// isMount reports whether a directory is on another file system than its parent.
func isMount(dir string) bool {
	var below, above syscall.Stat_t
	return syscall.Stat(dir, &below) == nil && syscall.Stat(filepath.Dir(dir), &above) == nil && below.Dev != above.Dev
}

func unmount(dir string) {
	if err := syscall.Unmount(dir, 0); errors.Is(err, syscall.EBUSY) {
		_ = syscall.Unmount(dir, syscall.MNT_DETACH)
	}
}

// output runs a program to its end.
func output(ctx context.Context, dir, program string, env []string, args ...string) error {
	path, err := find(program)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, path, args...)
	command.Dir, command.Env = dir, append(environment(), env...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// parents maps each process to those that it started.
func parents() map[int][]int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var pid, parent int
		var state string
		fields := string(raw[bytes.LastIndexByte(raw, ')')+1:])
		if _, err := fmt.Sscan(fields, &state, &parent); err != nil {
			continue
		}
		if _, err := fmt.Sscanf(path, "/proc/%d/stat", &pid); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	return children
}
