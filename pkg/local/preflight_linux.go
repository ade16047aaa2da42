package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// preflight refuses what cannot work before anything is started or written. It
// returns notices for the user.
func (s *Spec) preflight(ctx context.Context, options UpOptions) ([]string, error) {
	l := s.Layout()
	if err := s.checkReplicas(l); err != nil {
		return nil, err
	}
	var names []string
	for _, c := range s.components() {
		for i := range int(c.Replicas) {
			names = append(names, c.InstanceName(i))
		}
	}
	if err := l.checkSockets(names); err != nil {
		return nil, err
	}
	if err := s.checkMemoryTiers(); err != nil {
		return nil, err
	}
	if !s.NoMount && s.Plan.Fuse != nil {
		if err := errors.Join(checkMountable(), s.checkMountpoint(l)); err != nil {
			return nil, err
		}
	}
	notices := s.quotaNotices(l)
	if options.SkipStoreCheck {
		return notices, nil
	}
	inStores, err := s.storeNotices(ctx, options.Timeout)
	return append(notices, inStores...), err
}

// quotaNotices warns if the tiers of the workers on disks, which are all below the
// state directory, may grow beyond the free space. Workers stop caching when the disk is
// full, so this is not an error.
func (s *Spec) quotaNotices(l Layout) []string {
	if s.Plan.Workers == nil {
		return nil
	}
	var quota uint64
	for _, v := range s.Plan.Workers.Volumes {
		if v.Tier != nil && v.Tier.Quota > 0 && !inMemory(v) {
			quota += uint64(v.Tier.Quota)
		}
	}
	workers := uint64(s.Plan.Workers.Replicas)
	free, err := freeSpace(l.Dir)
	if err != nil || quota/1024*workers <= free/1024 {
		return nil
	}
	return []string{fmt.Sprintf("spec.tieredstore: the quota of %d workers is %s each, but %s has only %s of free space for all of them",
		workers, humanize.IBytes(quota), l.Dir, humanize.IBytes(free))}
}

// freeSpace returns the bytes available to this user in the file system of a
// directory, which need not exist yet.
func freeSpace(dir string) (uint64, error) {
	for {
		var stat unix.Statfs_t
		err := unix.Statfs(dir, &stat)
		if errors.Is(err, unix.ENOENT) && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir)
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read the free space of %s: %w", dir, err)
		}
		return stat.Bavail * uint64(stat.Bsize), nil
	}
}

// storeNotices checks the stores, within the limit, and reports those in which nothing was found.
func (s *Spec) storeNotices(ctx context.Context, limit time.Duration) ([]string, error) {
	empty, err := s.checkStores(ctx, min(limit, storeTimeout))
	if err != nil {
		return nil, err
	}
	var notices []string
	for _, m := range empty {
		notices = append(notices, fmt.Sprintf("mount %s: there are no objects below %s", m.Name, m.URI))
	}
	return notices, nil
}

// checkReplicas refuses a number of workers that this machine does not allow, and masters
// whose record cannot be read.
func (s *Spec) checkReplicas(l Layout) error {
	if workers := s.Plan.Workers; workers != nil && int(workers.Replicas) > maxWorkers {
		return fmt.Errorf("spec.replicas: one machine runs at most %d workers, not %d", maxWorkers, workers.Replicas)
	}
	if s.Plan.Masters == nil {
		return nil
	}
	_, err := loadFormation(l)
	return err
}

// keptMasters returns the number of masters that have data below l.
func (s *Spec) keptMasters(l Layout) int {
	kept := 0
	for {
		entries, err := os.ReadDir(l.data(s.Plan.Masters.InstanceName(kept)))
		if err != nil || len(entries) == 0 {
			return kept
		}
		kept++
	}
}

// systemDirectories must not be hidden by a mount.
var systemDirectories = []string{
	"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/proc",
	"/root", "/run", "/sbin", "/sys", "/tmp", "/usr", "/usr/local", "/var", "/var/lib", "/var/run", "/var/tmp",
}

