package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// downTime limits an orderly stop: the FUSE server, then the workers, then the
// masters may each take stopGrace.
const downTime = 4*stopGrace + 10*time.Second

// Down stops a runtime and removes its leftovers; with purgeData its data too. It
// reports whether the runtime was running. It may be repeated, also after the
// supervisor was killed.
func Down(ctx context.Context, l Layout, purgeData bool) (ran bool, err error) {
	there, err := exists(l.Dir)
	if err != nil {
		return false, fmt.Errorf("find %s: %w", l, err)
	}
	if !there {
		return false, nil
	}
	held, ran, err := stopAndLock(ctx, l)
	if err != nil {
		return ran, fmt.Errorf("stop %s: %w", l, err)
	}
	defer held.release()
	if err := sweep(ctx, l, slog.New(slog.DiscardHandler)); err != nil {
		return ran, fmt.Errorf("stop %s: %w", l, err)
	}
	if !purgeData {
		return ran, nil
	}
	return ran, purge(l)
}

// stopAndLock stops supervisors until it gets the lock. The orphan reaper of a
// killed supervisor cleans up under the lock; a supervisor that is starting
// appears in the state a moment later.
func stopAndLock(ctx context.Context, l Layout) (held *lock, ran bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, downTime+reaperLockTimeout)
	defer cancel()
	for {
		state, found, err := ReadState(l)
		if err == nil && found && state.Supervisor.alive() {
			ran = true
			if err := state.Supervisor.endGently(waiting, downTime); err != nil {
				return nil, ran, err
			}
		}
		held, err := tryLock(l)
		if !errors.Is(err, errLocked) {
			return held, ran, err
		}
		select {
		case <-waiting.Done():
			return nil, ran, err
		case <-time.After(pollInterval):
		}
	}
}

// Running reports whether the supervisor of a runtime runs.
func Running(state State) bool { return state.Supervisor.alive() }

// signals returns the signals that stop a supervisor.
func signals() []os.Signal { return []os.Signal{unix.SIGTERM, unix.SIGINT} }
