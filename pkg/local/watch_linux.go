package local

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
)

const (
	// checkPause is the interval of checks while a condition does not hold,
	// idlePause while all hold. The start or end of a component triggers a check.
	checkPause = 200 * time.Millisecond
	idlePause  = 30 * time.Second
	// checkTimeout limits one check.
	checkTimeout = 5 * time.Second
	// upkeepInterval is the interval of checks of logs, certificates and the
	// orphan reaper.
	upkeepInterval = time.Minute
)

// watch evaluates the conditions, and applies what is missing, until the context
// ends.
func (s *supervisor) watch(ctx context.Context) {
	upkeep := time.NewTicker(upkeepInterval)
	defer upkeep.Stop()
	renewed := wallClock()
	masters, err := s.dialMasters()
	if err != nil {
		s.logger.Error("connecting to the masters failed", "error", err)
	}
	if masters != nil {
		defer masters.Close()
	}
	c := &checker{s: s, masters: masters}
	var requests sync.WaitGroup
	defer requests.Wait()
	requests.Go(func() { s.watchRequests(ctx) })
	for {
		c.carryOutRequest(ctx)
		pause := idlePause
		if !c.check(ctx) {
			pause = checkPause
		}
		select {
		case <-ctx.Done():
			return
		case <-s.guardGone():
			s.replaceReaper(ctx)
		case <-upkeep.C:
			renewed = s.upkeep(renewed)
		case <-s.recheck:
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
	return client.New(client.Config{Topology: s.running(), Identity: identity, Holder: "local executor", Logger: s.logger})
}

func (s *supervisor) guardGone() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reaper == nil {
		return nil
	}
	return s.reaper.ended
}

// replaceReaper starts another orphan reaper if the previous one was ended.
func (s *supervisor) replaceReaper(ctx context.Context) {
	s.logger.Warn("the orphan reaper has ended, starting another")
	s.mu.Lock()
	_ = s.reaper.pipe.Close()
	s.reaper = nil
	s.mu.Unlock()
	if err := s.newReaper(); err != nil && ctx.Err() == nil {
		s.logger.Error("no orphan reaper runs: a killed supervisor would leave its mount", "error", err)
	}
}

// upkeep rotates the logs and renews the certificates.
func (s *supervisor) upkeep(renewed time.Time) time.Time {
	s.mu.Lock()
	components := slices.Clone(s.state.Components)
	s.mu.Unlock()
	for _, c := range components {
		if err := boundLog(c.Log, logBound); err != nil {
			s.logger.Warn("rotating a log failed", "error", err)
		}
	}
	if wallClock().Sub(renewed) < certificateLife-renewBefore {
		return renewed
	}
	if err := issueAll(s.layout, s.authority, s.identities()); err != nil {
		s.logger.Error("renewing certificates failed", "error", err)
		return renewed
	}
	return wallClock()
}

// wallClock continues while the machine sleeps, as the validity of certificates
// does.
func wallClock() time.Time { return time.Now().Round(0) }
