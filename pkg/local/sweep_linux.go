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

// sweepTime limits the wait for the end of one killed process.
const sweepTime = 10 * time.Second

// sweep removes the leftovers of a killed run: processes, mount, sockets, secrets.
// Data, logs and the formation record are kept. The caller holds the lock. An
// error is returned after everything else was removed.
func sweep(ctx context.Context, l Layout, logger *slog.Logger) error {
	state, found, err := ReadState(l)
	if err != nil {
		// An unreadable state names nothing that could be removed safely. The
		// children die with their parent in any case.
		logger.Warn("ignoring an unreadable state", "error", err)
	}
	if !found {
		return removeTraces(l)
	}
	if err := endAll(ctx, state, logger); err != nil {
		return err
	}
	if state.Mountpoint != "" {
		if err := fusefd.CleanStale(state.Mountpoint); err != nil {
			return fmt.Errorf("remove the leftover mount: %w", err)
		}
		if state.MadeMountpoint {
			removeEmpty(state.Mountpoint)
		}
	}
	return removeTraces(l)
}

// endAll kills every process that the state identifies.
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
		logger.Warn("killing a leftover process", "pid", id.PID)
		failed = errors.Join(failed, id.end(ctx))
	}
	return failed
}

// removeTraces removes the files that only running processes need, and the tiers in
// memory. The state is
// the last, since it names what may be left.
func removeTraces(l Layout) error {
	if err := l.freeAllMemory(); err != nil {
		return fmt.Errorf("remove leftovers: %w", err)
	}
	for _, path := range []string{l.sockets(), l.credentials(), l.tls(), l.Roster(), l.resizeFile(), l.stateFile()} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove leftovers: %w", err)
		}
	}
	return nil
}

// removeEmpty removes a directory if it is empty.
func removeEmpty(dir string) {
	_ = os.Remove(dir) // fails if it is not empty, which is intended
}

// purge removes the state directory. It refuses while something is mounted in it,
// whose files it would delete.
func purge(l Layout) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(l.Dir))
	if err != nil {
		return fmt.Errorf("list mounts in %s: %w", l.Dir, err)
	}
	if len(mounts) > 0 {
		return fmt.Errorf("%s is mounted: unmount it first (umount %s)", mounts[0].Mountpoint, mounts[0].Mountpoint)
	}
	if err := os.RemoveAll(l.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the data of %s: %w", l, err)
	}
	return nil
}