// kernelDirectories hold no directories that could be mount points of a user.
var kernelDirectories = []string{"/proc", "/sys", "/dev"}

// checkMountpoint refuses a mount point that is no empty directory of the
// user's own.
func (s *Spec) checkMountpoint(l Layout) error {
	point, err := resolveExisting(s.mountpoint())
	if err != nil {
		return &MountpointError{Path: s.mountpoint(), Err: err}
	}
	fail := func(format string, args ...any) error {
		return &MountpointError{Path: s.mountpoint(), Err: fmt.Errorf(format, args...)}
	}
	if slices.Contains(systemDirectories, point) || slices.ContainsFunc(kernelDirectories, func(dir string) bool { return within(point, dir) }) {
		return fail("it is a directory of the system")
	}
	if own, err := resolveExisting(l.Dir); err == nil && within(point, own) && point != filepath.Join(own, filepath.Base(l.Mountpoint())) {
		return fail("it is inside the state directory of the runtime")
	}
	for _, m := range s.Plan.Mounts {
		if dir := directoryOf(m); dir != "" && (within(point, dir) || within(dir, point)) {
			return fail("it overlaps the directory of mount point %s", m.URI)
		}
	}
	return checkEmpty(point, leftover(l), fail)
}

// checkEmpty refuses a directory with something in or on it. One that is mounted
// must be the leftover of a killed run: it is not touched, since the file system
// may not respond.
func checkEmpty(point, leftover string, fail func(string, ...any) error) error {
	mounted, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(point))
	if err != nil {
		return fail("reading the mounts: %w", err)
	}
	if len(mounted) > 0 {
		if point == leftover {
			return nil
		}
		return fail("%s is already mounted there", mounted[0].FSType)
	}
	entries, err := os.ReadDir(point)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkCreatable(filepath.Dir(point), fail)
	case err != nil:
		return fail("%w", err)
	case len(entries) > 0:
		return fail("it is not empty: it contains %s", entries[0].Name())
	}
	return nil
}

// checkCreatable refuses a directory in which no mount point can be made.
func checkCreatable(parent string, fail func(string, ...any) error) error {
	for {
		info, err := os.Stat(parent)
		switch {
		case errors.Is(err, fs.ErrNotExist) && parent != "/":
			parent = filepath.Dir(parent)
			continue
		case err != nil:
			return fail("%w", err)
		case !info.IsDir():
			return fail("%s is not a directory", parent)
		}
		return nil
	}
}

// leftover returns the mount point of a run of l that was killed, if any.
func leftover(l Layout) string {
	state, found, err := ReadState(l)
	if err != nil || !found || state.Mountpoint == "" {
		return ""
	}
	point, err := resolveExisting(state.Mountpoint)
	if err != nil {
		return ""
	}
	return point
}

// directoryOf returns the resolved directory of a file:// mount, else "".
func directoryOf(m plan.Mount) string {
	location, err := ufs.ParseLocation(m.URI)
	if err != nil || location.Dir == "" {
		return ""
	}
	dir, err := resolveExisting(location.Dir)
	if err != nil {
		return ""
	}
	return dir
}

// within reports whether path is dir or below it; both are absolute and clean.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// resolveExisting makes a path absolute and resolves the symbolic links of its
// parents, as far as they exist. It does not touch the last element, on which an
// unresponsive file system may be mounted.
func resolveExisting(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if absolute == "/" {
		return absolute, nil
	}
	parent := filepath.Dir(absolute)
	resolved, err := filepath.EvalSymlinks(parent)
	if errors.Is(err, fs.ErrNotExist) {
		if resolved, err = resolveExisting(parent); err != nil {
			return "", err
		}
	}
	if err != nil {
		return "", err
	}
	return filepath.Join(resolved, filepath.Base(absolute)), nil
}
