package manager

import (
	"context"
	"errors"
	"sync/atomic"

	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// cacheSync records that the caches of a manager have synced. It does not need
// leader election, so a process that is not the leader becomes ready, too.
type cacheSync struct{ synced atomic.Bool }

var (
	_ manager.Runnable               = (*cacheSync)(nil)
	_ manager.LeaderElectionRunnable = (*cacheSync)(nil)
)

// Start implements manager.Runnable. Managers call it after their caches have
// synced.
func (c *cacheSync) Start(ctx context.Context) error {
	c.synced.Store(true)
	<-ctx.Done()
	return nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (c *cacheSync) NeedLeaderElection() bool { return false }

// check returns an error until the caches have synced.
func (c *cacheSync) check() error {
	if !c.synced.Load() {
		return errors.New("waiting for the caches to sync")
	}
	return nil
}
