package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/topology"
)

// supervisor runs one runtime.
type supervisor struct {
	spec   Spec
	layout Layout
	self   []string
	logger *slog.Logger

	authority *mtls.Authority
	network   *network
	topology  topology.Topology
	spawner   *spawner
	log       *os.File

	masters, workers, fuses []*component
	mounter                 *mounter
	// recheck triggers an evaluation of the conditions.
	recheck chan struct{}

	mu        sync.Mutex
	state     State
	formation Formation
	reaper    *orphanReaper
}

// Supervise runs the spec that it reads from lifeline, until SIGTERM, until
// lifeline is closed before the other end has detached, or until a fatal error.
// selfWords run this program's hidden commands.
func Supervise(lifeline io.Reader, selfWords []string, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), signals()...)
	defer stop()
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	buffered := bufio.NewReader(lifeline)
	raw, err := buffered.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the spec: %w", err)
	}
	s := &supervisor{self: selfWords, logger: logger, recheck: make(chan struct{}, 1)}
	if err := json.Unmarshal(raw, &s.spec); err != nil {
		return fmt.Errorf("read the spec: %w", err)
	}
	s.layout = s.spec.Layout()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if _, err := buffered.ReadByte(); err != nil {
			cancel(errors.New("the command that started this supervisor has ended"))
		}
	}()
	return s.run(ctx)
}

// run holds the lock during the whole run, including the cleanup.
func (s *supervisor) run(ctx context.Context) error {
	held, err := tryLock(s.layout)
	if errors.Is(err, errLocked) {
		return fmt.Errorf("local runtime %s is being started or stopped by another process", s.layout)
	}
	if err != nil {
		return err
	}
	defer held.release()
	if err := sweep(ctx, s.layout, s.logger); err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return errors.Join(err, s.clean())
	}
	s.startComponents(ctx)
	s.watch(ctx)
	s.logger.Info("stopping", "reason", context.Cause(ctx))
	s.update(func(state *State) { state.Phase = Stopping })
	s.stopComponents()
	return s.clean()
}

// startComponents starts all components at the same time; they wait for each
// other.
func (s *supervisor) startComponents(ctx context.Context) {
	// Components are stopped in an order, so the context must not end them.
	lasting := context.WithoutCancel(ctx)
	for _, group := range [][]*component{s.masters, s.workers} {
		for _, c := range group {
			c.run(lasting)
		}
	}
	if len(s.fuses) > 0 {
		s.mounter = newMounter(s)
		s.mounter.run(lasting)
		for _, c := range s.fuses {
			c.run(lasting)
		}
	}
}

// stopComponents stops each component before those that it depends on.
func (s *supervisor) stopComponents() {
	stopTogether(s.fuses)
	if s.mounter != nil {
		s.mounter.stop()
	}
	stopTogether(s.workers)
	stopTogether(s.masters)
}

func stopTogether(group []*component) {
	var stopping sync.WaitGroup
	for _, c := range group {
		stopping.Go(c.stop)
	}
	stopping.Wait()
}

// clean removes the traces of a run whose components have all ended.
func (s *supervisor) clean() error {
	if s.spawner != nil {
		s.spawner.close()
	}
	if s.network != nil {
		s.network.close()
	}
	s.mu.Lock()
	g := s.reaper
	s.reaper = nil
	s.mu.Unlock()
	err := removeTraces(s.layout)
	if g != nil {
		// Without cleanExit the reaper retries what failed here.
		if err == nil {
			g.dismiss()
		} else {
			_ = g.pipe.Close()
		}
	}
	if s.log != nil {
		_ = s.log.Close()
	}
	return err
}

// update changes the state and writes it. A failed write is logged, and the
// runtime continues.
func (s *supervisor) update(change func(*State)) {
	if err := s.updateOrFail(change); err != nil {
		s.logger.Error("writing the state failed", "error", err)
	}
}

func (s *supervisor) updateOrFail(change func(*State)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
	return s.state.save(s.layout)
}

// componentChanged records the start or end of a component.
func (s *supervisor) componentChanged(c ComponentState) {
	s.update(func(state *State) {
		for i := range state.Components {
			if state.Components[i].Name == c.Name {
				state.Components[i] = c
			}
		}
	})
	select {
	case s.recheck <- struct{}{}:
	default:
	}
}
