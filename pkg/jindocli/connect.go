package jindocli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	workers "github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cli/collect"
	"github.com/jindo-io/jindo/pkg/cli/raft"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// targetTimeout limits the status request to one member.
const targetTimeout = 3 * time.Second

// remote is a cluster reached over the network.
type remote struct {
	targets collect.Targets
	masters *client.Client
	logger  *slog.Logger
	closers []func()
}

var _ Cluster = (*remote)(nil)

// Connect returns the Cluster with the topology and identity that the settings
// name. It connects with the first request.
func Connect(_ context.Context, settings Settings) (Cluster, error) {
	members, err := topology.Load(settings.Roster)
	if err != nil {
		return nil, err
	}
	identity, err := mtls.LoadIdentityOf(settings.TLSDir, settings.Name)
	if err != nil {
		return nil, err
	}
	c := &remote{logger: slog.New(slog.DiscardHandler), targets: collect.Targets{Topology: members, Identity: identity, Timeout: min(targetTimeout, settings.Timeout)}}
	if len(members.Masters) > 0 {
		c.masters, err = client.New(client.Config{Topology: members, Identity: identity, Holder: nameJindo})
		if err != nil {
			return nil, err
		}
		c.closers = append(c.closers, c.masters.Close)
	}
	return c, nil
}

// Close closes all connections.
func (c *remote) Close() {
	for _, closer := range c.closers {
		closer()
	}
}

// Masters returns the status of every master, from that master itself.
func (c *remote) Masters(ctx context.Context) []report.Master {
	return collect.Masters(ctx, c.targets)
}

// Report returns the status of the whole runtime.
func (c *remote) Report(ctx context.Context) *report.Runtime {
	r := report.New(report.Ref{Namespace: c.targets.Topology.Namespace, Name: c.targets.Topology.Name}, time.Now())
	collect.Fill(ctx, r, c.targets)
	return r
}

// View returns the masters' view; without a leader, the newest of any worker.
func (c *remote) View(ctx context.Context) (*commonv1.ClusterView, error) {
	if c.masters == nil {
		return collect.View(ctx, c.targets)
	}
	bounded, cancel := context.WithTimeout(ctx, c.targets.Timeout)
	defer cancel()
	view, err := c.masters.View(bounded)
	if err == nil {
		return view, nil
	}
	if view, fallback := collect.View(ctx, c.targets); fallback == nil {
		return view, nil
	}
	return nil, err
}

// Raft returns the masters' Raft group.
func (c *remote) Raft() (raft.Masters, error) {
	if c.masters == nil {
		return nil, errNoMasters
	}
	return c.masters, nil
}

// Mount adds a mount.
func (c *remote) Mount(ctx context.Context, mount *commonv1.Mount) (bool, error) {
	if c.masters == nil {
		return false, errNoMasters
	}
	_, changed, err := c.masters.Mount(ctx, mount)
	return changed, err
}

// Unmount removes the mount at path.
func (c *remote) Unmount(ctx context.Context, path string) error {
	if c.masters == nil {
		return errNoMasters
	}
	return c.masters.Unmount(ctx, path)
}

// Invalidate makes workers and FUSE servers discard the cached names of the
// mount at path, and waits until they have.
func (c *remote) Invalidate(ctx context.Context, path string) error {
	if c.masters == nil {
		return errNoMasters
	}
	if _, err := c.masters.Invalidate(ctx, path); err != nil {
		return err
	}
	view, err := c.masters.View(ctx)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		err = settled(ctx, c.masters.ListWorkers, view.GetIndex(), poll)
	}
	if err != nil {
		return fmt.Errorf("%s is refreshed, but its readers may see the change only later: %w", path, err)
	}
	return nil
}

const (
	// settleTimeout limits the wait for the workers. They report every 2 s.
	settleTimeout = 20 * time.Second
	// settlePause is the pause between two requests for the reports.
	settlePause = 200 * time.Millisecond
	// poll is the time within which FUSE servers take over the view of workers,
	// with some time for the request.
	poll = workers.DefaultPoll + time.Second
)

// settled waits until every live worker reports a view of at least an index, and
// then for the time in which FUSE servers request the view from workers.
func settled(ctx context.Context, list func(context.Context) ([]*masterv1.WorkerState, error), index uint64, after time.Duration) error {
	for {
		states, err := list(ctx)
		var behind string
		for _, w := range states {
			if w.GetLive() && w.GetReport().GetViewIndex() < index {
				behind = w.GetMember().GetName()
			}
		}
		done, pause := err == nil && behind == "", settlePause
		if done {
			pause = after
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("wait for worker %s to report it: %w", behind, ctx.Err()))
		case <-time.After(pause):
		}
		if done {
			return nil
		}
	}
}

var errNoMasters = errors.New("this runtime has no masters: its mounts are those of its Dataset")
