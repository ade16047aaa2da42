package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// sweepTime bounds the end of one process that was killed.
const sweepTime = 10 * time.Second

// sweep removes what a killed run left: processes, mount, sockets, secrets.
// Data, logs and the formation record stay. The caller holds the lock. What
// cannot be removed is reported at the end, after everything else is gone.
func sweep(ctx context.Context, l Layout, logger *slog.Logger) error {
	state, found, err := ReadState(l)
	if err != nil {
		// A state that cannot be read names nothing that could be removed
		// safely; the children die with their parent in any case.
		logger.Warn("ignoring the state that was left", "error", err)
	}
	if !found {
		return removeTraces(l)
	}
	if err := endAll(ctx, state, logger); err != nil {
		return err
	}
	if state.Mountpoint != "" {
		if err := fusefd.CleanStale(state.Mountpoint); err != nil {
			return fmt.Errorf("removing the mount that was left: %w", err)
		}
		if state.MadeMountpoint {
			removeEmpty(state.Mountpoint)
		}
	}
	return removeTraces(l)
}

// endAll kills every process of the state that still is what it was.
func endAll(ctx context.Context, state State, logger *slog.Logger) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	if boot != state.Boot {
		return nil
	}
	me, err := self()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	var failed error
	for _, id := range state.processes() {
		if id == me || !id.alive() {
			continue
		}
		logger.Warn("ending a process that was left", "pid", id.PID)
		failed = errors.Join(failed, id.end(ctx))
	}
	return failed
}

// removeTraces removes the files that are of use to running processes only,
// the state last: as long as it is there, something may be left.
func removeTraces(l Layout) error {
	for _, path := range []string{l.sockets(), l.credentials(), l.tls(), l.Roster(), l.stateFile()} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing what was left: %w", err)
		}
	}
	return nil
}

// removeEmpty removes a directory unless somebody put something there.
func removeEmpty(dir string) {
	_ = os.Remove(dir) // fails when it is not empty, as it should
}

// purge removes the state directory as a whole. It refuses while anything is
// mounted in it: what it would delete then is not ours.
func purge(l Layout) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(l.Dir))
	if err != nil {
		return fmt.Errorf("looking for mounts in %s: %w", l.Dir, err)
	}
	if len(mounts) > 0 {
		return fmt.Errorf("%s is still mounted: unmount it first (umount %s)", mounts[0].Mountpoint, mounts[0].Mountpoint)
	}
	if err := os.RemoveAll(l.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the data of %s: %w", l, err)
	}
	return nil
}
