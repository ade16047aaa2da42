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

// downTime bounds an orderly stop: fuse, then workers, then masters may each
// take stopGrace.
const downTime = 4*stopGrace + 10*time.Second

// Down stops a runtime and removes what it left; with purge its data too. It
// answers whether anything was running. It does the same again, and after the
// supervisor was killed.
func Down(ctx context.Context, l Layout, purgeData bool) (ran bool, err error) {
	there, err := exists(l.Dir)
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", l, err)
	}
	if !there {
		return false, nil
	}
	held, ran, err := stopAndLock(ctx, l)
	if err != nil {
		return ran, fmt.Errorf("stopping %s: %w", l, err)
	}
	defer held.release()
	if err := sweep(ctx, l, slog.New(slog.DiscardHandler)); err != nil {
		return ran, fmt.Errorf("stopping %s: %w", l, err)
	}
	if !purgeData {
		return ran, nil
	}
	return ran, purge(l)
}

// stopAndLock stops supervisors until nobody holds the lock any more, and takes
// it. A supervisor that was killed has a guard that cleans up under the lock;
// one that is only starting shows in the state a moment later.
func stopAndLock(ctx context.Context, l Layout) (held *lock, ran bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, downTime+guardPatience)
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
		case <-time.After(look):
		}
	}
}

// Running tells whether a runtime's supervisor runs.
func Running(state State) bool { return state.Supervisor.alive() }

// signals that stop a supervisor.
func signals() []os.Signal { return []os.Signal{unix.SIGTERM, unix.SIGINT} }
