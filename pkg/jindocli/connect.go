package jindocli

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/collect"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
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
// mount at path.
func (c *remote) Invalidate(ctx context.Context, path string) error {
	if c.masters == nil {
		return errNoMasters
	}
	_, err := c.masters.Invalidate(ctx, path)
	return err
}

var errNoMasters = errors.New("this runtime has no masters: its mounts are those of its Dataset")
