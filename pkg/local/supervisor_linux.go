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

// supervisor keeps one runtime running.
type supervisor struct {
	order  Order
	layout Layout
	self   []string
	logger *slog.Logger

	authority *mtls.Authority
	network   *network
	roster    topology.Topology
	spawner   *spawner
	log       *os.File

	masters, workers, fuses []*component
	mounter                 *mounter
	// kick asks for the conditions to be looked at soon.
	kick chan struct{}

	mu        sync.Mutex
	state     State
	formation Formation
	guard     *guard
}

// Supervise runs the order that is read from leash, until SIGTERM, or until
// leash breaks before the one who holds it has let go, or until something makes
// going on impossible. selfWords run this program's hidden commands.
func Supervise(leash io.Reader, selfWords []string, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), signals()...)
	defer stop()
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	buffered := bufio.NewReader(leash)
	raw, err := buffered.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the order: %w", err)
	}
	s := &supervisor{self: selfWords, logger: logger, kick: make(chan struct{}, 1)}
	if err := json.Unmarshal(raw, &s.order); err != nil {
		return fmt.Errorf("reading the order: %w", err)
	}
	s.layout = s.order.Layout()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if _, err := buffered.ReadByte(); err != nil {
			cancel(errors.New("whoever started this is gone"))
		}
	}()
	return s.run(ctx)
}

// run holds the lock from before the first trace to after the last.
func (s *supervisor) run(ctx context.Context) error {
	held, err := tryLock(s.layout)
	if errors.Is(err, errLocked) {
		return fmt.Errorf("local runtime %s is being started or stopped by somebody else", s.layout)
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
	s.logger.Info("stopping", "why", context.Cause(ctx))
	s.update(func(state *State) { state.Phase = Stopping })
	s.stopComponents()
	return s.clean()
}

// startComponents starts everything at once: whoever needs another waits for
// it.
func (s *supervisor) startComponents(ctx context.Context) {
	// Stopping has an order; the context must not end all at once.
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

// stopComponents stops in order: nobody is stopped before whoever needs it.
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
	g := s.guard
	s.guard = nil
	s.mu.Unlock()
	err := removeTraces(s.layout)
	if g != nil {
		// Without a farewell the guard tries again what failed here.
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

// update changes the state and writes it. A state that cannot be written is
// logged: the runtime goes on.
func (s *supervisor) update(change func(*State)) {
	if err := s.updateOrFail(change); err != nil {
		s.logger.Error("the state cannot be written", "error", err)
	}
}

func (s *supervisor) updateOrFail(change func(*State)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
	return s.state.save(s.layout)
}

// componentChanged notes the start or end of a component.
func (s *supervisor) componentChanged(c ComponentState) {
	s.update(func(state *State) {
		for i := range state.Components {
			if state.Components[i].Name == c.Name {
				state.Components[i] = c
			}
		}
	})
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
