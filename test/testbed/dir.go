package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/pkg/local"
)

const (
	// dirPrefix is what every directory of a stand begins with, so that a
	// later run finds what a killed one left.
	dirPrefix = "jindo-"
	// ownerFile is locked for as long as the directory's owner lives.
	ownerFile = "owner"
)

// Dir makes a directory for a stand, after it has removed what killed runs
// left: their processes, their mounts and their files. bin holds the binaries
// that can do so; the directory is its maker's until the maker ends.
func Dir(bin, kind string) (string, error) {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*", ownerFile))
	if err != nil {
		return "", fmt.Errorf("looking for what killed runs left: %w", err)
	}
	for _, owner := range left {
		if err := sweep(bin, owner); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%s-%d-", dirPrefix, kind, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("making a directory: %w", err)
	}
	file, err := os.Create(filepath.Join(dir, ownerFile))
	if err != nil {
		return "", fmt.Errorf("making a directory: %w", err)
	}
	// The file stays open, and locked, until this process ends.
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking %s: %w", file.Name(), err)
	}
	owned = append(owned, file)
	return dir, nil
}

// owned keeps the lock files from being collected, which would unlock them.
var owned []*os.File

// sweep removes a directory whose owner is gone.
func sweep(bin, owner string) error {
	file, err := os.Open(owner)
	if err != nil {
		return nil //nolint:nilerr // somebody else removes it
	}
	defer file.Close()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil //nolint:nilerr // its owner lives
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
		return fmt.Errorf("removing what a killed run left: %w", errors.Join(removeErr, err, errors.New(string(out))))
	}
	return nil
}

// PIDs of everything that runs for this stand.
func (s *Stand) PIDs() ([]int, error) {
	state, found, err := local.ReadState(s.Layout)
	if err != nil || !found {
		return nil, errors.Join(err, s.missing(found))
	}
	pids := []int{state.Supervisor.PID, state.Guard.PID}
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

// Left reports the first thing of a stopped runtime that is still there.
func (s *Stand) Left(pids []int) error {
	for _, pid := range pids {
		if Alive(pid) {
			return fmt.Errorf("process %d is still there", pid)
		}
	}
	if mounts := mountsBelow(s.options.Dir); len(mounts) > 0 {
		return fmt.Errorf("%s is still mounted", mounts[0])
	}
	if _, err := os.Stat(s.Layout.Dir); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is still there", s.Layout.Dir)
	}
	return nil
}

// mountsBelow lists the mount points below a directory, deepest first.
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
