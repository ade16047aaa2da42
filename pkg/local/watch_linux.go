package local

import (
	"context"
	"slices"
	"time"

	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
)

const (
	// checkPause is the time between two looks while something is missing,
	// idlePause while nothing is. A component that starts or ends is looked at
	// at once.
	checkPause = 200 * time.Millisecond
	idlePause  = 30 * time.Second
	// checkTime bounds one look.
	checkTime = 5 * time.Second
	// upkeepPause is how often logs, certificates and the guard are looked
	// after.
	upkeepPause = time.Minute
)

// watch keeps the conditions current, and everything that has to be done about
// them, until the context ends.
func (s *supervisor) watch(ctx context.Context) {
	upkeep := time.NewTicker(upkeepPause)
	defer upkeep.Stop()
	renewed := wallClock()
	masters, err := s.dialMasters()
	if err != nil {
		s.logger.Error("the masters cannot be asked", "error", err)
	}
	if masters != nil {
		defer masters.Close()
	}
	c := &checker{s: s, masters: masters}
	for {
		pause := idlePause
		if !c.check(ctx) {
			pause = checkPause
		}
		select {
		case <-ctx.Done():
			return
		case <-s.guardGone():
			s.replaceGuard(ctx)
		case <-upkeep.C:
			renewed = s.upkeep(renewed)
		case <-s.kick:
		case <-time.After(pause):
		}
	}
}

func (s *supervisor) dialMasters() (*client.Client, error) {
	if len(s.masters) == 0 {
		return nil, nil
	}
	identity, err := mtls.LoadIdentity(s.layout.TLS(Admin))
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Topology: s.roster, Identity: identity, Holder: "local executor", Logger: s.logger})
}

func (s *supervisor) guardGone() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guard == nil {
		return nil
	}
	return s.guard.gone
}

// replaceGuard starts another guard when somebody ended the one there was.
func (s *supervisor) replaceGuard(ctx context.Context) {
	s.logger.Warn("the guard is gone, starting another")
	s.mu.Lock()
	_ = s.guard.pipe.Close()
	s.guard = nil
	s.mu.Unlock()
	if err := s.newGuard(); err != nil && ctx.Err() == nil {
		s.logger.Error("there is no guard: a killed supervisor will leave its mount", "error", err)
	}
}

// upkeep bounds the logs and renews the certificates in time.
func (s *supervisor) upkeep(renewed time.Time) time.Time {
	s.mu.Lock()
	components := slices.Clone(s.state.Components)
	s.mu.Unlock()
	for _, c := range components {
		if err := boundLog(c.Log, logBound); err != nil {
			s.logger.Warn("a log grows", "error", err)
		}
	}
	if wallClock().Sub(renewed) < certificateLife-renewBefore {
		return renewed
	}
	if err := issueAll(s.layout, s.authority, s.identities()); err != nil {
		s.logger.Error("certificates are not renewed", "error", err)
		return renewed
	}
	return wallClock()
}

// wallClock goes on while the machine sleeps, as certificates do.
func wallClock() time.Time { return time.Now().Round(0) }
