package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/pkg/local"
)

const (
	// dirPrefix is the prefix of every directory of a testbed, by which a later
	// run finds those of killed runs.
	dirPrefix = "jindo-"
	// ownerFile is locked while the owner of the directory runs.
	ownerFile = "owner"
)

// Dir creates a directory for a testbed, after it has removed the processes, mounts
// and files of killed runs. bin holds the binaries for that. The directory belongs
// to this process until it ends.
func Dir(bin, kind string) (string, error) {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*", ownerFile))
	if err != nil {
		return "", fmt.Errorf("remove leftovers of killed runs: %w", err)
	}
	for _, owner := range left {
		if err := sweep(bin, owner); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%s-%d-", dirPrefix, kind, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("create a directory: %w", err)
	}
	// It has its name only once it is locked: another process would remove the directory
	// before.
	name := filepath.Join(dir, ownerFile)
	file, err := os.Create(name + ".new")
	if err != nil {
		return "", fmt.Errorf("create a directory: %w", err)
	}
	// The file stays open, and therefore locked, until this process ends.
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	if err := os.Rename(file.Name(), name); err != nil {
		return "", fmt.Errorf("create a directory: %w", err)
	}
	owned.add(file)
	return dir, nil
}

// owned prevents the lock files from being garbage collected and thereby unlocked.
var owned files

type files struct {
	mu   sync.Mutex
	open []*os.File
}

func (f *files) add(file *os.File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = append(f.open, file)
}

// sweep removes a directory whose owner has ended.
func sweep(bin, owner string) error {
	file, err := os.Open(owner)
	if err != nil {
		return nil //nolint:nilerr // another process removes it
	}
	defer file.Close()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil //nolint:nilerr // its owner runs
	}
	dir := filepath.Dir(owner)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "kubectl-jindo"), "local", "down", runtime, "--purge")
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	out, err := cmd.CombinedOutput()
	for _, mount := range mountsBelow(dir) {
		_ = syscall.Unmount(mount, syscall.MNT_DETACH) // tiers on small file systems
	}
	if removeErr := os.RemoveAll(dir); removeErr != nil {
		return fmt.Errorf("remove the leftovers of a killed run: %w", errors.Join(removeErr, err, errors.New(string(out))))
	}
	return nil
}

// PIDs returns the processes of the runtime.
func (s *Testbed) PIDs() ([]int, error) {
	state, found, err := local.ReadState(s.Layout)
	if err != nil || !found {
		return nil, errors.Join(err, s.missing(found))
	}
	pids := []int{state.Supervisor.PID, state.Reaper.PID}
	for _, c := range state.Components {
		pids = append(pids, c.Process.PID)
	}
	running := pids[:0]
	for _, pid := range pids {
		if pid > 0 && Alive(pid) {
			running = append(running, pid)
		}
	}
	return running, nil
}

// Left returns an error for the first part of a stopped runtime that still exists.
func (s *Testbed) Left(pids []int) error {
	for _, pid := range pids {
		if Alive(pid) {
			return fmt.Errorf("process %d still runs", pid)
		}
	}
	if mounts := mountsBelow(s.options.Dir); len(mounts) > 0 {
		return fmt.Errorf("%s is still mounted", mounts[0])
	}
	if _, err := os.Stat(s.Layout.Dir); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s still exists", s.Layout.Dir)
	}
	return nil
}

// mountsBelow returns the mount points below a directory, deepest first.
func mountsBelow(dir string) []string {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var mounts []string
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			mounts = append([]string{fields[4]}, mounts...)
		}
	}
	return mounts
}
